//! What names a release, whichever account holds it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::InfoHash;

/// What names a release: the same in every account that holds it, on every node, for ever.
///
/// Its text is that of the info-hash, or `usenet-`, `web-` or `cloud-` with 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentId {
    /// A torrent's info-hash.
    Torrent(InfoHash),
    /// A digest of what names a thing of that kind, which has no info-hash.
    Digest(ContentKind, [u8; 20]),
}

/// What a release without an info-hash was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// An NZB.
    Usenet,
    /// A file of a web host.
    Web,
    /// A folder or file of a provider's own cloud, of which nothing else is told.
    Cloud,
}

/// The text names no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an info-hash or id of a release: {0:?}")]
pub struct InvalidContentId(pub String);

impl ContentKind {
    const ALL: [Self; 3] = [Self::Usenet, Self::Web, Self::Cloud];

    fn word(self) -> &'static str {
        match self {
            Self::Usenet => "usenet",
            Self::Web => "web",
            Self::Cloud => "cloud",
        }
    }
}

impl ContentId {
    /// The id of what `name` names: bytes that are the same at every provider, such as an NZB's
    /// message ids in their order. The digest is the first 160 bits of SHA-256 over them.
    pub fn of(kind: ContentKind, name: &[u8]) -> Self {
        let digest = Sha256::digest(name);
        Self::Digest(kind, std::array::from_fn(|index| digest[index]))
    }

    /// The info-hash, if it has one.
    pub fn info_hash(&self) -> Option<InfoHash> {
        match self {
            Self::Torrent(hash) => Some(*hash),
            Self::Digest(..) => None,
        }
    }

    /// The bytes that ids of its files and directories are made of: those of the info-hash alone,
    /// or the kind's word and the digest. No two ids have the same.
    pub fn id_bytes(&self) -> Vec<u8> {
        match self {
            Self::Torrent(hash) => hash.0.to_vec(),
            Self::Digest(kind, digest) => [kind.word().as_bytes(), digest].concat(),
        }
    }

    /// The 40 hexadecimal digits of its info-hash or digest.
    pub fn digits(&self) -> String {
        let (Self::Torrent(InfoHash(bytes)) | Self::Digest(_, bytes)) = self;
        InfoHash(*bytes).to_string()
    }
}

impl From<InfoHash> for ContentId {
    fn from(hash: InfoHash) -> Self {
        Self::Torrent(hash)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torrent(hash) => hash.fmt(out),
            Self::Digest(kind, digest) => write!(out, "{}-{}", kind.word(), InfoHash(*digest)),
        }
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for ContentId {
    type Err = InvalidContentId;

    fn from_str(text: &str) -> Result<Self, InvalidContentId> {
        let invalid = |_| InvalidContentId(text.chars().take(64).collect());
        let kind = |kind: ContentKind| {
            let digits = text.strip_prefix(kind.word())?.strip_prefix('-')?;
            Some((kind, digits))
        };
        match ContentKind::ALL.into_iter().find_map(kind) {
            Some((kind, digits)) => {
                let InfoHash(digest) = digits.parse().map_err(invalid)?;
                Ok(Self::Digest(kind, digest))
            }
            None => text.parse().map(Self::Torrent).map_err(invalid),
        }
    }
}

impl Serialize for ContentId {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_torrent_is_its_info_hash() {
        let hash = InfoHash([0xab; 20]);
        let id = ContentId::from(hash);
        assert_eq!(id.to_string(), "ab".repeat(20));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.info_hash(), Some(hash));
        assert_eq!(id.id_bytes(), hash.0, "ids of today are made of these");
        assert_eq!(id.digits(), id.to_string());
    }

    #[test]
    fn kinds_have_ids_of_their_own() {
        let usenet = ContentId::of(ContentKind::Usenet, b"<1@news>");
        let web = ContentId::of(ContentKind::Web, b"<1@news>");
        let cloud = ContentId::of(ContentKind::Cloud, b"<1@news>");
        let digest = "09411776d19696144a3d649cc5df3142a33889fc";
        assert_ne!(usenet.id_bytes(), web.id_bytes());
        for (id, word) in [(usenet, "usenet"), (web, "web"), (cloud, "cloud")] {
            assert_eq!(id.digits(), digest);
            assert_eq!(id.to_string(), format!("{word}-{digest}"));
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.info_hash(), None);
        }
    }

    #[test]
    fn other_texts_name_no_release() {
        let digits = "0".repeat(40);
        for text in [
            "",
            "usenet-",
            "web-12",
            &digits[1..],
            &format!("ftp-{digits}"),
            &format!("usenet{digits}"),
        ] {
            assert!(text.parse::<ContentId>().is_err(), "{text}");
        }
    }
}
