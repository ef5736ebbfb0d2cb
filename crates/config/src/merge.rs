//! Values of the file with those of variables over them, read as what they have to be.

use std::collections::BTreeMap;

use debridfs_provider::{AccountConfig, vendors};
use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::problem::Origin;
use super::{Environment, Problem};

/// Keys whose values are not repeated in messages.
const SECRET_KEYS: [&str; 7] = [
    "token",
    "download_tokens",
    "proxy",
    "cdn_proxy",
    "password",
    "password_hash",
    "api_key",
];

/// Values by path, and where each came from.
#[derive(Default)]
pub(super) struct Merge {
    pub(super) values: Dict,
    pub(super) origins: BTreeMap<Vec<String>, Origin>,
    /// What was wrong so far.
    pub(super) problems: Vec<Problem>,
}

impl Merge {
    pub(super) fn file(&mut self, text: &str) {
        let parsed = toml::from_str::<toml::Table>(text);
        match parsed {
            Ok(table) => match Value::serialize(table) {
                Ok(values) => self.values = values.into_dict().unwrap_or_default(),
                Err(error) => self.problem(error.to_string(), None, Origin::Unknown),
            },
            Err(error) => {
                let origin = error.span().map_or(Origin::Unknown, |span| {
                    Origin::Line(line_of(text, span.start))
                });
                self.problem(format!("not valid TOML: {}", error.message()), None, origin);
            }
        }
        if let Ok(table) = DeTable::parse(text) {
            self.note_origins(text, table.get_ref(), &mut Vec::new());
        }
    }

    fn note_origins(&mut self, text: &str, table: &DeTable<'_>, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let origin = Origin::Line(line_of(text, key.span().start));
            self.origins.insert(path.clone(), origin);
            if let DeValue::Table(inner) = value.get_ref() {
                self.note_origins(text, inner, path);
            }
            path.pop();
        }
    }

    pub(super) fn variables(&mut self, environment: &Environment) {
        for key in &environment.keys {
            let origin = Origin::Variable(key.variable.clone());
            if key.path.iter().any(String::is_empty) {
                let help = "write DEBRIDFS__SECTION__KEY, such as DEBRIDFS__PROVIDER__RD__TOKEN";
                self.problem("names no key".into(), Some(help.into()), origin);
                continue;
            }
            if insert(&mut self.values, &key.path, &key.value) {
                for depth in 1..=key.path.len() {
                    self.origins
                        .entry(key.path[..depth].to_vec())
                        .or_insert_with(|| origin.clone());
                }
                self.origins.insert(key.path.clone(), origin);
            } else {
                let message = "leads through a value that is no section".into();
                self.problem(message, None, origin);
            }
        }
    }

    /// Takes the providers' tables out of the values, and reads each over the defaults of its kind.
    pub(super) fn providers(&mut self) -> BTreeMap<String, AccountConfig> {
        let names: Vec<String> = match self.values.get("provider") {
            Some(Value::Dict(_, tables)) => tables.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let mut found = BTreeMap::new();
        for name in names {
            let path = ["provider".to_owned(), name.clone()];
            let kind_path = [&path[..], &["kind".to_owned()]].concat();
            let word = find(&self.values, &kind_path).and_then(Value::as_str);
            let word = word.unwrap_or(vendors::KINDS[0].word).to_owned();
            let Some(kind) = vendors::kind_of(&word) else {
                let message = format!("`provider.{name}.kind` cannot be {word:?}");
                let help = Some(supported(&word, vendors::words()));
                self.problem(message, help, self.origin(&kind_path));
                continue;
            };
            let defaults = Value::serialize(AccountConfig::of(kind));
            let defaults = defaults.ok().and_then(Value::into_dict).unwrap_or_default();
            if let Some(mut config) = self.typed_over::<AccountConfig>(&path, &defaults) {
                config.name.clone_from(&name);
                self.one_token(&path, &mut config);
                found.insert(name, config);
            }
        }
        // A `provider` that is no table is left for the whole to complain about.
        if matches!(self.values.get("provider"), Some(Value::Dict(..))) {
            self.values.remove("provider");
        }
        found
    }

    /// A token, or its file, given by a variable stands in the place of what the file says.
    fn one_token(&self, path: &[String], config: &mut AccountConfig) {
        let by_variable = |key: &str| {
            let path = [path, &[key.to_owned()]].concat();
            matches!(self.origins.get(&path), Some(Origin::Variable(_)))
        };
        match (by_variable("token"), by_variable("token_file")) {
            (true, false) => config.token_file = None,
            (false, true) => config.token = None,
            _ => {}
        }
    }

    /// The values at `prefix` as a `T`. Unknown keys are noted and left out, so that one run finds them all.
    pub(super) fn typed<T: DeserializeOwned>(&mut self, prefix: &[String]) -> Option<T> {
        self.typed_over(prefix, &Dict::new())
    }

    /// As [`Self::typed`], with `defaults` for keys that are not given.
    fn typed_over<T: DeserializeOwned>(&mut self, prefix: &[String], defaults: &Dict) -> Option<T> {
        loop {
            let value = match prefix {
                [] => Value::from(self.values.clone()),
                _ => find(&self.values, prefix)?.clone(),
            };
            let values =
                Figment::from(Serialized::defaults(defaults)).merge(Serialized::defaults(value));
            let error = match values.extract_lossy::<T>() {
                Ok(typed) => return Some(typed),
                Err(error) => error,
            };
            let path = [prefix, &error.path[..]].concat();
            let (message, help, removed) = match &error.kind {
                Kind::UnknownField(name, expected) => {
                    let message = format!("unknown key `{}`", path.join("."));
                    (message, suggestion(name, expected), true)
                }
                Kind::InvalidType(..) if lacks_name(&path) => {
                    let (section, key) = (&path[0], &path[1]);
                    let message = format!("`{section}.{key}` stands in no `[{section}.NAME]`");
                    let help = match section.as_str() {
                        "provider" => "write `[provider.rd]`, and the account's keys below it",
                        "arr" => "write `[arr.sonarr]`, and its keys below it",
                        _ => "write `[hook.plex]`, and its keys below it",
                    };
                    (message, Some(help.to_owned()), true)
                }
                Kind::UnknownVariant(found, expected) => {
                    let message = format!("`{}` cannot be {found:?}", path.join("."));
                    (message, suggestion(found, expected), true)
                }
                Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected)
                    if is_secret(&path) =>
                {
                    let message = format!("`{}` has to be {expected}", path.join("."));
                    (message, Some("write it in quotes".to_owned()), true)
                }
                Kind::MissingField(name) if !path.is_empty() => {
                    let message = format!("`{}` has no `{name}`", path.join("."));
                    (message, Some(missing(&path[0], name)), true)
                }
                kind if path.is_empty() => (kind.to_string(), Some(KEYS.to_owned()), false),
                kind => {
                    let message = format!("`{}`: {kind}", path.join("."));
                    (message, Some(KEYS.to_owned()), true)
                }
            };
            let origin = self.origin(&path);
            self.problem(message, help, origin);
            if !removed || !remove(&mut self.values, &path) {
                return None;
            }
        }
    }

    fn origin(&self, path: &[String]) -> Origin {
        (1..=path.len())
            .rev()
            .find_map(|depth| self.origins.get(&path[..depth]))
            .cloned()
            .unwrap_or(Origin::Unknown)
    }

    fn problem(&mut self, message: String, help: Option<String>, origin: Origin) {
        self.problems.push(Problem {
            message,
            help,
            origin,
        });
    }
}

/// Where all keys are.
const KEYS: &str = "docs/configuration.md tells what each key may be";

/// What to do about a section without a key that it needs.
fn missing(section: &str, key: &str) -> String {
    match (section, key) {
        ("hook", "kind") => {
            "add `kind = \"plex\"`, or jellyfin, emby, webhook or discord (docs/hooks.md)".into()
        }
        _ => format!("add `{key}`; {KEYS}"),
    }
}

/// Puts `value` at `path`, making sections on the way; false if there is a value in the way.
fn insert(values: &mut Dict, path: &[String], value: &str) -> bool {
    match path {
        [] => false,
        [last] => {
            values.insert(last.clone(), Value::from(value));
            true
        }
        [first, rest @ ..] => {
            let section = values
                .entry(first.clone())
                .or_insert_with(|| Value::from(Dict::new()));
            match section {
                Value::Dict(_, inner) => insert(inner, rest, value),
                _ => false,
            }
        }
    }
}

fn find<'a>(values: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(values.get(first)?, |value, key| value.as_dict()?.get(key))
}

fn is_secret(path: &[String]) -> bool {
    // Not the last alone: an element of a list has a path of its own.
    path.iter().any(|key| SECRET_KEYS.contains(&key.as_str()))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&b| b == b'\n').count()
}

fn remove(values: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => values.remove(last).is_some(),
        [first, rest @ ..] => match values.get_mut(first) {
            Some(Value::Dict(_, inner)) => remove(inner, rest),
            _ => false,
        },
    }
}

/// Whether `path` is a key of a section that needs a name, which was left out.
fn lacks_name(path: &[String]) -> bool {
    path.len() == 2 && matches!(path[0].as_str(), "provider" | "arr" | "hook")
}

/// Another spelling of one of them, or all of them: another vendor's name is no misspelling.
fn supported(found: &str, expected: &[&str]) -> String {
    let bare = |name: &str| name.replace(['-', '_', ' '], "").to_lowercase();
    match expected.iter().find(|name| bare(name) == bare(found)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!(
            "{found:?} is not supported yet; only: {}",
            expected.join(", ")
        ),
    }
}

/// The nearest of what could have been meant, or all of it.
fn suggestion(found: &str, expected: &[&str]) -> Option<String> {
    let nearest = expected
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min();
    match nearest {
        Some((_, name)) => Some(format!("did you mean `{name}`?")),
        None if expected.is_empty() => None,
        None => Some(format!("one of: {}", expected.join(", "))),
    }
}
