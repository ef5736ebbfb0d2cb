//! Files over HTTP, and WebDAV: the tokens and the listener.

use std::sync::Arc;

use debridfs_base::volume::Volume;
use debridfs_base::{Board, Supervisor};
use debridfs_control::HttpTokens;
use debridfs_dav::{Addresses, router};
use debridfs_listen::{Listeners, Logins, Place, Tokens};
use debridfs_vfs::Vfs;
use jiff::Timestamp;

use super::sockets;
use super::trouble::of_state;
use debridfs_config::Config;

/// The tokens, which let nobody in before they are read.
pub fn tokens(config: &Config) -> HttpTokens {
    HttpTokens {
        tokens: Arc::new(Tokens::new(&config.state_dir)),
        url: config.http.url.trim_end_matches('/').to_owned(),
        served: config.http.listen.is_some(),
        makes_strm: config.acquire.makes_strm(),
    }
}

/// Addresses of files, for `.strm` files: none while files are not served, or no token is known.
pub fn addresses(config: &Config, tokens: &HttpTokens) -> Addresses {
    let served = config.http.listen.map(|_| tokens.url.clone());
    Addresses::new(served.unwrap_or_default(), tokens.tokens.clone())
}

/// Reads the tokens, makes the one for `.strm` files if there are to be any, and serves files if an
/// address is configured.
pub fn start(
    supervisor: &Supervisor,
    config: &Arc<Config>,
    tokens: &HttpTokens,
    logins: &Logins,
    vfs: Arc<dyn Vfs>,
    listeners: &Arc<Listeners>,
    board: &Board,
) {
    let (read, of) = (tokens.clone(), config.clone());
    supervisor.start("tokens for files over HTTP", move || {
        let (
            HttpTokens {
                tokens, makes_strm, ..
            },
            of,
        ) = (read.clone(), of.clone());
        async move {
            let read = Volume::state().run(&of.state_dir, move || {
                let now = Timestamp::now();
                tokens.load(now)?;
                match makes_strm {
                    true => tokens.make_own(now),
                    false => Ok(()),
                }
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
    supervisor.keep("files over HTTP", move || {
        let attempts = listeners.attempts().clone();
        let router = router(vfs.clone(), tokens.clone(), logins.clone(), attempts);
        let (listeners, board, tls) = (listeners.clone(), board.clone(), tls.clone());
        async move { sockets::front(&listeners, place, tls, &board, true, router).await }
    });
}
