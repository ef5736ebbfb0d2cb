//! Tokens that let programs in without a user. Only their hashes are kept, so each is shown once; any of them can be revoked.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Caller, Right, digest, random};

/// The token that the addresses in `.strm` files are made with. Nobody knows its text, and it lets nothing be done but
/// read by such an address.
pub const OWN: &str = "strm";
/// Letters of a name, at most.
const LONGEST_NAME: usize = 64;

/// Why a token could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is one of this name.
    #[error("there is a token {0:?}")]
    Exists(String),
    /// There is none of this name.
    #[error("there is no token {0:?}")]
    Unknown(String),
    /// Not a name.
    #[error("{0:?} cannot be the name of a token: letters, digits, `-`, `_` and `.`, at most 64")]
    BadName(String),
    /// No random numbers.
    #[error("no random numbers")]
    NoRandom,
    /// The tokens could not be read yet, so nobody knows which there are.
    #[error("the tokens cannot be read; see `debridfs status`")]
    Unread,
    /// The file could not be read or written; nothing changed.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What whoever shows it may do.
    #[serde(flatten)]
    pub rights: TokenRights,
    /// SHA-256 of its text, in hexadecimal.
    hash: String,
}

impl Token {
    fn new(name: &str, rights: TokenRights, text: &str, created: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            created,
            rights,
            hash: hash(text),
        }
    }

    fn caller(&self) -> Caller {
        let TokenRights { root, may } = self.rights.clone();
        Caller {
            name: self.name.clone(),
            root,
            may,
        }
    }
}

/// What whoever shows a token may do; by default read all of the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TokenRights {
    /// See [`Caller::root`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// See [`Caller::may`].
    pub may: Vec<Right>,
}

impl Default for TokenRights {
    fn default() -> Self {
        Self {
            root: String::new(),
            may: vec![Right::Read],
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Whether `tokens` are those of the file.
    read: bool,
    tokens: Vec<Token>,
}

/// All tokens, in a file.
#[derive(Debug)]
pub struct Tokens {
    dir: PathBuf,
    state: RwLock<State>,
    /// Held by one change at a time. Readers are let in meanwhile: the disk may take its time.
    changing: Mutex<()>,
}

impl Tokens {
    /// Those in `dir`, not read yet: until [`Self::load`] nobody is let in, and none can be made or
    /// revoked.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            state: RwLock::default(),
            changing: Mutex::default(),
        }
    }

    /// Reads `http-tokens.json`; there need not be one. One that cannot be understood is moved aside, and its tokens let
    /// nobody in. Does nothing once it was read.
    ///
    /// # Errors
    /// [`TokenError::File`]: it cannot be read now. It may be tried again.
    pub fn load(&self, now: Timestamp) -> Result<(), TokenError> {
        let table = self.dir.join(TABLE);
        let _one = self.changing.lock();
        if !self.read().read {
            let tokens = state_file::load_json::<Vec<Token>>(&table, now);
            let tokens = tokens.map_err(|error| TokenError::File { path: table, error })?;
            let mut state = self.state.write();
            state.tokens = tokens.unwrap_or_default();
            state.read = true;
        }
        Ok(())
    }

    /// The directory that changes are written to.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Token> {
        self.read().tokens.clone()
    }

    /// As [`Self::list`], once it is known which there are.
    fn known(&self) -> Result<Vec<Token>, TokenError> {
        match self.read().read {
            true => Ok(self.list()),
            false => Err(TokenError::Unread),
        }
    }

    /// Whether `text` is one of them. What is compared are hashes, whose time tells nothing about the text.
    pub fn is_good(&self, text: &str) -> bool {
        let hash = hash(text);
        self.read().tokens.iter().any(|token| token.hash == hash)
    }

    /// Who shows `text`, if it is one of them.
    pub fn caller(&self, text: &str) -> Option<Caller> {
        let hash = hash(text);
        let state = self.read();
        let token = state.tokens.iter().find(|token| token.hash == hash)?;
        Some(token.caller())
    }

    /// What the token `name` signs with, and who shows what it signed.
    pub(crate) fn signing(&self, name: &str) -> Option<(String, Caller)> {
        let state = self.read();
        let token = state.tokens.iter().find(|token| token.name == name)?;
        Some((token.hash.clone(), token.caller()))
    }

    /// Makes [`OWN`] if it is not there. Writes a file.
    ///
    /// # Errors
    /// [`TokenError::NoRandom`], [`TokenError::Unread`], [`TokenError::File`].
    pub fn make_own(&self, now: Timestamp) -> Result<(), TokenError> {
        self.put_own(now, false)
    }

    /// Puts another [`OWN`] in the place of the one there is: no address that was made before opens anything. Writes a
    /// file.
    ///
    /// # Errors
    /// As [`Self::make_own`]; the old one is good then.
    pub fn replace_own(&self, now: Timestamp) -> Result<(), TokenError> {
        self.put_own(now, true)
    }

    fn put_own(&self, now: Timestamp, replace: bool) -> Result<(), TokenError> {
        let _one = self.changing.lock();
        let mut tokens = self.known()?;
        let is_there = tokens.iter().any(|token| token.name == OWN);
        if is_there && !replace {
            return Ok(());
        }
        let text = random().map_err(|_| TokenError::NoRandom)?;
        let rights = TokenRights {
            root: String::new(),
            may: Vec::new(),
        };
        tokens.retain(|token| token.name != OWN);
        tokens.push(Token::new(OWN, rights, &text, now));
        self.put(tokens)
    }

    /// Makes a token; its text, which is not kept. Writes a file.
    ///
    /// # Errors
    /// All of [`TokenError`] but [`TokenError::Unknown`].
    pub fn create(
        &self,
        name: &str,
        rights: TokenRights,
        now: Timestamp,
    ) -> Result<String, TokenError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            return Err(TokenError::BadName(name.to_owned()));
        }
        let text = random().map_err(|_| TokenError::NoRandom)?;
        let _one = self.changing.lock();
        let mut tokens = self.known()?;
        if tokens.iter().any(|token| token.name == name) {
            return Err(TokenError::Exists(name.to_owned()));
        }
        tokens.push(Token::new(name, rights, &text, now));
        self.put(tokens)?;
        Ok(text)
    }

    /// Takes a token back: from now on nobody is let in by it. Writes a file.
    ///
    /// # Errors
    /// [`TokenError::Unknown`], [`TokenError::File`].
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        let _one = self.changing.lock();
        let mut tokens = self.known()?;
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() == before {
            return Err(TokenError::Unknown(name.to_owned()));
        }
        self.put(tokens)
    }

    /// Stores these tokens, and then lets them in.
    fn put(&self, tokens: Vec<Token>) -> Result<(), TokenError> {
        let path = self.dir.join(TABLE);
        let written = serde_json::to_string_pretty(&tokens).map_err(io::Error::from);
        let written = written.and_then(|text| {
            fs::create_dir_all(&self.dir)?;
            // For nobody else's eyes.
            replace_file(&path, text.as_bytes())
        });
        written.map_err(|error| TokenError::File { path, error })?;
        self.state.write().tokens = tokens;
        Ok(())
    }
}

const TABLE: &str = "http-tokens.json";

fn hash(text: &str) -> String {
    HEXLOWER.encode(&digest(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn load(dir: &Path) -> Tokens {
        let tokens = Tokens::new(dir);
        tokens.load(Timestamp::UNIX_EPOCH).unwrap();
        tokens
    }

    #[test]
    fn a_token_is_good_until_it_is_revoked_and_its_text_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let tokens = load(dir.path());
        let kodi = tokens.create("kodi", TokenRights::default(), now).unwrap();
        let other = tokens.create("other", TokenRights::default(), now).unwrap();
        assert!(tokens.is_good(&kodi) && tokens.is_good(&other) && !tokens.is_good(""));
        assert!(matches!(
            tokens.create("kodi", TokenRights::default(), now),
            Err(TokenError::Exists(_))
        ));
        for bad in ["", "a/b", "a b", &"x".repeat(65)] {
            assert!(
                matches!(
                    tokens.create(bad, TokenRights::default(), now),
                    Err(TokenError::BadName(_))
                ),
                "{bad}"
            );
        }
        let path = dir.path().join(TABLE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&kodi), "{text}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = load(dir.path());
        assert!(again.is_good(&kodi));
        again.revoke("kodi").unwrap();
        assert!(!again.is_good(&kodi) && again.is_good(&other));
        assert!(matches!(again.revoke("kodi"), Err(TokenError::Unknown(_))));
        assert!(!load(dir.path()).is_good(&kodi));
    }

    #[test]
    fn a_token_tells_who_shows_it_and_one_of_an_older_version_reads_all() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let rights = TokenRights {
            root: "films".into(),
            may: vec![Right::Manage],
        };
        let text = load(dir.path()).create("anna", rights, now).unwrap();
        let anna = load(dir.path()).caller(&text).unwrap();
        assert_eq!((anna.name.as_str(), anna.root.as_str()), ("anna", "films"));
        assert!(anna.may(Right::Manage) && !anna.may(Right::Read));

        let (created, hash) = ("1970-01-01T00:00:00Z", hash("old"));
        let table = format!(r#"[{{"name":"kodi","created":"{created}","hash":"{hash}"}}]"#);
        fs::write(dir.path().join(TABLE), table).unwrap();
        let kodi = load(dir.path()).caller("old").unwrap();
        assert!(kodi.root.is_empty() && kodi.may == [Right::Read]);
        assert_eq!(load(dir.path()).caller("older"), None);
    }

    #[test]
    fn the_own_token_stays_over_a_restart_and_lets_nobody_in_by_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let tokens = load(dir.path());
        let key = |tokens: &Tokens| tokens.signing(OWN).map(|(key, _)| key);
        assert_eq!(key(&tokens), None);
        tokens.make_own(now).unwrap();
        let first = key(&tokens).unwrap();
        let again = load(dir.path());
        again.make_own(now).unwrap();
        assert_eq!(key(&again).as_ref(), Some(&first));
        assert!(again.list()[0].rights.may.is_empty());
        again.replace_own(now).unwrap();
        assert_ne!(key(&again).unwrap(), first);
        assert_eq!(key(&load(dir.path())), key(&again));
        assert_eq!(again.list().len(), 1);
    }

    #[test]
    fn a_table_that_cannot_be_read_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let tokens = load(dir.path());
        let kodi = tokens.create("kodi", TokenRights::default(), now).unwrap();
        fs::write(dir.path().join(TABLE), "{").unwrap();
        let again = load(dir.path());
        assert!(!again.is_good(&kodi) && again.list().is_empty());
        again.make_own(now).unwrap();
        // What was there is neither lost nor overwritten.
        let aside = state_file::moved_aside_in(dir.path());
        let kept: Vec<_> = aside.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(kept, [b"{".to_vec()]);
    }

    #[test]
    fn while_the_table_cannot_be_read_nobody_is_let_in_and_it_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let kodi = load(dir.path())
            .create("kodi", TokenRights::default(), now)
            .unwrap();
        let (table, was) = (dir.path().join(TABLE), dir.path().join("was"));
        fs::rename(&table, &was).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &table).unwrap();
        let tokens = Tokens::new(dir.path());
        let error = tokens.load(now).unwrap_err();
        assert!(matches!(error, TokenError::File { .. }), "{error}");
        assert!(!tokens.is_good(&kodi) && tokens.list().is_empty());
        for refused in [
            tokens
                .create("other", TokenRights::default(), now)
                .map(drop),
            tokens.revoke("kodi"),
            tokens.make_own(now),
        ] {
            assert!(matches!(refused, Err(TokenError::Unread)), "{refused:?}");
        }
        assert!(table.is_symlink());
        fs::rename(&was, &table).unwrap();
        tokens.load(now).unwrap();
        assert!(tokens.is_good(&kodi));
    }
}
