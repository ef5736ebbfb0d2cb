//! Configurations of tests.

use crate::{ConfigError, Environment, Loaded, load};

/// Loads a file of `text` with these variables, by name and value.
pub(crate) fn loaded(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("debridfs.toml");
    std::fs::write(&file, text).unwrap();
    let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
    load(Some(&file), &Environment::of(variables))
}

/// The messages about a file of `text` that has mistakes, a line each.
pub(crate) fn mistakes(text: &str) -> String {
    match loaded(text, &[]).unwrap_err() {
        ConfigError::Invalid { problems, .. } => {
            let messages = problems.into_iter().map(|one| one.message);
            messages.collect::<Vec<_>>().join("\n")
        }
        other => panic!("{other}"),
    }
}
