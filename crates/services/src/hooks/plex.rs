//! Plex: which of its libraries holds a path, and a scan of that path alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::Method;
use serde::Deserialize;

use crate::{CallError, Caller};

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "MediaContainer")]
    container: Container,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "Directory", default)]
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    key: String,
    #[serde(rename = "Location", default)]
    locations: Vec<Location>,
}

#[derive(Deserialize)]
struct Location {
    path: PathBuf,
}

/// Scans `paths` in the libraries that hold them; those in none are nothing to Plex.
pub(super) async fn scan<'a>(
    caller: &Caller,
    paths: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), CallError> {
    let said = caller.ask(Method::GET, "/library/sections", None).await?;
    let said: Answer =
        serde_json::from_value(said).map_err(|error| CallError::Odd(error.to_string()))?;
    let mut scans: BTreeSet<(&str, &Path)> = BTreeSet::new();
    for path in paths {
        for section in &said.container.sections {
            let mut locations = section.locations.iter();
            if locations.any(|location| path.starts_with(&location.path)) {
                scans.insert((&section.key, path));
            }
        }
    }
    for (key, path) in scans {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("path", &path.to_string_lossy())
            .finish();
        let call = format!("/library/sections/{key}/refresh?{query}");
        caller.call(Method::GET, &call, None).await?;
    }
    Ok(())
}
