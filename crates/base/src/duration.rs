//! Lengths of time as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time: `"30s"`, `"1h 30m"`, `"250ms"`, `"7d"`, or a number of seconds, which may be a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("not a duration: {text:?}; write it like 10s, 250ms, 1h 30m or 7d");
        let trimmed = text.trim();
        if let Ok(seconds) = trimmed.parse() {
            return Ok(Self::from_secs(seconds));
        }
        if let Ok(seconds) = trimmed.parse() {
            return Duration::try_from_secs_f64(seconds)
                .map(Self)
                .map_err(|_| wanted());
        }
        // Of days and weeks a calendar has shorter and longer ones; here a day is 24 hours.
        let with_days = || {
            let span: Span = trimmed.parse().ok()?;
            span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
        };
        let parsed: Option<SignedDuration> = trimmed.parse().ok().or_else(with_days);
        let parsed = parsed.ok_or_else(wanted)?;
        Duration::try_from(parsed).map(Self).map_err(|_| wanted())
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(signed) => write!(out, "{signed:#}"),
            Err(_) => write!(out, "{}s", self.0.as_secs()),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl de::Visitor<'_> for TextOrNumber {
            type Value = HumanDuration;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a duration such as \"10s\", or a number of seconds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<HumanDuration, E> {
                Ok(HumanDuration::from_secs(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<HumanDuration, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<HumanDuration, E> {
                self.visit_str(&number.to_string())
            }
        }
        from.deserialize_any(TextOrNumber)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// For `#[serde(with = "human_duration")]` on a [`Duration`].
pub mod human_duration {
    use super::*;

    /// Reads as [`HumanDuration`] does.
    ///
    /// # Errors
    /// It is not one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        HumanDuration::deserialize(from).map(|time| time.0)
    }

    /// Writes what [`HumanDuration`] shows.
    ///
    /// # Errors
    /// Of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        HumanDuration(*value).serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Table {
        #[serde(with = "human_duration")]
        time: Duration,
    }

    #[test]
    fn durations_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("250ms", 250),
            ("1h 30m", 5_400_000),
            ("6h", 21_600_000),
            ("7d", 604_800_000),
            ("1w 2d 3h", 788_400_000),
            ("10", 10_000),
            ("1.5", 1_500),
            ("0s", 0),
        ] {
            let parsed: HumanDuration = text.parse().unwrap();
            assert_eq!(parsed.0, Duration::from_millis(millis), "{text}");
        }
        for text in [
            "",
            "-1s",
            "-1",
            "-0.5",
            "inf",
            "nan",
            "1e300",
            "soon",
            "10 parsecs",
            "1 month",
            "-7d",
        ] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_holds_text_or_a_number() {
        for (given, millis) in [("'250ms'", 250), ("30", 30_000), ("0.5", 500)] {
            let table: Table = toml::from_str(&format!("time = {given}")).unwrap();
            assert_eq!(table.time, Duration::from_millis(millis), "{given}");
        }
        for given in ["-1", "-0.5", "inf", "true", "'soon'"] {
            assert!(
                toml::from_str::<Table>(&format!("time = {given}")).is_err(),
                "{given}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(millis in 0u64..1 << 50) {
            let time = HumanDuration(Duration::from_millis(millis));
            prop_assert_eq!(time.to_string().parse::<HumanDuration>(), Ok(time));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<HumanDuration>();
        }
    }
}
