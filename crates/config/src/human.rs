//! Values as people write them: `"0022"`, `["curl", "-X", "POST"]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Permission bits taken away, written as octal digits in a string: `"0022"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u16);

impl Umask {
    /// Others may look, nobody else may write.
    pub const DEFAULT: Self = Self(0o022);

    /// What it takes from files and directories that are made. Their owner's bits stay: of a mount, which is read-only, people take
    /// them all (0222), and with those nobody could write what is made.
    pub fn of_files(self) -> rustix::fs::Mode {
        rustix::fs::Mode::from_raw_mode(u32::from(self.0 & 0o077))
    }
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

impl<'de> Deserialize<'de> for Umask {
    /// Text only: a number such as 22 would leave open whether its digits were meant as octal ones.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
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
        fn no_text_panics(text: String) {
            let _ = text.parse::<Umask>();
        }
    }
}
