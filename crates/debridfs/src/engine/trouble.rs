//! What is said of a part that cannot be opened.

use std::fmt::Display;

use debridfs_base::Trouble;

use debridfs_config::{Config, Unusable};

/// A file of the state directory cannot be used.
pub fn of_state(config: &Config, error: impl Display) -> Trouble {
    let user = rustix::process::geteuid().as_raw();
    let dir = config.state_dir.display();
    Trouble::new(
        error,
        format!(
            "user {user} has to be able to read and write it, and {dir} needs room; it is tried again by itself"
        ),
    )
}

/// A setting cannot be used.
pub fn of_setting(error: &Unusable) -> Trouble {
    Trouble::new(
        error,
        "mend the file or the setting; a file is read again by itself, settings by `debridfs upgrade`",
    )
}
