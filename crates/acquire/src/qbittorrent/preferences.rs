//! `app/preferences`: what is true here, and for the rest what a fresh qBittorrent says, as tools expect the keys.

use serde_json::{Map, Value, json};

use super::view::GLOBAL_RATIO;
use crate::Acquire;

/// Keys of 4.5 and 5.1 that mean nothing here.
const REST: &str = include_str!("preferences.json");

/// The preferences.
pub(super) fn of(acquire: &Acquire) -> Map<String, Value> {
    let mut all: Map<String, Value> = serde_json::from_str(REST).unwrap_or_default();
    let ours = json!({
        "save_path": acquire.config().downloads,
        "temp_path": acquire.config().downloads,
        // With DHT an arr takes a magnet without trackers, and waits for one that is being resolved.
        "dht": true,
        "queueing_enabled": true,
        // Nothing is shared: the limit is reached at once, and what happens then is "stop".
        "max_ratio_enabled": true,
        "max_ratio": GLOBAL_RATIO,
        "max_ratio_act": 0,
        "max_seeding_time_enabled": false,
        "max_seeding_time": -1,
        "max_inactive_seeding_time_enabled": false,
        "max_inactive_seeding_time": -1,
        "bypass_local_auth": false,
    });
    if let Value::Object(ours) = ours {
        all.extend(ours);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let rest: Map<String, Value> = serde_json::from_str(REST).unwrap();
        assert!(rest.len() > 100);
    }
}
