//! `[folders.NAME]` as it is written.

use std::fmt;

use debridfs_base::ByteSize;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::quantity::{Age, count};

/// A custom folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// What it shows.
    pub filters: Filters,
    /// Of the folders of one group, a release shows in the first only whose filters hold.
    pub group: Option<String>,
    /// Smaller ones are asked first within the group; folders of equal order by name.
    #[serde(default)]
    pub group_order: i64,
    /// Shows only the largest file of each release.
    #[serde(default)]
    pub only_show_the_biggest_file: bool,
    /// Providers whose copies of a file are read first below it.
    #[serde(default)]
    pub order: Vec<String>,
    /// What films are shown as.
    #[serde(default, rename = "as")]
    pub shown_as: ShownAs,
}

/// What the films of a folder are shown as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShownAs {
    /// Themselves.
    #[default]
    Files,
    /// `.strm` files, each of which holds an address that plays the film.
    Strm,
}

/// The two shapes of `filters`.
#[derive(Debug, Clone)]
pub enum Filters {
    /// A table: all must hold.
    All(Box<Conditions>),
    /// A list: one item must hold.
    Any(Vec<Conditions>),
}

impl<'de> Deserialize<'de> for Filters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = Filters;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a table of conditions, or a list of such tables")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Filters, A::Error> {
                let conditions = Conditions::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Filters::All(Box::new(conditions)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Filters, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Filters::Any)
            }
        }
        deserializer.deserialize_any(Shapes)
    }
}

/// Conditions on a release; those given must all hold. Names are compared with the release's shown name, file conditions with file names without directories.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// The name holds this text.
    pub include: Option<String>,
    /// The name does not hold this text.
    pub exclude: Option<String>,
    /// The name begins so.
    pub starts_with: Option<String>,
    /// The name does not begin so.
    pub not_starts_with: Option<String>,
    /// The name ends so.
    pub ends_with: Option<String>,
    /// The name does not end so.
    pub not_ends_with: Option<String>,
    /// The name is this.
    pub exact_match: Option<String>,
    /// The name is not this.
    pub not_exact_match: Option<String>,
    /// The name matches; `/…/i` as in zurg, or the bare expression.
    pub regex: Option<String>,
    /// The name does not match.
    pub not_regex: Option<String>,
    /// More bytes than this.
    pub size_gt: Option<ByteSize>,
    /// Fewer bytes than this.
    pub size_lt: Option<ByteSize>,
    /// At least as many bytes.
    pub size_gte: Option<ByteSize>,
    /// At most as many bytes.
    pub size_lte: Option<ByteSize>,
    /// Added no longer ago than this.
    pub last_added: Option<Age>,
    /// More files than this.
    #[serde(deserialize_with = "count")]
    pub file_count_gt: Option<u64>,
    /// Fewer files than this.
    #[serde(deserialize_with = "count")]
    pub file_count_lt: Option<u64>,
    /// A file's name matches.
    #[serde(alias = "any_file_inside_regex")]
    pub files_regex: Option<String>,
    /// No file's name matches.
    #[serde(alias = "any_file_inside_not_regex")]
    pub not_files_regex: Option<String>,
    /// The name holds this text, in any case.
    pub contains: Option<String>,
    /// The name holds exactly this text.
    pub contains_strict: Option<String>,
    /// The name does not hold this text, in any case.
    pub not_contains: Option<String>,
    /// The name does not hold exactly this text.
    pub not_contains_strict: Option<String>,
    /// A file's name holds this text, in any case.
    pub any_file_inside_contains: Option<String>,
    /// A file's name holds exactly this text.
    pub any_file_inside_contains_strict: Option<String>,
    /// No file's name holds this text, in any case.
    pub any_file_inside_not_contains: Option<String>,
    /// No file's name holds exactly this text.
    pub any_file_inside_not_contains_strict: Option<String>,
    /// A file has at least as many bytes.
    pub any_file_inside_size_gte: Option<ByteSize>,
    /// A file has at most as many bytes.
    pub any_file_inside_size_lte: Option<ByteSize>,
    /// Whether names tell of episodes (`S01E02`, `1x02`).
    pub has_episodes: Option<bool>,
    /// Whether there is audio and no video.
    pub is_music: Option<bool>,
    /// All of these hold.
    pub and: Option<Vec<Conditions>>,
    /// One of these holds.
    pub or: Option<Vec<Conditions>>,
}
