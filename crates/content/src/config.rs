//! What users may set about reading.

use std::path::PathBuf;
use std::time::Duration;

use crate::tuning::content::LEAST_TIMEOUT;
use debridfs_base::ByteSize;
use debridfs_cache::CacheConfig;
use debridfs_cdn::CdnConfig;
use serde::{Deserialize, Serialize};

/// Settings of the reader; the defaults suit a home line and a media player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentConfig {
    /// Limit of all buffers together. A reader that waits gets the bytes it waits for even above it, nothing more.
    pub memory: ByteSize,
    /// How far one reader may be fetched ahead, at most.
    pub read_ahead: ByteSize,
    /// How many seconds of a file's bit rate one reader may be fetched ahead, once it showed its rate by reading without having to wait.
    pub read_ahead_seconds: u64,
    /// How much behind a reader is kept for short steps back.
    pub keep_behind: ByteSize,
    /// A CDN that gives no first byte for so long is asked again on another connection; doubled for the next attempt and
    /// the one after, so that a slow CDN is not given up for ever. At least 100.
    pub first_byte_timeout_ms: u64,
    /// A connection without progress for so long is replaced by another: less than the 5 s after which a reader is to have one. At least
    /// 100.
    pub stall_timeout_ms: u64,
    /// After so long without a read a reader's connection is closed.
    pub idle_connection_ms: u64,
    /// After so long without a read a reader's memory is given back.
    pub idle_memory_ms: u64,
    /// The cache on disk.
    pub cache: CacheConfig,
    /// Heads and tails of new files.
    pub probe: ProbeConfig,
    /// Where the histories of files are kept ([`crate::Content::history`]); set by the program.
    #[serde(skip)]
    pub event_log: Option<PathBuf>,
    /// Where it is kept which new files are still to be filled ([`crate::Content::unfilled`]); set by the program.
    #[serde(skip)]
    pub fill_log: Option<PathBuf>,
}

/// `[content.probe]`: the probe cache is filled with whatever is read of a file's first 4 MiB and last MiB; this is about filling it ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Whether head and tail of each film of a new release are fetched when it appears.
    pub fill_new: bool,
    /// How much of the head; 4 MiB at most.
    pub fill_head: ByteSize,
    /// How much of the tail; 1 MiB at most.
    pub fill_tail: ByteSize,
    /// Files filled in an hour, at most: each costs a link, and head and tail in bytes.
    pub fill_per_hour: u32,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            fill_new: true,
            fill_head: ByteSize(2 << 20),
            fill_tail: ByteSize(1 << 20),
            fill_per_hour: 120,
        }
    }
}

impl Default for ContentConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize(320 << 20),
            read_ahead: ByteSize(40 << 20),
            read_ahead_seconds: 8,
            keep_behind: ByteSize(1 << 20),
            first_byte_timeout_ms: 5_000,
            stall_timeout_ms: 4_000,
            idle_connection_ms: 10_000,
            idle_memory_ms: 30_000,
            cache: CacheConfig::default(),
            probe: ProbeConfig::default(),
            event_log: None,
            fill_log: None,
        }
    }
}

impl ContentConfig {
    /// The part about fetching.
    pub(crate) fn cdn(&self) -> CdnConfig {
        let limit = |millis| Duration::from_millis(millis).max(LEAST_TIMEOUT);
        CdnConfig {
            first_byte_timeout: limit(self.first_byte_timeout_ms),
            stall_timeout: limit(self.stall_timeout_ms),
            event_log: self.event_log.clone(),
        }
    }

    pub(crate) fn idle_connection(&self) -> Duration {
        Duration::from_millis(self.idle_connection_ms)
    }

    pub(crate) fn idle_memory(&self) -> Duration {
        Duration::from_millis(self.idle_memory_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_unknown_ones_are_refused() {
        let config: ContentConfig = toml::from_str("memory = '64 MiB'\nread_ahead = 4096").unwrap();
        let expected = ContentConfig {
            memory: ByteSize(64 << 20),
            read_ahead: ByteSize(4096),
            ..ContentConfig::default()
        };
        assert_eq!(config, expected);
        assert!(toml::from_str::<ContentConfig>("memmory = 1").is_err());
        assert!(toml::from_str::<ContentConfig>("memory = -1").is_err());
    }
}
