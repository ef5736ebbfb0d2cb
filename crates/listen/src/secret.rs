//! Secrets: made, kept as their hashes, and compared in a time that tells nothing.

use std::io;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Random bytes of a secret: nobody guesses 192 bits, so a plain hash of them is safe to keep.
const RANDOM: usize = 24;

/// A SHA-256.
pub type Digest32 = [u8; 32];

/// The SHA-256 of a text: what is kept of a secret, and looked up in its place, so that the time it
/// takes tells nothing.
pub fn digest(text: &str) -> Digest32 {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares in a time that depends on neither text.
pub fn same(a: &str, b: &str) -> Choice {
    digest(a).ct_eq(&digest(b))
}

/// Whether `digest` is that of `text`, found in a time that depends on neither.
pub fn is_digest_of(digest: &Digest32, text: &str) -> bool {
    self::digest(text).ct_eq(digest).into()
}

/// A secret that nobody can guess: 32 letters that a URL and a cookie can hold.
///
/// # Errors
/// The system gives no random numbers.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; RANDOM];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(bool::from(same("secret", "secret")));
        assert!(is_digest_of(&digest("secret"), "secret"));
        for other in ["", "secre", "secret ", "Secret"] {
            assert!(!bool::from(same("secret", other)), "{other:?}");
            assert!(!is_digest_of(&digest("secret"), other), "{other:?}");
        }
    }

    #[test]
    fn each_secret_is_another_one() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
