//! What `.strm` files hold: the address of a film, by its id and with a key that opens it alone.
//!
//! Whoever has read such a text may remember it by size and time. So both change with it, when the token is replaced and
//! when the server is called something else: the key in an address is longer or shorter than it was, and the moment of the
//! change is kept in `strm-address.json`, beside the tokens.
#![allow(
    clippy::disallowed_methods,
    reason = "it runs on threads of the state's volume"
)]

use std::sync::Arc;

use data_encoding::HEXLOWER;
use debridfs_base::{replace_file, state_file};
use debridfs_listen::{FileKeys, TokenError, Tokens, digest};
use debridfs_vfs::NodeId;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::strm::address;

const FILE: &str = "strm-address.json";
/// Letters of the shortest key, and how many lengths there are.
const SHORTEST: usize = 24;
const LENGTHS: u64 = 16;

/// Why a file has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Files are not served over HTTP, or nothing says where players reach them.
    #[error("`http.listen` and `http.url` are not configured")]
    NotServed,
    /// The token that addresses are made with is missing.
    #[error("there is no token for .strm files: restart the engine")]
    NoToken,
}

/// Makes addresses, with the token that is good.
pub struct Addresses {
    base: String,
    tokens: Arc<Tokens>,
    form: Mutex<Option<Arc<AddressForm>>>,
    told: Box<dyn Fn(Arc<AddressForm>) + Send + Sync>,
}

/// What addresses look like until the token is replaced.
#[derive(Debug)]
pub struct AddressForm {
    base: String,
    keys: FileKeys,
    letters: usize,
    since: Timestamp,
}

/// Which addresses were made last.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    /// Tells base and token from others.
    of: String,
    /// Counts changes: the length of keys follows from it.
    number: u64,
    /// Bytes of an address but for its id and name.
    length: usize,
    /// Since when.
    since: Timestamp,
}

impl Addresses {
    /// Addresses that begin with `base`, which has no slash at its end; none are made when it is empty. `told` hears of
    /// each new form.
    pub fn new(
        base: String,
        tokens: Arc<Tokens>,
        told: impl Fn(Arc<AddressForm>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            base,
            tokens,
            form: Mutex::default(),
            told: Box::new(told),
        }
    }

    /// Makes addresses with the token that is good now, from now on. Reads and writes a file beside the tokens; one that
    /// cannot be understood is moved aside.
    ///
    /// # Errors
    /// [`TokenError::File`]: it cannot be read or written, and addresses stay what they were. It may be tried again.
    pub fn renew(&self, now: Timestamp) -> Result<(), TokenError> {
        let mut form = self.form.lock();
        let Some(keys) = self.tokens.file_keys().filter(|_| !self.base.is_empty()) else {
            *form = None;
            return Ok(());
        };
        let of = HEXLOWER.encode(&keys.fingerprint());
        let of = HEXLOWER.encode(&digest(&format!("{of} {}", self.base)));
        let stamp = self.stamp(of, now)?;
        let made = Arc::new(AddressForm {
            base: self.base.clone(),
            keys,
            letters: letters(stamp.number),
            since: stamp.since,
        });
        *form = Some(made.clone());
        (self.told)(made);
        Ok(())
    }

    /// The stored stamp, or another one if `of` is.
    fn stamp(&self, of: String, now: Timestamp) -> Result<Stamp, TokenError> {
        let path = self.tokens.dir().join(FILE);
        let failed = |error| TokenError::File {
            path: path.clone(),
            error,
        };
        let before: Option<Stamp> = state_file::load_json(&path, now).map_err(failed)?;
        if let Some(stamp) = before.as_ref().filter(|stamp| stamp.of == of) {
            return Ok(Stamp { of, ..*stamp });
        }
        let (number, since, before) = match before {
            // The clock may have been set back.
            Some(before) => {
                let next = before.since + SignedDuration::from_secs(1);
                let number = before.number.wrapping_add(1);
                (number, next.max(now), Some(before.length))
            }
            // Where a file was lost, few numbers of before are met again.
            None => (now.as_second().unsigned_abs(), now, None),
        };
        let length = |number| self.base.len() + letters(number);
        let number = match Some(length(number)) == before {
            true => number.wrapping_add(1),
            false => number,
        };
        let stamp = Stamp {
            of,
            number,
            length: length(number),
            since,
        };
        let text = serde_json::to_vec(&stamp).map_err(|error| failed(error.into()))?;
        replace_file(&path, &text).map_err(failed)?;
        Ok(stamp)
    }

    /// The address of the film `id`, which is called `name`.
    ///
    /// # Errors
    /// [`NoAddress`].
    pub fn of(&self, film: NodeId, name: &str) -> Result<String, NoAddress> {
        if self.base.is_empty() {
            return Err(NoAddress::NotServed);
        }
        let form = self.form.lock().clone().ok_or(NoAddress::NoToken)?;
        Ok(form.of(film, name))
    }
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = out.debug_struct("Addresses");
        out.field("base", &self.base).finish_non_exhaustive()
    }
}

impl AddressForm {
    /// The address of the film `id`, which is called `name`.
    pub fn of(&self, film: NodeId, name: &str) -> String {
        let key = self.keys.of(film.0);
        let path = address(key.get(..self.letters).unwrap_or(&key), film, name);
        format!("{}{path}", self.base)
    }

    /// Since when addresses look like this.
    pub fn since(&self) -> Timestamp {
        self.since
    }
}

fn letters(number: u64) -> usize {
    // Less than 16, so nothing is lost.
    SHORTEST + (number % LENGTHS) as usize
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn tokens(dir: &Path) -> Arc<Tokens> {
        let tokens = Arc::new(Tokens::new(dir));
        tokens.load(at(0)).unwrap();
        tokens.make_own(at(0)).unwrap();
        tokens
    }

    /// Length and time of the form there is.
    fn look(addresses: &Addresses) -> (String, usize, Timestamp) {
        let address = addresses.of(NodeId(7), "Film.mkv").unwrap();
        let since = addresses.form.lock().as_ref().unwrap().since();
        let length = address.len();
        (address, length, since)
    }

    #[test]
    fn each_change_changes_size_and_time_and_a_restart_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let told = Arc::new(Mutex::new(Vec::new()));
        let forms = told.clone();
        let mut base = "http://debridfs:8284".to_owned();
        let make = |base: &str| {
            let forms = forms.clone();
            let told = move |form: Arc<AddressForm>| forms.lock().push(form.since());
            Addresses::new(base.to_owned(), tokens.clone(), told)
        };
        let mut addresses = make(&base);
        assert_eq!(addresses.of(NodeId(7), "x"), Err(NoAddress::NoToken));
        addresses.renew(at(0)).unwrap();
        let mut before = look(&addresses);
        assert!(
            before.0.starts_with("http://debridfs:8284/strm/"),
            "{before:?}"
        );
        assert!(
            before.0.ends_with("/0000000000000007/Film.mkv"),
            "{before:?}"
        );
        assert_eq!(before.2, at(0));
        for round in 1..100 {
            // Another name that is shorter by as much as the key gets longer; now and then the clock stands still.
            match round % 3 {
                0 => base.replace_range(base.len() - 1.., ""),
                1 => base.push('4'),
                _ => tokens.replace_own(at(round)).unwrap(),
            }
            let now = at(round / 4);
            addresses = make(&base);
            addresses.renew(now).unwrap();
            let after = look(&addresses);
            assert_ne!(after.0, before.0);
            assert_ne!(after.1, before.1, "{round}");
            assert!(after.2 > before.2, "{round}");
            assert_eq!(told.lock().last(), Some(&after.2));
            addresses = make(&base);
            addresses.renew(at(1000)).unwrap();
            assert_eq!(look(&addresses), after, "a restart");
            before = after;
        }
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        addresses.renew(at(5000)).unwrap();
        assert_eq!(look(&addresses).2, at(5000));
        assert_eq!(state_file::moved_aside_in(dir.path()).len(), 1);
    }

    #[test]
    fn without_a_name_or_a_token_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let nameless = Addresses::new(String::new(), tokens.clone(), |_| panic!("no form"));
        nameless.renew(at(0)).unwrap();
        assert_eq!(nameless.of(NodeId(7), "x"), Err(NoAddress::NotServed));
        tokens.revoke(debridfs_listen::OWN).unwrap();
        let addresses = Addresses::new("http://x".into(), tokens, |_| panic!("no form"));
        addresses.renew(at(0)).unwrap();
        assert_eq!(addresses.of(NodeId(7), "x"), Err(NoAddress::NoToken));
    }

    #[test]
    fn what_cannot_be_stored_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let addresses = Addresses::new("http://x".into(), tokens.clone(), |_| {});
        addresses.renew(at(0)).unwrap();
        let before = look(&addresses);
        let path = dir.path().join(FILE);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
        tokens.replace_own(at(1)).unwrap();
        let error = addresses.renew(at(1)).unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
        assert_eq!(look(&addresses), before);
    }
}
