//! Keys that open one file each, by its id, until the token that they are made with is replaced.
//!
//! A `.strm` file is read by whoever sees the directory it is in. So what it holds opens its own film and no other: a code
//! (HMAC-SHA-256) over the file's id, made with [`OWN`], of which only the hash is kept.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2_of_hmac::Sha256;
use subtle::ConstantTimeEq;

use crate::{Digest32, OWN, Tokens, digest};

/// What is signed begins with this: a signature of another kind never is one of a file's id.
const PURPOSE: &[u8] = b"debridfs file 1\0";
/// Letters of a key, at least: 144 bits, which nobody guesses.
const LEAST: usize = 24;

/// Makes keys with one token.
#[derive(Clone)]
pub struct FileKeys {
    signer: Hmac<Sha256>,
    fingerprint: Digest32,
}

impl FileKeys {
    /// The longest key of the file `id`: 43 letters that an address can hold. Its first 24 letters or more are as good.
    pub fn of(&self, id: u64) -> String {
        let mut signer = self.signer.clone();
        signer.update(&id.to_be_bytes());
        BASE64URL_NOPAD.encode(&signer.finalize().into_bytes())
    }

    /// What tells the token from others, and nothing about its keys.
    pub fn fingerprint(&self) -> Digest32 {
        self.fingerprint
    }
}

impl std::fmt::Debug for FileKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FileKeys").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Keys that are good until [`OWN`] is replaced; nothing while there is none.
    pub fn file_keys(&self) -> Option<FileKeys> {
        let (key, _) = self.signing(OWN)?;
        let mut signer = Hmac::<Sha256>::new_from_slice(key.as_bytes())
            .unwrap_or_else(|_| unreachable!("any length is taken"));
        signer.update(PURPOSE);
        let fingerprint = digest(&format!("debridfs fingerprint 1\0{key}"));
        Some(FileKeys {
            signer,
            fingerprint,
        })
    }

    /// Whether `key` opens the file `id`, found in a time that tells nothing of the right one.
    pub fn opens(&self, key: &str, id: u64) -> bool {
        let Some(right) = self.file_keys().map(|keys| keys.of(id)) else {
            return false;
        };
        let right = right.as_bytes().get(..key.len());
        key.len() >= LEAST && right.is_some_and(|right| right.ct_eq(key.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::TokenRights;

    #[test]
    fn a_key_opens_one_file_until_the_token_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let tokens = Tokens::new(dir.path());
        tokens.load(now).unwrap();
        tokens.create("other", TokenRights::default(), now).unwrap();
        assert!(tokens.file_keys().is_none() && !tokens.opens("", 7));
        tokens.make_own(now).unwrap();
        let keys = tokens.file_keys().unwrap();
        let key = keys.of(7);
        assert_eq!(key.len(), 43);
        for letters in LEAST..=43 {
            assert!(tokens.opens(&key[..letters], 7), "{letters}");
            assert!(!tokens.opens(&key[..letters], 8), "{letters}");
        }
        let longer = format!("{key}A");
        let mut changed = key.clone();
        changed.replace_range(..1, if key.starts_with('A') { "B" } else { "A" });
        for wrong in ["", &key[..LEAST - 1], &key[1..], &longer, &changed] {
            assert!(!tokens.opens(wrong, 7), "{wrong}");
        }
        let again = Tokens::new(dir.path());
        again.load(now).unwrap();
        assert!(again.opens(&key, 7));
        assert_eq!(again.file_keys().unwrap().fingerprint(), keys.fingerprint());
        tokens.replace_own(now).unwrap();
        assert!(!tokens.opens(&key, 7));
        let fresh = tokens.file_keys().unwrap();
        assert!(tokens.opens(&fresh.of(7), 7));
        assert_ne!(fresh.fingerprint(), keys.fingerprint());
    }
}
