//! What is carried over, what is not and why, and the file that comes of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// What became of one of their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is `key = value` now.
    Carried(String),
    /// It is not, for this reason.
    LeftOut(String),
    /// Nobody here knows what it means.
    Unknown,
}

/// A setting of theirs, as its path in their configuration, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub theirs: String,
    pub outcome: Outcome,
}

/// A secret, to be kept in a file of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    pub path: PathBuf,
    pub text: String,
}

/// A vendor whose accounts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OurKind {
    /// What `kind` says of its accounts.
    pub word: &'static str,
    /// The vendor's limit of calls, which none of ours can be above.
    pub calls_per_minute: u32,
}

/// What our configuration takes.
#[derive(Debug, Clone, Copy)]
pub struct Ours {
    /// All vendors.
    pub kinds: &'static [OurKind],
    /// Whether a key takes a value, or why not. It is asked about `library.folder_naming`,
    /// `acquire.action` and each table `folders.NAME`.
    pub takes: fn(key: &[&str], value: &toml::Value) -> Result<(), String>,
}

impl Ours {
    /// The vendor that another program calls `theirs`: they differ in case and hyphens alone.
    pub fn kind_of(&self, theirs: &str) -> Option<OurKind> {
        let bare = |word: &str| {
            let letters = word.chars().filter(char::is_ascii_alphanumeric);
            letters.collect::<String>().to_ascii_lowercase()
        };
        let wanted = bare(theirs);
        let mut kinds = self.kinds.iter().copied();
        kinds.find(|kind| bare(kind.word) == wanted)
    }
}

/// A key of ours, or a table with all that is in it, that turned out not to be usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub key: Vec<String>,
    pub why: String,
}

/// A configuration of ours in the making.
pub struct Plan {
    pub ours: Ours,
    /// The directory of their configuration.
    pub their_dir: PathBuf,
    refused: Vec<Refused>,
    values: toml::Table,
    /// Which setting of theirs a key comes from.
    origins: Vec<(Vec<String>, String)>,
    /// Keys whose values are not shown.
    hidden: Vec<Vec<String>>,
    secrets_dir: PathBuf,
    pub secrets: Vec<SecretFile>,
    pub rows: Vec<Row>,
}

impl Plan {
    /// Nothing yet; secrets will lie in `secrets_dir`, and what is `refused` is left out.
    pub fn new(secrets_dir: &Path, their_dir: &Path, refused: &[Refused], ours: Ours) -> Self {
        Self {
            ours,
            their_dir: their_dir.to_owned(),
            refused: refused.to_vec(),
            values: toml::Table::new(),
            origins: Vec::new(),
            hidden: Vec::new(),
            secrets_dir: secrets_dir.to_owned(),
            secrets: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Whether `key` takes `value`, or why not.
    pub fn takes(&self, key: &[&str], value: &toml::Value) -> Result<(), String> {
        (self.ours.takes)(key, value)
    }

    /// Sets a key; what was set before stays, as the more particular setting is asked first.
    pub fn set(&mut self, key: &[&str], value: impl Into<toml::Value>, theirs: &str) {
        let value = value.into();
        let shown = format!("{} = {}", key.join("."), self.shown(key, &value));
        let mut refused = self.refused.iter();
        if let Some(found) = refused.find(|one| key.starts_with(&parts(&one.key))) {
            let why = found.why.clone();
            return self.leave_out(theirs, &why);
        }
        if self.get(key) == Some(&value) {
            return self.row(theirs, Outcome::Carried(shown));
        }
        if !insert(&mut self.values, key, value) {
            let first = format!("`{}` was set by another setting already", key.join("."));
            return self.leave_out(theirs, &first);
        }
        let path = key.iter().map(ToString::to_string).collect();
        self.origins.push((path, theirs.to_owned()));
        self.row(theirs, Outcome::Carried(shown));
    }

    /// As `set`, of a value that is shown nowhere but in the file.
    pub fn set_hidden(&mut self, key: &[&str], value: &str, theirs: &str) {
        self.hidden
            .push(key.iter().map(ToString::to_string).collect());
        self.set(key, value, theirs);
    }

    /// A secret goes to the file `name`; the path of that file.
    pub fn keep_secret(&mut self, name: &str, text: &str) -> String {
        let path = self.secrets_dir.join(name);
        let shown = path.to_string_lossy().into_owned();
        let text = format!("{}\n", text.trim());
        self.secrets.push(SecretFile { path, text });
        shown
    }

    /// It is not carried over.
    pub fn leave_out(&mut self, theirs: &str, why: &str) {
        self.row(theirs, Outcome::LeftOut(why.to_owned()));
    }

    /// Whatever nobody took is not understood.
    pub fn unknown(&mut self, path: &str, left: Map<String, Value>) {
        for key in left.keys() {
            self.row(&joined(path, key), Outcome::Unknown);
        }
    }

    /// Whether a key is set.
    pub fn has(&self, key: &[&str]) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key.
    pub fn get(&self, key: &[&str]) -> Option<&toml::Value> {
        let (last, sections) = key.split_last()?;
        let mut table = &self.values;
        for section in sections {
            table = table.get(*section)?.as_table()?;
        }
        table.get(*last)
    }

    /// The names in a table.
    pub fn names(&self, table: &str) -> Vec<String> {
        let table = self.values.get(table).and_then(toml::Value::as_table);
        table.map_or_else(Vec::new, |table| table.keys().cloned().collect())
    }

    /// Keeps no secret of a setting that was left out.
    pub fn forget_unused_secrets(&mut self) {
        let text = self.render("", false);
        let is_used = |secret: &SecretFile| text.contains(&*secret.path.to_string_lossy());
        self.secrets.retain(is_used);
    }

    /// The file; without secrets if it is only to be looked at.
    pub fn render(&self, header: &str, to_be_shown: bool) -> String {
        self.write_out(header, to_be_shown).0
    }

    /// The key, or the table, that stands in this line of the file, from 1.
    pub fn key_at(&self, header: &str, line: usize) -> Option<Vec<String>> {
        let (_, places) = self.write_out(header, false);
        let mut places = places.into_iter();
        places.find(|(at, _)| *at == line).map(|(_, key)| key)
    }

    fn write_out(&self, header: &str, to_be_shown: bool) -> (String, Vec<Place>) {
        let (mut text, mut places) = (String::new(), Vec::new());
        for line in header.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let path = &mut Vec::new();
        self.section((&mut text, &mut places), path, &self.values, to_be_shown);
        (text, places)
    }

    /// Whether the file itself holds a secret.
    pub fn holds_secrets(&self) -> bool {
        !self.hidden.is_empty()
    }

    fn section(
        &self,
        (out, places): (&mut String, &mut Vec<Place>),
        path: &mut Vec<String>,
        table: &toml::Table,
        to_be_shown: bool,
    ) {
        // Filters are shorter in one line; all other tables are sections.
        let is_section = |key: &str, value: &toml::Value| value.is_table() && key != "filters";
        let values = table.iter().filter(|(key, value)| !is_section(key, value));
        let mut begun = path.is_empty();
        for (key, value) in values {
            if !std::mem::replace(&mut begun, true) {
                head(out, places, path);
            }
            path.push(key.clone());
            places.push((out.lines().count() + 1, path.clone()));
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            let shown = if to_be_shown {
                self.shown(&keys, value)
            } else {
                value.to_string()
            };
            let origin = self.origins.iter().find(|(of, _)| of == path);
            let origin = origin.map_or_else(String::new, |(_, theirs)| format!("  # {theirs}"));
            let _ = writeln!(out, "{} = {shown}{origin}", quoted(key));
            path.pop();
        }
        for (key, value) in table.iter().filter(|(key, value)| is_section(key, value)) {
            let Some(inner) = value.as_table() else {
                continue;
            };
            path.push(key.clone());
            if inner.is_empty() {
                head(out, places, path);
            }
            self.section((out, places), path, inner, to_be_shown);
            path.pop();
        }
    }

    fn shown(&self, key: &[&str], value: &toml::Value) -> String {
        match self.hidden.iter().any(|hidden| hidden.iter().eq(key)) {
            true => "\"<hidden>\"".to_owned(),
            false => value.to_string(),
        }
    }

    fn row(&mut self, theirs: &str, outcome: Outcome) {
        let theirs = theirs.to_owned();
        self.rows.push(Row { theirs, outcome });
    }
}

/// A line of the file, from 1, and what stands in it.
type Place = (usize, Vec<String>);

fn head(out: &mut String, places: &mut Vec<Place>, path: &[String]) {
    let names: Vec<String> = path.iter().map(|name| quoted(name)).collect();
    // After an empty one.
    places.push((out.lines().count() + 2, path.to_vec()));
    let _ = writeln!(out, "\n[{}]", names.join("."));
}

fn parts(key: &[String]) -> Vec<&str> {
    key.iter().map(String::as_str).collect()
}

/// A key as TOML wants it.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        return key.to_owned();
    }
    toml::Value::from(key).to_string()
}

fn insert(table: &mut toml::Table, key: &[&str], value: toml::Value) -> bool {
    match key {
        [] => false,
        [last] => {
            let free = !table.contains_key(*last);
            if free {
                table.insert((*last).to_owned(), value);
            }
            free
        }
        [first, rest @ ..] => {
            let section = table
                .entry((*first).to_owned())
                .or_insert_with(|| toml::Table::new().into());
            section
                .as_table_mut()
                .is_some_and(|inner| insert(inner, rest, value))
        }
    }
}

/// `path.key`.
pub fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Takes a value that says something as text: numbers and yes or no as they are written, nothing for empty ones.
pub fn take(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    match map.remove(key)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        // Of another shape than it is known to have.
        other => {
            if !other.is_null() {
                map.insert(key.to_owned(), other);
            }
            None
        }
    }
}

/// Takes a list of such values.
pub fn take_list(map: &mut Map<String, Value>, key: &str) -> Vec<String> {
    let Some(Value::Array(list)) = map.get(key) else {
        return Vec::new();
    };
    let words: Option<Vec<String>> = list
        .iter()
        .map(|item| match item {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    // Of another shape than it is known to have: left to be told.
    let Some(mut words) = words else {
        return Vec::new();
    };
    words.retain(|word| !word.is_empty());
    map.remove(key);
    words
}

/// Takes a section.
pub fn take_map(map: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match map.remove(key) {
        Some(Value::Object(inner)) => inner,
        Some(Value::Null) | None => Map::new(),
        Some(other) => {
            map.insert(key.to_owned(), other);
            Map::new()
        }
    }
}
