//! What is handed to a provider.

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use crate::InfoHash;
use crate::bencode::Value;

/// What is handed to a provider.
#[derive(Debug, Clone)]
pub enum Addition {
    /// A magnet.
    Magnet(String),
    /// The bytes of a `.torrent` file.
    Torrent(Bytes),
}

impl Addition {
    /// The v1 info-hash of what is added, if it has one.
    pub fn info_hash(&self) -> Option<InfoHash> {
        match self {
            Self::Magnet(magnet) => of_magnet(magnet),
            Self::Torrent(torrent) => {
                let info = Value::parse(torrent).ok()?.get("info")?;
                // Without pieces it is BitTorrent v2 alone.
                info.get("pieces")?;
                Some(InfoHash(Sha1::digest(info.raw()).into()))
            }
        }
    }
}

/// The first info-hash of a magnet. Several topics are written `xt.1`, `xt.2`.
fn of_magnet(magnet: &str) -> Option<InfoHash> {
    let (_, query) = magnet.split_once('?')?;
    let mut topics = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "xt" || key.starts_with("xt."));
    topics.find_map(|(_, topic)| {
        let topic = topic.to_ascii_lowercase();
        InfoHash::from_digits(topic.strip_prefix("urn:btih:")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magnet_tells_its_hash_in_any_way() {
        let hash = InfoHash([0xab; 20]);
        let upper = hash.to_string().to_ascii_uppercase();
        let base32 = data_encoding::BASE32_NOPAD.encode(&hash.0);
        for magnet in [
            format!("magnet:?xt=urn:btih:{hash}&dn=a"),
            format!("magnet:?dn=a&xt=urn:BTIH:{upper}"),
            format!("magnet:?xt.1=urn:btmh:1220ab&xt.2=urn:btih:{base32}"),
            format!("magnet:?xt=urn%3Abtih%3A{hash}"),
        ] {
            assert_eq!(
                Addition::Magnet(magnet.clone()).info_hash(),
                Some(hash),
                "{magnet}"
            );
        }
        for other in ["", "magnet:", "magnet:?xt=urn:btih:short", "magnet:?dn=x"] {
            assert_eq!(
                Addition::Magnet(other.to_owned()).info_hash(),
                None,
                "{other}"
            );
        }
    }

    #[test]
    fn the_hash_of_a_torrent_is_that_of_its_info_as_it_stands_there() {
        let info = "d6:lengthi5e4:name5:a.mkv6:pieces20:aaaaaaaaaaaaaaaaaaaae";
        let torrent = |info: &str| Addition::Torrent(format!("d4:info{info}e\n").into());
        let hash = InfoHash(Sha1::digest(info).into());
        assert_eq!(torrent(info).info_hash(), Some(hash));
        assert_eq!(torrent("d4:name5:a.mkve").info_hash(), None, "v2 alone");
        assert_eq!(Addition::Torrent("x".into()).info_hash(), None);
    }
}
