//! Ages and counts as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The text is not an age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time such as \"24h\" or \"7d\"")]
pub struct InvalidAge(String);

/// A length of time: a text such as `"24h"`, `"7d"`, `"1w2d"` or `"90m"`; units `s`, `m`, `h`, `d`, `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = InvalidAge;

    fn from_str(text: &str) -> Result<Self, InvalidAge> {
        let invalid = || InvalidAge(text.to_owned());
        let mut rest = text.trim();
        let mut seconds = 0u64;
        if rest.is_empty() {
            return Err(invalid());
        }
        while !rest.is_empty() {
            let unit_at = rest
                .find(|c: char| !c.is_ascii_digit())
                .ok_or_else(invalid)?;
            let number: u64 = rest[..unit_at].parse().map_err(|_| invalid())?;
            let unit = match rest.as_bytes()[unit_at] {
                b's' => 1,
                b'm' => 60,
                b'h' => 3600,
                b'd' => 86_400,
                b'w' => 604_800,
                _ => return Err(invalid()),
            };
            seconds = number
                .checked_mul(unit)
                .and_then(|part| seconds.checked_add(part))
                .filter(|sum| *sum < 1 << 33)
                .ok_or_else(invalid)?;
            rest = rest[unit_at + 1..].trim_start();
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A count: a number, or its digits as text, as decypharr has it.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct AsCount;
    impl Visitor<'_> for AsCount {
        type Value = u64;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a number of files")
        }
        fn visit_i64<E: Error>(self, count: i64) -> Result<u64, E> {
            u64::try_from(count).map_err(|_| E::custom("a number of files is not negative"))
        }
        fn visit_u64<E: Error>(self, count: u64) -> Result<u64, E> {
            Ok(count)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            text.trim()
                .parse()
                .map_err(|_| E::custom(format!("{text:?} is not a number of files")))
        }
    }
    deserializer.deserialize_any(AsCount).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (text, seconds) in [
            ("90s", 90),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1w2d", 777_600),
            ("1h 30m", 5400),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Age(Duration::from_secs(seconds))),
                "{text}"
            );
        }
        for text in ["", "7", "d", "7y", "-1d", "1.5d", "99999999999999w"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }
}
