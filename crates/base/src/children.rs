//! What programs that this one starts are not handed.

use std::ffi::{OsStr, OsString};

/// Begins the names of all variables that are ours.
const OURS: &[u8] = b"DEBRIDFS_";
/// Those among them that say where an instance is, and hold no secret: a hook may ask it something.
const PLACES: [&str; 2] = ["DEBRIDFS_CONFIG", "DEBRIDFS_CONTROL"];

/// Variables of this process that a child has no use for, and that may hold tokens and passwords: to be removed from its
/// environment. Whatever it prints of that ends in the log, and all of it can be read in `/proc/PID/environ`.
pub fn private_variables() -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| is_private(name)).collect()
}

fn is_private(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(OURS) && !PLACES.iter().any(|place| name == *place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_private_and_other_peoples_variables_are_not() {
        for name in [
            "DEBRIDFS__PROVIDER__RD__TOKEN",
            "DEBRIDFS__MOUNT__PATH",
            "DEBRIDFS_TOKEN",
        ] {
            assert!(is_private(OsStr::new(name)), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "PLEX_TOKEN",
            "DEBRIDFS_CONTROL",
            "debridfs__x",
        ] {
            assert!(!is_private(OsStr::new(name)), "{name}");
        }
    }
}
