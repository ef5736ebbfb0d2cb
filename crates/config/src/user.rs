//! `[user.NAME]`: who may read the library over HTTP and WebDAV and use the API, by a password.

use std::path::PathBuf;

use debridfs_base::{Secret, list};
use debridfs_listen::{HashedPassword, Right, User, root_of};
use serde::{Deserialize, Serialize};

use super::acquire::secret;
use super::{Config, Unusable};

/// Letters of a name, at most.
const LONGEST_NAME: usize = 64;

/// `[user.NAME]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserSection {
    /// Hash of the password, as `debridfs config hash-password` prints it.
    pub password_hash: Option<Secret>,
    /// File that holds that hash.
    pub password_hash_file: Option<PathBuf>,
    /// File that holds the password itself, which is hashed at the start.
    pub password_file: Option<PathBuf>,
    /// The directory of the library that the user sees as its root.
    pub root: String,
    /// What the user may do. A list; in a variable also text with commas between them.
    #[serde(deserialize_with = "list::deserialize")]
    pub may: Vec<Right>,
}

impl Default for UserSection {
    fn default() -> Self {
        Self {
            password_hash: None,
            password_hash_file: None,
            password_file: None,
            root: "/".into(),
            may: vec![Right::Read],
        }
    }
}

impl Config {
    /// The users; reads the files of their passwords, and hashes those that are none yet: some tens
    /// of milliseconds for each.
    ///
    /// # Errors
    /// [`Unusable`]: the file that cannot be read, or a hash that is none.
    pub fn users(&self) -> Result<Vec<User>, Unusable> {
        let users = self.user.iter();
        users.map(|(name, section)| section.read(name)).collect()
    }
}

impl UserSection {
    fn read(&self, name: &str) -> Result<User, Unusable> {
        let wrong = |error: &dyn std::fmt::Display| Unusable::from(format!("user {name}: {error}"));
        let hash = secret(
            self.password_hash.as_ref(),
            self.password_hash_file.as_deref(),
        );
        let password = match hash.map_err(|error| wrong(&error))? {
            Some(hash) => HashedPassword::parse(hash.expose()),
            None => {
                let plain = secret(None, self.password_file.as_deref());
                let plain = plain.map_err(|error| wrong(&error))?;
                HashedPassword::of(plain.as_ref().map_or("", |plain| plain.expose()))
            }
        };
        Ok(User {
            name: name.to_owned(),
            password: password.map_err(|error| wrong(&error))?,
            // Looked at when the settings were read.
            root: root_of(&self.root).ok_or_else(|| wrong(&"`root` names no directory"))?,
            may: self.may.clone(),
        })
    }

    fn passwords(&self) -> usize {
        let given = [
            self.password_hash.is_some(),
            self.password_hash_file.is_some(),
            self.password_file.is_some(),
        ];
        given.into_iter().filter(|is_given| *is_given).count()
    }
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let mut found = Vec::new();
    for (name, user) in &config.user {
        let mut wrong = |key: Option<&'static str>, words: String, help| {
            let path = ["user", name].into_iter().chain(key);
            found.push((path.collect(), format!("`user.{name}` {words}"), help));
        };
        let is_name = !name.is_empty() && name.len() <= LONGEST_NAME;
        if !is_name || name.contains(|c: char| c == ':' || c.is_control()) {
            let help =
                "a name has 1 to 64 bytes and no `:`, which separates name and password in a login";
            wrong(None, "has no name that can log in".into(), help);
        }
        if user.passwords() != 1 {
            wrong(
                None,
                "needs one password".into(),
                "set one of `password_hash`, `password_hash_file` and `password_file`; `debridfs config hash-password` makes a hash",
            );
        }
        let hash = user.password_hash.as_ref();
        if let Some(Err(error)) = hash.map(|hash| HashedPassword::parse(hash.expose())) {
            wrong(
                Some("password_hash"),
                format!("has no `password_hash`: {error}"),
                "`debridfs config hash-password` makes one",
            );
        }
        if root_of(&user.root).is_none() {
            let words = format!("cannot have the root {:?}", user.root);
            let help =
                "write a directory relative to the root of the library, without `.` and `..`";
            wrong(Some("root"), words, help);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use debridfs_listen::Right;

    use crate::testing::{loaded, mistakes};

    #[test]
    fn a_user_has_a_password_a_root_and_rights() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "good\n").unwrap();
        let text = format!(
            "[user.anna]\npassword_file = {:?}\nroot = \"/films/\"\n[user.berta]\n\
             password_hash = '$argon2id$v=19$m=8,t=1,p=1$Y29uc3RhbnQgc2FsdA$bm8gcGFzc3dvcmQgaGFzIHRoaXMgaGFzaCwgMzIgYi4'\n",
            secret.display().to_string()
        );
        let may = ("DEBRIDFS__USER__BERTA__MAY", "read, manage");
        let config = loaded(&text, &[may]).unwrap().config;
        let users = config.users().unwrap();
        let [anna, berta] = &users[..] else {
            panic!("{users:?}");
        };
        assert!(anna.password.is_of("good") && anna.name == "anna");
        assert_eq!(
            (anna.root.as_str(), &anna.may[..]),
            ("films", &[Right::Read][..])
        );
        assert_eq!(
            (berta.root.as_str(), &berta.may[..]),
            ("", &[Right::Read, Right::Manage][..])
        );
        std::fs::write(&secret, "\n").unwrap();
        let error = config.users().unwrap_err().to_string();
        assert!(
            error.contains("user anna") && error.contains("empty"),
            "{error}"
        );
    }

    #[test]
    fn users_that_could_not_log_in_are_refused() {
        let words = mistakes;
        assert!(words("[user.anna]\n").contains("needs one password"));
        let two = "[user.anna]\npassword_file = \"/a\"\npassword_hash_file = \"/b\"\n";
        assert!(words(two).contains("needs one password"));
        let plain = words("[user.anna]\npassword_hash = \"hunter2\"\n");
        assert!(
            plain.contains("password_hash") && !plain.contains("hunter2"),
            "{plain}"
        );
        let file = "password_file = \"/a\"\n";
        assert!(words(&format!("[user.\"an:na\"]\n{file}")).contains("no name"));
        let up = format!("[user.anna]\n{file}root = \"/a/../b\"\n");
        assert!(words(&up).contains("cannot have the root"));
        assert!(!words(&format!("[user.anna]\n{file}may = [\"write\"]\n")).is_empty());
    }
}
