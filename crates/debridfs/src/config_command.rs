//! `debridfs config check` and `debridfs config show`.

use std::path::Path;

use crate::config::{self, Environment, ProviderSection};
use crate::failure::{Doing, Failure, USAGE};

/// Says whether the configuration can be used.
pub fn check(file: Option<&Path>) -> Result<(), Failure> {
    let loaded = config::load(file, &Environment::of_process())?;
    for note in &loaded.notes {
        println!("note: {note}");
    }
    for provider in loaded.config.provider.values() {
        let ProviderSection::RealDebrid(keys) = provider;
        keys.validate()
            .map_err(|error| Failure::new(error.to_string(), None).with_code(USAGE))?;
    }
    let from = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "environment and defaults".into(),
    };
    let providers = loaded.config.provider.len();
    println!("valid: {from}, {providers} provider(s)");
    Ok(())
}

/// Prints what is in force, as a configuration file.
pub fn show(file: Option<&Path>) -> Result<(), Failure> {
    let loaded = config::load(file, &Environment::of_process())?;
    let mut table = toml::Table::try_from(&loaded.config).doing(|| "configuration".into())?;
    if let Some(folders) = loaded.folders {
        let folders = toml::Value::try_from(folders).doing(|| "folders".into())?;
        table.insert("folders".into(), folders);
    }
    let text = toml::to_string(&table).doing(|| "configuration".into())?;
    print!("{text}");
    Ok(())
}
