//! What users may set about the cache.

use debridfs_base::ByteSize;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[content.cache]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Most bytes that it takes on disk for what was played or copied.
    pub size: ByteSize,
    /// Most bytes that it takes on disk, besides, for heads and tails of files, which playback never displaces.
    pub probe_size: ByteSize,
    /// Bytes of the volume that are left to others; the lesser of 5 GiB and a twentieth of the volume when absent.
    pub keep_free: Option<KeepFree>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            size: ByteSize(20 << 30),
            probe_size: ByteSize(4 << 30),
            keep_free: None,
        }
    }
}

impl CacheConfig {
    /// What is to be left free of a volume of `volume` bytes.
    pub(crate) fn reserve(&self, volume: u64) -> u64 {
        match self.keep_free {
            None => (5 << 30).min(volume / 20),
            Some(KeepFree::Bytes(bytes)) => bytes.0,
            Some(KeepFree::Percent(share)) => volume / 100 * u64::from(share),
        }
    }
}

/// How much of a volume is left to others: a size, or a share such as `"5%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepFree {
    /// So many bytes.
    Bytes(ByteSize),
    /// So much of the volume, 0 to 100 [%].
    Percent(u8),
}

impl Serialize for KeepFree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => bytes.serialize(to),
            Self::Percent(share) => to.collect_str(&format_args!("{share}%")),
        }
    }
}

impl<'de> Deserialize<'de> for KeepFree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        let invalid = "a size such as \"5 GiB\", or whole percents of the volume such as \"5%\"";
        match Written::deserialize(from)
            .map_err(|_| D::Error::custom(format!("it has to be {invalid}")))?
        {
            Written::Bytes(bytes) => Ok(Self::Bytes(ByteSize(bytes))),
            Written::Text(text) => match text.trim().strip_suffix('%') {
                Some(share) => share
                    .trim()
                    .parse()
                    .ok()
                    .filter(|share| *share <= 100)
                    .map(Self::Percent)
                    .ok_or_else(|| D::Error::custom(format!("{text:?} is not {invalid}"))),
                None => text
                    .parse()
                    .map(Self::Bytes)
                    .map_err(|_| D::Error::custom(format!("{text:?} is not {invalid}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<CacheConfig, serde_json::Error> {
        serde_json::from_str(&format!("{{\"keep_free\": {value}}}"))
    }

    #[test]
    fn what_is_left_to_others_is_a_size_or_a_share_and_is_written_as_it_is_read() {
        for (value, reserve) in [
            ("0", 0),
            ("\"0%\"", 0),
            ("\"5%\"", 50_000),
            ("\" 12 % \"", 120_000),
            ("\"1 KiB\"", 1024),
            ("7", 7),
            ("null", 50_000),
        ] {
            let config = read(value).unwrap();
            assert_eq!(config.reserve(1_000_000), reserve, "{value}");
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(
                serde_json::from_str::<CacheConfig>(&written).unwrap(),
                config
            );
        }
        for value in [
            "\"101%\"", "\"-1%\"", "\"%\"", "\"2.5%\"", "\"much\"", "-1", "true",
        ] {
            let said = read(value).unwrap_err().to_string();
            assert!(said.contains("whole percents of the volume"), "{said}");
        }
    }
}
