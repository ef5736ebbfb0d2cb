//! Files over HTTP: the tokens and the listener.

use std::net::SocketAddr;
use std::sync::Arc;

use debridfs_control::TokenDesk;
use debridfs_dav::{Tokens, address, router};
use debridfs_vfs::Vfs;
use jiff::Timestamp;

use super::sockets;
use crate::config::Config;
use crate::failure::{Doing, Failure};

/// Files over HTTP.
#[derive(Clone)]
pub struct HttpFiles {
    listen: Option<SocketAddr>,
    /// What addresses begin with.
    url: String,
    tokens: Arc<Tokens>,
    makes_strm: bool,
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
        Ok(Self {
            listen: config.http.listen,
            url: config.http.url.trim_end_matches('/').to_owned(),
            tokens: Arc::new(tokens),
            makes_strm,
        })
    }

    /// The address of a file by its path in the mount.
    ///
    /// # Errors
    /// Why it has none, for people.
    pub fn url(&self, path: &str) -> Result<String, String> {
        if self.listen.is_none() || self.url.is_empty() {
            return Err("`http.listen` and `http.url` are not configured".to_owned());
        }
        let token = self.tokens.own();
        let token = token.ok_or("there is no token for .strm files: restart the engine")?;
        Ok(format!("{}{}", self.url, address(&token, path)))
    }

    /// What the control socket lists and changes of them.
    pub fn desk(&self) -> TokenDesk {
        TokenDesk {
            tokens: self.tokens.clone(),
            url: self.url.clone(),
            makes_strm: self.makes_strm,
        }
    }

    /// Serves them, if an address is configured.
    pub async fn serve(self, vfs: Arc<dyn Vfs>) {
        let Some(listen) = self.listen else {
            return;
        };
        let router = router(vfs, self.tokens);
        sockets::front(listen, "files over HTTP", true, router).await;
    }
}
