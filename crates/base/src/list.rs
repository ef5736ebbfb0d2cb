//! Lists that a variable may hold as text: JSON, or words with commas between them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;

/// For `#[serde(deserialize_with = "list::deserialize")]` on a [`Vec`].
///
/// # Errors
/// What is given is no list of what belongs there.
pub fn deserialize<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    struct List<T>(PhantomData<T>);
    impl<'de, T: DeserializeOwned> Visitor<'de> for List<T> {
        type Value = Vec<T>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a list of words")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            let text = text.trim();
            let words = match text.starts_with('[') {
                true => serde_json::from_str(text).unwrap_or(Value::Null),
                false => text
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .collect(),
            };
            // What was given may be a secret, so it is not repeated.
            serde_json::from_value(words)
                .map_err(|_| E::custom("not a list of the words that belong here"))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }
    from.deserialize_any(List(PhantomData))
}
