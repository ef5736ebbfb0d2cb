//! Sizes as people write and read them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

/// A number of bytes; read from an integer or from text such as `"512 MiB"` or `"1.5GB"`. `K`, `M`, `G` and `T`, with or without `B`
/// or `iB`, count by 1024, as in decypharr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// The sum of `sizes`, at most [`u64::MAX`]: sizes are told by strangers.
pub fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// The text was not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size such as \"512 MiB\" or \"1.5GB\"")]
pub struct InvalidByteSize(pub String);

impl fmt::Display for ByteSize {
    /// In units of 1024 with one digit behind the point: `1.5 KiB`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < units.len() {
            value /= 1024.0;
            unit += 1;
        }
        match unit {
            0 => out.pad(&format!("{} B", self.0)),
            _ => out.pad(&format!("{value:.1} {}", units[unit])),
        }
    }
}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let invalid = || InvalidByteSize(text.chars().take(64).collect());
        let trimmed = text.trim();
        let unit_at = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(unit_at);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(invalid()),
        };
        let unit = 1u64 << shift;
        // Whole numbers stay exact beyond what a float can hold.
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(unit).map(Self).ok_or_else(invalid);
        }
        let bytes = number.parse::<f64>().map_err(|_| invalid())? * unit as f64;
        // 2^64 is the first number that does not fit.
        if bytes >= u64::MAX as f64 {
            return Err(invalid());
        }
        Ok(Self(bytes as u64))
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
                    .map_err(|_| E::custom("a size is not negative"))
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
    use proptest::prelude::*;

    #[test]
    fn sums_of_what_strangers_tell_do_not_wrap() {
        assert_eq!(total([1, 2, 3]), 6);
        assert_eq!(total([u64::MAX, u64::MAX]), u64::MAX);
    }

    #[test]
    fn sizes_are_read_from_text_and_nonsense_is_refused() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("512 MiB", 512 << 20),
            ("1g", 1 << 30),
            ("3 KB", 3 << 10),
            ("700MB", 700 << 20),
            ("1.5 GiB", 3 << 29),
            (" 2 tb ", 2 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            ".",
            "1.2.3",
            "12 parsecs",
            "99999999999 TB",
            "18446744073709551616",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_units_of_1024() {
        assert_eq!(ByteSize(0).to_string(), "0 B");
        assert_eq!(ByteSize(1023).to_string(), "1023 B");
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
        assert_eq!(format!("{:>9}", ByteSize(1536)), "  1.5 KiB");
        assert_eq!(ByteSize(u64::MAX).to_string(), "16384.0 PiB");
    }

    proptest! {
        #[test]
        fn whole_numbers_are_exact_and_no_text_panics(bytes: u64, text: String) {
            prop_assert_eq!(bytes.to_string().parse(), Ok(ByteSize(bytes)));
            let _ = text.parse::<ByteSize>();
        }
    }
}
