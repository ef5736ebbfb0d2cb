//! Files over HTTP: the tokens and the listener.

use std::net::SocketAddr;
use std::sync::Arc;

use debridfs_control::HttpTokens;
use debridfs_dav::{Addresses, Tokens, router};
use debridfs_listen::Listeners;
use debridfs_vfs::Vfs;
use jiff::Timestamp;

use super::sockets;
use crate::config::Config;
use crate::failure::{Doing, Failure};

/// Files over HTTP.
#[derive(Clone)]
pub struct HttpFiles {
    listen: Option<SocketAddr>,
    /// What lets readers in.
    pub tokens: HttpTokens,
    /// Addresses of files, for `.strm` files.
    pub addresses: Addresses,
}

impl HttpFiles {
    /// Reads the tokens, and makes the one for `.strm` files if there are to be any.
    pub fn load(config: &Config) -> Result<Self, Failure> {
        let now = Timestamp::now();
        let tokens = Tokens::load(&config.state_dir, now).doing(|| "tokens".into())?;
        let makes_strm = config.acquire.makes_strm();
        if makes_strm {
            tokens.make_own(now).doing(|| "tokens".into())?;
        }
        let tokens = HttpTokens {
            tokens: Arc::new(tokens),
            url: config.http.url.trim_end_matches('/').to_owned(),
            makes_strm,
        };
        let listen = config.http.listen;
        let served = listen.map(|_| tokens.url.clone());
        Ok(Self {
            listen,
            addresses: Addresses::new(served.unwrap_or_default(), tokens.tokens.clone()),
            tokens,
        })
    }

    /// Serves them, if an address is configured.
    pub async fn serve(self, vfs: Arc<dyn Vfs>, listeners: Arc<Listeners>) {
        let Some(listen) = self.listen else {
            return;
        };
        let router = router(vfs, self.tokens.tokens, listeners.attempts().clone());
        sockets::front(&listeners, listen, "files over HTTP", true, router).await;
    }
}
