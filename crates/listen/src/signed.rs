//! Texts that open one file until a moment, in the place of a token: a token signs them, and is itself not in them.
//!
//! `~NAME~UNTIL~MAC` holds the token's name, the end in Unix time, and HMAC-SHA-256 over the end and the file's path. The key
//! is the hash of the token, so revoking the token ends all that it signed, and nothing else has to
//! be stored.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2_of_hmac::Sha256;

use crate::{Caller, TokenError, Tokens};

/// What is signed begins with this: a signature of another kind never is one of an address.
const PURPOSE: &[u8] = b"debridfs address 1\0";

/// A text that a token signed for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// It holds: the caller is the token.
    Good(Caller),
    /// It held until some time ago.
    Expired,
}

impl Tokens {
    /// A text that opens the file at `path`, as the token `name` sees it, until `until`.
    ///
    /// # Errors
    /// [`TokenError::Unknown`].
    pub fn sign(&self, name: &str, path: &str, until: Timestamp) -> Result<String, TokenError> {
        let until = until.as_second();
        let signing = self.signing(name);
        let (key, _) = signing.ok_or_else(|| TokenError::Unknown(name.to_owned()))?;
        let mac = signer(&key, until, path).finalize().into_bytes();
        Ok(format!("~{name}~{until}~{}", HEXLOWER.encode(&mac)))
    }

    /// What `text` is for the file at `path`; nothing if no token that is good signed it.
    pub fn signed(&self, text: &str, path: &str, now: Timestamp) -> Option<Signed> {
        let mut parts = text.strip_prefix('~')?.splitn(3, '~');
        let (name, until, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let until: i64 = until.parse().ok()?;
        let mac = HEXLOWER.decode(mac.as_bytes()).ok()?;
        let (key, caller) = self.signing(name)?;
        // Takes the same time wherever the two differ.
        signer(&key, until, path).verify_slice(&mac).ok()?;
        Some(match now.as_second() < until {
            true => Signed::Good(caller),
            false => Signed::Expired,
        })
    }
}

fn signer(key: &str, until: i64, path: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .unwrap_or_else(|_| unreachable!("any length is taken"));
    mac.update(PURPOSE);
    mac.update(&until.to_be_bytes());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        mac.update(b"/");
        mac.update(part.as_bytes());
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenRights;

    const PATH: &str = "__all__/Ä & B #1?.mkv/100% [x].mkv";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_text_opens_its_path_until_its_end_while_its_token_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        tokens.load(at(0)).unwrap();
        for name in ["urls", "other"] {
            tokens.create(name, TokenRights::default(), at(0)).unwrap();
        }
        let text = tokens.sign("urls", PATH, at(100)).unwrap();
        let is_good = |text: &str, path: &str| match tokens.signed(text, path, at(99)) {
            Some(Signed::Good(caller)) => caller.name == "urls",
            _ => false,
        };
        assert!(is_good(&text, PATH));
        assert!(is_good(&text, &format!("/{PATH}/")));
        assert_eq!(tokens.signed(&text, PATH, at(100)), Some(Signed::Expired));
        assert!(!tokens.is_good(&text), "it opens one path");
        let later = text.replacen("~100~", "~1000~", 1);
        let of_other = text.replacen("urls", "other", 1);
        let last = if text.ends_with('0') { "1" } else { "0" };
        let mut changed = text.clone();
        changed.replace_range(text.len() - 1.., last);
        let short = &text[..text.len() - 2];
        for wrong in [&later, &of_other, &changed, short, "~", "~~~", "~urls~100~"] {
            assert_eq!(tokens.signed(wrong, PATH, at(0)), None, "{wrong}");
        }
        for other in ["__all__", "", "__all__/Ä", &PATH[..PATH.len() - 1]] {
            assert_eq!(tokens.signed(&text, other, at(0)), None, "{other}");
        }
        tokens.revoke("urls").unwrap();
        assert_eq!(tokens.signed(&text, PATH, at(0)), None);
        // A new token of the same name does not bring them back.
        tokens
            .create("urls", TokenRights::default(), at(0))
            .unwrap();
        assert_eq!(tokens.signed(&text, PATH, at(0)), None);
        assert!(tokens.sign("gone", PATH, at(1)).is_err());
    }
}
