//! Values as people write them: `"10s"`, `"0022"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time: `"30s"`, `"1h 30m"`, `"250ms"`, or a number of seconds.
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
        let wanted = || format!("not a duration: {text:?}; write it like 10s, 250ms or 1h 30m");
        if let Ok(seconds) = text.trim().parse() {
            return Ok(Self::from_secs(seconds));
        }
        let parsed: SignedDuration = text.trim().parse().map_err(|_| wanted())?;
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

/// Permission bits taken away, written as octal digits in a string: `"0022"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u16);

impl Umask {
    /// Others may look, nobody else may write.
    pub const DEFAULT: Self = Self(0o022);
}

impl FromStr for Umask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        u16::from_str_radix(text.trim().trim_start_matches("0o"), 8)
            .ok()
            .filter(|bits| *bits <= 0o777)
            .map(Self)
            .ok_or_else(|| format!("not a umask: {text:?}; write octal digits like \"0022\""))
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04o}", self.0)
    }
}

/// A program and its first arguments: `["curl", "-X", "POST"]`, or the program alone as text. Empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CommandLine(pub Vec<String>);

impl FromStr for CommandLine {
    type Err = String;

    /// A variable holds text only, so a list is read out of it.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.starts_with('[') {
            let program = (!text.is_empty()).then(|| text.to_owned());
            return Ok(Self(program.into_iter().collect()));
        }
        #[derive(Deserialize)]
        struct List {
            list: Vec<String>,
        }
        toml::from_str::<List>(&format!("list = {text}"))
            .map(|list| Self(list.list))
            .map_err(|error| format!("not a list of words: {}", error.message()))
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> de::Visitor<'de> for Words {
            type Value = CommandLine;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a program, or a list of a program and its arguments")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<CommandLine, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<CommandLine, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(CommandLine(words))
            }
        }
        from.deserialize_any(Words)
    }
}

/// Text and numbers; a number is read as its text.
struct TextOrNumber<T>(std::marker::PhantomData<T>, &'static str);

impl<T: FromStr<Err = String>> de::Visitor<'_> for TextOrNumber<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.1)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextOrNumber(
            std::marker::PhantomData,
            "a duration such as \"10s\"",
        ))
    }
}

impl<'de> Deserialize<'de> for Umask {
    /// Text only: a number such as 22 would leave open whether its digits were meant as octal ones.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Umask {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("250ms", 250),
            ("1h 30m", 5_400_000),
            ("6h", 21_600_000),
            ("10", 10_000),
            ("0s", 0),
        ] {
            let parsed: HumanDuration = text.parse().unwrap();
            assert_eq!(parsed.0, Duration::from_millis(millis), "{text}");
        }
        for text in ["", "-1s", "soon", "10 parsecs"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn command_lines_are_words_or_a_program() {
        let words = |text: &str| text.parse::<CommandLine>().unwrap().0;
        assert_eq!(words("/bin/x y"), ["/bin/x y"]);
        assert_eq!(words("[\"a\", \"b c\"]"), ["a", "b c"]);
        assert!(words("").is_empty());
        assert!("[1".parse::<CommandLine>().is_err());
    }

    #[test]
    fn a_umask_is_octal() {
        assert_eq!("022".parse::<Umask>().unwrap().0, 0o022);
        assert_eq!("0o077".parse::<Umask>().unwrap().0, 0o077);
        assert!("0888".parse::<Umask>().is_err());
        assert!("1777".parse::<Umask>().is_err());
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
            let _ = text.parse::<Umask>();
        }
    }
}
