//! What users may set about reading.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

/// A shorter time-out would give up every connection.
const LEAST_TIMEOUT: Duration = Duration::from_millis(100);

/// Settings of the reader; the defaults suit a home line and a media player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentConfig {
    /// Limit of all buffers together. A reader that waits gets the bytes it waits for even above it, nothing more.
    pub memory: ByteSize,
    /// How far one reader may be fetched ahead, at most.
    pub read_ahead: ByteSize,
    /// How much behind a reader is kept for short steps back.
    pub keep_behind: ByteSize,
    /// A CDN that gives no first byte for so long is asked again on another connection; doubled for the next attempt and
    /// the one after, so that a slow CDN is not given up for ever. At least 100.
    pub first_byte_timeout_ms: u64,
    /// A connection without progress for so long is replaced by another. At least 100.
    pub stall_timeout_ms: u64,
    /// After so long without a read a reader's connection is closed.
    pub idle_connection_ms: u64,
    /// After so long without a read a reader's memory is given back.
    pub idle_memory_ms: u64,
}

impl Default for ContentConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize(512 << 20),
            read_ahead: ByteSize(16 << 20),
            keep_behind: ByteSize(1 << 20),
            first_byte_timeout_ms: 5_000,
            stall_timeout_ms: 5_000,
            idle_connection_ms: 10_000,
            idle_memory_ms: 30_000,
        }
    }
}

impl ContentConfig {
    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms).max(LEAST_TIMEOUT)
    }

    /// Time for the first byte at the `attempt`-th attempt in a row, from 0.
    pub(crate) fn first_byte_timeout(&self, attempt: u32) -> Duration {
        Duration::from_millis(self.first_byte_timeout_ms)
            .max(LEAST_TIMEOUT)
            .saturating_mul(1 << attempt.min(2))
    }

    pub(crate) fn idle_connection(&self) -> Duration {
        Duration::from_millis(self.idle_connection_ms)
    }

    pub(crate) fn idle_memory(&self) -> Duration {
        Duration::from_millis(self.idle_memory_ms)
    }
}

/// A number of bytes; read from an integer or from text such as `"512 MiB"` (K, M, G and T count by 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// The text was not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a size such as \"512 MiB\": {0:?}")]
pub struct InvalidByteSize(pub String);

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let invalid = || InvalidByteSize(text.chars().take(64).collect());
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(invalid()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(invalid)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number of bytes, or text such as \"512 MiB\"")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ByteSize, E> {
                u64::try_from(value)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<ByteSize, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_text_and_nonsense_is_refused() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("512 MiB", 512 << 20),
            ("1g", 1 << 30),
            ("3 KB", 3 << 10),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5G", "12 parsecs", "99999999999999 T"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

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
