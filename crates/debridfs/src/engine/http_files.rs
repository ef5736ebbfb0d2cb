//! Files over HTTP, and WebDAV: the tokens and the listener.

use std::sync::Arc;

use debridfs_base::volume::Volume;
use debridfs_base::{Board, Supervisor};
use debridfs_control::HttpTokens;
use debridfs_dav::{AddressForm, Addresses, Redirects, router};
use debridfs_listen::{Listeners, Logins, Place, Tokens};
use debridfs_tree::{StrmTexts, Tree};
use debridfs_vfs::Vfs;
use jiff::Timestamp;

use super::sockets;
use super::trouble::of_state;
use debridfs_config::Config;

/// The tokens, which let nobody in before they are read, and what `.strm` files of `tree` hold.
pub fn tokens(config: &Config, tree: Arc<Tree>) -> HttpTokens {
    let tokens = Arc::new(Tokens::new(&config.state_dir));
    let url = config.http.url.trim_end_matches('/').to_owned();
    let served = config.http.listen.map(|_| url.clone());
    let show = move |form: Arc<AddressForm>| {
        let since = form.since();
        let text = move |film, name: &str| format!("{}\n", form.of(film, name));
        tree.show_strm(StrmTexts::new(since, text));
    };
    HttpTokens {
        addresses: Arc::new(Addresses::new(
            served.unwrap_or_default(),
            tokens.clone(),
            show,
        )),
        tokens,
        url,
        served: config.http.listen.is_some(),
        makes_strm: config.makes_strm(),
    }
}

/// Reads the tokens, makes the one for `.strm` files if there are to be any, and serves files if an
/// address is configured.
pub fn start(
    supervisor: &Supervisor,
    config: &Arc<Config>,
    tokens: &HttpTokens,
    logins: &Logins,
    tree: &Arc<Tree>,
    listeners: &Arc<Listeners>,
    board: &Board,
) {
    let (read, of) = (tokens.clone(), config.clone());
    supervisor.start("tokens for files over HTTP", move || {
        let (http, of) = (read.clone(), of.clone());
        async move {
            let read = Volume::state().run(&of.state_dir, move || {
                let now = Timestamp::now();
                http.tokens.load(now)?;
                if http.makes_strm {
                    http.tokens.make_own(now)?;
                }
                http.addresses.renew(now)
            });
            match read.await {
                Ok(read) => read.map_err(|error| of_state(&of, error)),
                Err(silent) => Err(of_state(&of, silent)),
            }
        }
    });
    let Some(listen) = config.http.listen else {
        return;
    };
    let place = Place {
        what: "files over HTTP",
        setting: "http.listen",
        address: listen,
    };
    let (tokens, logins) = (tokens.tokens.clone(), logins.clone());
    let (listeners, board) = (listeners.clone(), board.clone());
    let tls = config.http_tls();
    let vfs: Arc<dyn Vfs> = tree.clone();
    let links = tree.clone();
    let redirects = Redirects::new(config.http.redirect, move |film| {
        let tree = links.clone();
        Box::pin(async move { tree.provider_link(film).await })
    });
    supervisor.keep("files over HTTP", move || {
        let attempts = listeners.attempts().clone();
        let (logins, redirects) = (logins.clone(), redirects.clone());
        let router = router(vfs.clone(), tokens.clone(), logins, attempts, redirects);
        let (listeners, board, tls) = (listeners.clone(), board.clone(), tls.clone());
        async move { sockets::front(&listeners, place, tls, &board, true, router).await }
    });
}
