//! Passwords, kept as their Argon2id hashes alone.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// More than this is no password: it would only be work for the hash.
const LONGEST: usize = 1024;

/// A password cannot be hashed, or a hash cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing was given.
    #[error("an empty password")]
    Empty,
    /// It is over 1024 bytes long.
    #[error("a password of more than {LONGEST} bytes")]
    TooLong,
    /// Not what `debridfs config hash-password` prints.
    #[error("not a hash of a password: it begins with `$argon2id$`")]
    NotAHash,
    /// No random numbers, or no memory.
    #[error("cannot hash: {0}")]
    Failed(String),
}

/// The hash of a password, as `debridfs config hash-password` prints it (a PHC string of Argon2id).
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(PasswordHash);

impl fmt::Debug for HashedPassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weak passwords can be found from their hashes.
        out.write_str("<hidden>")
    }
}

impl HashedPassword {
    /// Hashes `password` with a salt of its own and the crate's present parameters (OWASP's: 19 MiB, 2 passes).
    ///
    /// # Errors
    /// All but [`PasswordError::NotAHash`].
    pub fn of(password: &str) -> Result<Self, PasswordError> {
        match password.len() {
            0 => return Err(PasswordError::Empty),
            length if length > LONGEST => return Err(PasswordError::TooLong),
            _ => {}
        }
        let hash = Argon2::default().hash_password(password.as_bytes());
        hash.map(Self)
            .map_err(|error| PasswordError::Failed(error.to_string()))
    }

    /// Reads what [`Self::reveal`] gave.
    ///
    /// # Errors
    /// [`PasswordError::NotAHash`].
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let hash = PasswordHash::new(text.trim()).map_err(|_| PasswordError::NotAHash)?;
        let usable = hash.algorithm == argon2::ARGON2ID_IDENT
            && hash.salt.is_some()
            && hash.hash.is_some()
            && argon2::Params::try_from(&hash).is_ok();
        match usable {
            true => Ok(Self(hash)),
            false => Err(PasswordError::NotAHash),
        }
    }

    /// The hash as text, to be kept.
    pub fn reveal(&self) -> String {
        self.0.to_string()
    }

    /// The work of one comparison, by the parameters of Argon2id that the hash names.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> argon2::Params {
        argon2::Params::try_from(&self.0).unwrap()
    }

    /// Whether it is the hash of `password`. Takes tens of milliseconds and 19 MiB of memory, whatever the answer.
    pub fn is_of(&self, password: &str) -> bool {
        // The crate compares in a time that does not depend on the bytes.
        password.len() <= LONGEST
            && Argon2::default()
                .verify_password(password.as_bytes(), &self.0)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_has_its_hash() {
        let hash = HashedPassword::of("correct horse").unwrap();
        let again = HashedPassword::of("correct horse").unwrap();
        assert_ne!(hash.reveal(), again.reveal(), "each has its salt");
        assert!(hash.reveal().starts_with("$argon2id$v=19$"));
        let read = HashedPassword::parse(&format!(" {}\n", hash.reveal())).unwrap();
        assert_eq!(read, hash);
        assert!(read.is_of("correct horse"));
        for wrong in [
            "",
            "correct hors",
            "correct horse ",
            &"x".repeat(LONGEST + 1),
        ] {
            assert!(!read.is_of(wrong), "{wrong}");
        }
        assert_eq!(format!("{hash:?}"), "<hidden>");
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let hash = HashedPassword::of("x").unwrap().reveal();
        for text in [
            "",
            "secret",
            "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            &hash.replace("argon2id", "scrypt"),
            &hash[..hash.len() - 44],
            &hash.replace("m=", "m=x"),
        ] {
            let read = HashedPassword::parse(text);
            assert_eq!(read.err(), Some(PasswordError::NotAHash), "{text}");
        }
        assert_eq!(HashedPassword::of(""), Err(PasswordError::Empty));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(HashedPassword::of(&long), Err(PasswordError::TooLong));
    }
}
