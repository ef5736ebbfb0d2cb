//! Users: names with hashed passwords, and what each may.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{Caller, Digest32, HashedPassword, Right};

/// Verified against where no user has a password: the parameters of `HashedPassword::of`.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y29uc3RhbnQgc2FsdA$\
     bm8gcGFzc3dvcmQgaGFzIHRoaXMgaGFzaCwgMzIgYi4";

/// A user of `[user.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name that is shown by Basic; it holds no colon.
    pub name: String,
    /// The password.
    pub password: HashedPassword,
    /// See [`Caller::root`].
    pub root: String,
    /// What the user may do.
    pub may: Vec<Right>,
}

impl User {
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            name: self.name.clone(),
            root: self.root.clone(),
            may: self.may.clone(),
        }
    }
}

/// All users, and what is hashed for names that nobody has.
#[derive(Debug)]
pub(crate) struct Users {
    by_name: HashMap<String, Arc<User>>,
    /// Ordered; each hash that there is, so that the cost of a stranger is that of some user.
    hashes: Vec<HashedPassword>,
    /// Of this process: digests made with it are of no use elsewhere.
    key: [u8; 32],
}

impl Users {
    /// Nobody.
    pub(crate) fn none() -> Self {
        Self::with_key(Vec::new(), [0; 32])
    }

    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn new(users: Vec<User>) -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self::with_key(users, key))
    }

    fn with_key(users: Vec<User>, key: [u8; 32]) -> Self {
        let mut hashes: Vec<_> = users.iter().map(|user| user.password.clone()).collect();
        if hashes.is_empty() {
            hashes.extend(HashedPassword::parse(DUMMY));
        }
        let by_name = users
            .into_iter()
            .map(|user| (user.name.clone(), user.into()));
        Self {
            by_name: by_name.collect(),
            hashes,
            key,
        }
    }

    /// The hash to verify a password of `name` with, and the user, if there is one. For a stranger it
    /// is the hash of some user, always the same one for the same name, and no password is right.
    pub(crate) fn pick(&self, name: &str) -> (&HashedPassword, Option<&Arc<User>>) {
        // Chosen in any case: it takes some time as well.
        let digest = self.digest(&[name.as_bytes()]);
        let number = digest.iter().fold(0, |number, byte| {
            (number * 256 + usize::from(*byte)) % self.hashes.len()
        });
        match self.by_name.get(name) {
            Some(user) => (&user.password, Some(user)),
            None => (&self.hashes[number], None),
        }
    }

    /// A digest of `parts` that means nothing to other processes.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> Digest32 {
        let hash = Sha256::new().chain_update(self.key);
        let hash = parts
            .iter()
            .fold(hash, |hash, part| hash.chain_update(part));
        hash.finalize().into()
    }

    pub(crate) fn has(&self, user: &Arc<User>) -> bool {
        let known = self.by_name.get(&user.name);
        known.is_some_and(|known| Arc::ptr_eq(known, user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With parameters that are none of `HashedPassword::of`.
    const COSTLY: &str = "$argon2id$v=19$m=4096,t=3,p=1$Y29uc3RhbnQgc2FsdA$\
         bm8gcGFzc3dvcmQgaGFzIHRoaXMgaGFzaCwgMzIgYi4";

    fn user(name: &str, hash: &str) -> User {
        User {
            name: name.into(),
            password: HashedPassword::parse(hash).unwrap(),
            root: String::new(),
            may: vec![Right::Read],
        }
    }

    #[test]
    fn a_stranger_costs_what_some_user_costs() {
        let none = Users::none();
        let (hash, found) = none.pick("anna");
        assert!(found.is_none());
        assert_eq!(hash.cost(), HashedPassword::of("x").unwrap().cost());

        let one = Users::with_key(vec![user("anna", COSTLY)], [1; 32]);
        let (anna, found) = one.pick("anna");
        assert!(found.is_some());
        let (stranger, found) = one.pick("berta");
        assert!(found.is_none());
        assert_eq!(stranger.cost(), anna.cost());
        assert_ne!(stranger.cost(), none.pick("berta").0.cost());

        let two = |key: u8| {
            let users = vec![user("anna", COSTLY), user("berta", DUMMY)];
            Users::with_key(users, [key; 32])
        };
        let cost = |name: &str, key: u8| two(key).pick(name).0.cost();
        assert_eq!(cost("clara", 1), cost("clara", 1));
        let by_key: Vec<_> = (0..20).map(|key| cost("clara", key)).collect();
        assert!(by_key.contains(&cost("anna", 1)) && by_key.contains(&cost("berta", 1)));
    }
}
