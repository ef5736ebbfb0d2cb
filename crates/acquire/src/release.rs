//! What an arr hands in: a magnet or a `.torrent`, and the info-hash that names it from then on.

use bytes::Bytes;
use debridfs_base::terminal::cleaned;
use debridfs_provider::InfoHash;
use debridfs_provider::bencode::{MOST_VALUES, Unreadable, Value};
use sha1::{Digest, Sha1};

/// The longest magnet that is read; the longest seen in the field have a hundred trackers and stay below 16 KiB.
const LONGEST_MAGNET: usize = 64 << 10;
/// The longest display name that is kept, in bytes.
const LONGEST_NAME: usize = 1024;

/// The largest `.torrent` that is read, in bytes: what the pages take. Those of the largest releases
/// in the field are some MiB, most of it the hashes of pieces.
const LARGEST_TORRENT: usize = 16 << 20;
/// Files of one release. Each is looked at, read and linked by itself, hours of calls for so many.
pub(crate) const MOST_FILES: usize = 100_000;

/// Why something was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Neither a magnet nor an info-hash.
    #[error("not a magnet link")]
    NotAMagnet,
    /// A web address; only magnets and files are taken.
    #[error(
        "a web address: give the magnet link or the info-hash in its place; a .torrent file goes in on the page Queue"
    )]
    WebAddress,
    /// A magnet without a usable `xt=urn:btih:`.
    #[error("the magnet holds no info-hash")]
    NoHash,
    /// BitTorrent v2 alone.
    #[error("a BitTorrent v2 torrent without a v1 info-hash: no debrid service takes it")]
    OnlyV2,
    /// Not a `.torrent`.
    #[error("not a .torrent file")]
    NotATorrent,
    /// A file larger than any `.torrent` has to be.
    #[error(
        "a .torrent file of {0} bytes; none above {LARGEST_TORRENT} is read: hand in a magnet instead"
    )]
    TooLarge(usize),
    /// A file made of more values than any `.torrent` has to be.
    #[error("a .torrent file of more than {MOST_VALUES} values: hand in a magnet instead")]
    TooManyValues,
    /// More files than can be dealt with.
    #[error(
        "a release of more than {MOST_FILES} files: take one that is split or packed otherwise"
    )]
    TooManyFiles,
}

/// What a provider is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A magnet link.
    Magnet(String),
    /// The bytes of a `.torrent`.
    Torrent(Bytes),
}

/// A release that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The v1 info-hash.
    pub hash: InfoHash,
    /// What it is called in the magnet or the file; the hash when it is not told.
    pub name: String,
    /// Trackers, as far as they are told.
    pub trackers: Vec<String>,
    /// Paths, with a leading `/` and without the torrent's own directory, and sizes; a magnet tells none.
    pub files: Vec<(String, u64)>,
    /// What to hand on.
    pub source: Source,
}

impl Release {
    /// Reads a magnet link, or a bare info-hash of 40 hexadecimal or 32 base-32 digits.
    ///
    /// # Errors
    /// All but [`ReleaseError::NotATorrent`].
    pub fn from_link(link: &str) -> Result<Self, ReleaseError> {
        let link = link.trim();
        if link.len() > LONGEST_MAGNET {
            return Err(ReleaseError::NotAMagnet);
        }
        if let Some(hash) = InfoHash::from_digits(link) {
            return Ok(Self {
                hash,
                name: hash.to_string(),
                trackers: Vec::new(),
                files: Vec::new(),
                source: Source::Magnet(format!("magnet:?xt=urn:btih:{hash}")),
            });
        }
        let scheme = |name: &str| {
            link.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        if scheme("http://") || scheme("https://") {
            return Err(ReleaseError::WebAddress);
        }
        if !scheme("magnet:?") {
            return Err(ReleaseError::NotAMagnet);
        }
        // As a page writes it and some indexers hand it on.
        let link = link.replace("&amp;", "&");
        let (mut hash, mut v2, mut name, mut trackers) = (None, false, None, Vec::new());
        for (key, value) in form_urlencoded::parse(&link.as_bytes()["magnet:?".len()..]) {
            // Several topics are written `xt.1`, `xt.2` (BEP 9 allows both).
            if key == "xt" || key.starts_with("xt.") {
                let lower = value.to_ascii_lowercase();
                if let Some(digits) = lower.strip_prefix("urn:btih:") {
                    hash = hash.or_else(|| InfoHash::from_digits(digits));
                }
                v2 |= lower.starts_with("urn:btmh:");
            } else if key == "dn" && name.is_none() && !value.trim().is_empty() {
                name = Some(shortened(value.trim()));
            } else if key == "tr" || key.starts_with("tr.") {
                trackers.push(value.into_owned());
            }
        }
        let hash = hash.ok_or(if v2 {
            ReleaseError::OnlyV2
        } else {
            ReleaseError::NoHash
        })?;
        Ok(Self {
            hash,
            name: name.unwrap_or_else(|| hash.to_string()),
            trackers,
            files: Vec::new(),
            source: Source::Magnet(link),
        })
    }

    /// Reads a `.torrent`: v1 or hybrid. What is behind its dictionary is left out of what is handed on.
    ///
    /// # Errors
    /// [`ReleaseError::NotATorrent`], [`ReleaseError::OnlyV2`], and those of files that are too large, in bytes or in what they
    /// hold. May take a second: not for the runtime's threads, see [`crate::Acquire::read_torrent`].
    pub fn from_torrent(bytes: Bytes) -> Result<Self, ReleaseError> {
        if bytes.len() > LARGEST_TORRENT {
            return Err(ReleaseError::TooLarge(bytes.len()));
        }
        let root = Value::parse(&bytes).map_err(|why| match why {
            Unreadable::NoBencode => ReleaseError::NotATorrent,
            Unreadable::TooMany => ReleaseError::TooManyValues,
        })?;
        let info = root.get("info").ok_or(ReleaseError::NotATorrent)?;
        let raw = info.raw();
        if info.get("pieces").is_none() {
            return Err(match info.get("meta version") {
                Some(_) => ReleaseError::OnlyV2,
                None => ReleaseError::NotATorrent,
            });
        }
        let name = utf8_first(info, "name", Value::text).ok_or(ReleaseError::NotATorrent)?;
        let hash = InfoHash(Sha1::digest(raw).into());
        let name = match name.trim() {
            "" => hash.to_string(),
            _ => name,
        };
        let files = match info.get("files") {
            None => {
                let size = info.get("length").and_then(Value::size);
                vec![(format!("/{name}"), size.ok_or(ReleaseError::NotATorrent)?)]
            }
            Some(files) => {
                let mut listed = files.list().ok_or(ReleaseError::NotATorrent)?;
                let first = listed.by_ref().take(MOST_FILES);
                let files = first.map(file).collect::<Option<Vec<_>>>();
                let files = files.ok_or(ReleaseError::NotATorrent)?;
                if listed.next().is_some() {
                    return Err(ReleaseError::TooManyFiles);
                }
                files.into_iter().flatten().collect()
            }
        };
        Ok(Self {
            hash,
            name: shortened(name.trim()),
            trackers: trackers(root),
            files,
            source: Source::Torrent(bytes.slice(..root.raw().len())),
        })
    }

    /// A magnet for it.
    pub fn magnet(&self) -> String {
        match &self.source {
            Source::Magnet(magnet) => magnet.clone(),
            Source::Torrent(_) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("dn", &self.name);
                for tracker in &self.trackers {
                    query.append_pair("tr", tracker);
                }
                format!("magnet:?xt=urn:btih:{}&{}", self.hash, query.finish())
            }
        }
    }
}

/// Path and size of an entry of `files`; nothing for the padding that BEP 47 puts between files.
fn file(entry: Value<'_>) -> Option<Option<(String, u64)>> {
    let size = entry.get("length")?.size()?;
    let path = utf8_first(entry, "path", |parts| {
        let parts = parts.list()?.map(Value::text);
        parts.map(|part| Some(format!("/{}", part?))).collect()
    })?;
    let padding = entry
        .get("attr")
        .and_then(Value::text)
        .is_some_and(|attributes| attributes.contains('p'));
    Some((!padding).then_some((path, size)))
}

/// What `read` makes of `key.utf-8`, or of `key` where that says nothing: there are files in which it is empty.
fn utf8_first<'a>(
    value: Value<'a>,
    key: &str,
    read: impl Fn(Value<'a>) -> Option<String>,
) -> Option<String> {
    let utf8 = value.get(&format!("{key}.utf-8")).and_then(&read);
    let utf8 = utf8.filter(|text| !text.is_empty());
    utf8.or_else(|| value.get(key).and_then(&read))
}

fn trackers(root: Value<'_>) -> Vec<String> {
    let tiers = root.get("announce-list").and_then(Value::list);
    let mut found: Vec<String> = tiers
        .into_iter()
        .flatten()
        .filter_map(Value::list)
        .flatten()
        .filter_map(Value::text)
        .collect();
    if found.is_empty() {
        found.extend(root.get("announce").and_then(Value::text));
    }
    found
}

/// `name` as a job is called: of bounded length, and without what a terminal obeys, as others print it too.
pub(crate) fn shortened(name: &str) -> String {
    let mut end = name.len().min(LONGEST_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    cleaned(&name[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE32_NOPAD;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn table_of_links() {
        let base32 = BASE32_NOPAD.encode(&HEX.parse::<InfoHash>().unwrap().0);
        let v2 = format!("1220{}", "ab".repeat(32));
        let good = [
            (format!("magnet:?xt=urn:btih:{HEX}&dn=A+B%20c"), "A B c"),
            (
                format!("MAGNET:?dn=x&xt=URN:BTIH:{}", HEX.to_uppercase()),
                "x",
            ),
            (
                format!("magnet:?xt=urn:btih:{base32}&tr=udp%3A%2F%2Ft"),
                HEX,
            ),
            (
                format!("magnet:?xt=urn:btih:{}", base32.to_lowercase()),
                HEX,
            ),
            (format!("magnet:?xt=urn:btmh:{v2}&xt=urn:btih:{HEX}"), HEX),
            (
                format!("magnet:?xt.1=urn:btmh:{v2}&xt.2=urn:btih:{HEX}&dn= "),
                HEX,
            ),
            (format!("  {HEX}\n"), HEX),
            (base32, HEX),
        ];
        for (link, name) in good {
            let release =
                Release::from_link(&link).unwrap_or_else(|error| panic!("{link}: {error}"));
            assert_eq!(release.hash.to_string(), HEX, "{link}");
            assert_eq!(release.name, name, "{link}");
        }
        let bad = [
            (String::new(), ReleaseError::NotAMagnet),
            ("garbage".into(), ReleaseError::NotAMagnet),
            ("mägnet:?xt=urn:btih:".into(), ReleaseError::NotAMagnet),
            (
                "https://example.org/a.torrent".into(),
                ReleaseError::WebAddress,
            ),
            ("magnet:?dn=x".into(), ReleaseError::NoHash),
            (
                format!("magnet:?xt=urn:btih:{}", &HEX[1..]),
                ReleaseError::NoHash,
            ),
            (format!("magnet:?xt=urn:btmh:{v2}"), ReleaseError::OnlyV2),
            ("m".repeat(1 << 20), ReleaseError::NotAMagnet),
        ];
        for (link, error) in bad {
            assert_eq!(Release::from_link(&link).unwrap_err(), error, "{link:.80}");
        }
    }

    #[test]
    fn names_are_cut_and_hold_nothing_that_a_terminal_obeys() {
        let link = |name: &str| format!("magnet:?xt=urn:btih:{HEX}&dn={name}");
        let name = |link: &str| Release::from_link(link).unwrap().name;
        assert_eq!(
            name(&link("Film%1b%5d52%3bc%07%0d%0a%c2%9b%e2%80%aegpj")),
            "Film_]52;c_____gpj"
        );
        assert_eq!(name(&link(&"%e6%98%a0".repeat(1000))).len(), 1023);
        let info = "d6:lengthi42e4:name6:a\u{202e}\nb6:pieces0:e";
        assert_eq!(torrent(info).unwrap().name, "a__b");
    }

    #[test]
    fn what_is_too_large_is_refused_in_clear_words() {
        let large = Release::from_torrent(Bytes::from(vec![b'0'; LARGEST_TORRENT + 1]));
        let error = large.unwrap_err();
        assert_eq!(error, ReleaseError::TooLarge(LARGEST_TORRENT + 1));
        assert!(error.to_string().contains("hand in a magnet"), "{error}");
        // 2 bytes each; before, each took 32 bytes of memory and more while its list grew.
        let values = format!("d1:xl{}ee", "0:".repeat(MOST_VALUES as usize));
        let error = Release::from_torrent(values.into()).unwrap_err();
        assert_eq!(error, ReleaseError::TooManyValues);
        let files = |count: usize| {
            let files = "d6:lengthi1e4:pathl1:aee".repeat(count);
            torrent(&format!("d5:filesl{files}e4:name1:n6:pieces0:e"))
        };
        assert_eq!(files(MOST_FILES).unwrap().files.len(), MOST_FILES);
        assert_eq!(
            files(MOST_FILES + 1).unwrap_err(),
            ReleaseError::TooManyFiles
        );
    }

    fn torrent(info: &str) -> Result<Release, ReleaseError> {
        Release::from_torrent(Bytes::from(format!("d8:announce3:udp4:info{info}e")))
    }

    #[test]
    fn a_magnet_is_read_as_a_page_writes_it() {
        let link = format!("magnet:?xt=urn:btih:{HEX}&amp;dn=A+%26amp%3B+B&amp;tr=udp%3A%2F%2Ft");
        let release = Release::from_link(&link).unwrap();
        assert_eq!(release.name, "A &amp; B", "what is escaped is a name's");
        assert_eq!(release.trackers, ["udp://t"]);
        let plain = link.replacen("&amp;", "&", 2);
        assert_eq!(
            release.source,
            Source::Magnet(plain),
            "and so it is handed on"
        );
    }

    #[test]
    fn odd_files_are_read_as_libtorrent_reads_them() {
        let info = "d6:lengthi42e4:name5:a.mkv6:pieces0:e";
        let plain = torrent(info).unwrap();
        for behind in ["\n", "\r\n", "\0", "garbage"] {
            let file = format!("d8:announce3:udp4:info{info}e{behind}");
            let read = Release::from_torrent(Bytes::from(file)).unwrap();
            assert_eq!(read, plain, "{behind:?}");
        }
        for odd in [
            // Keys not in order, a date beyond 64 bits, what is no list of trackers.
            format!("d4:info{info}8:announce3:udp13:announce-listi1ee"),
            format!("d8:announce3:udp13:creation datei99999999999999999999e4:info{info}e"),
            format!(
                "d8:announce3:udp4:info{info}1:x{}{}e",
                "l".repeat(90),
                "e".repeat(90)
            ),
        ] {
            let read = Release::from_torrent(Bytes::from(odd.clone())).unwrap();
            assert_eq!(
                (read.hash, read.trackers),
                (plain.hash, plain.trackers.clone()),
                "{odd}"
            );
        }
        let empty = torrent("d6:lengthi42e4:name5:a.mkv10:name.utf-80:6:pieces0:e").unwrap();
        assert_eq!((&*empty.name, &*empty.files[0].0), ("a.mkv", "/a.mkv"));
        let nameless = torrent("d6:lengthi42e4:name0:6:pieces0:e").unwrap();
        assert_eq!(nameless.files[0].0, format!("/{}", nameless.hash));
        let utf8 = torrent("d5:filesld6:lengthi1e4:pathl1:ae10:path.utf-8leee4:name1:n6:pieces0:e");
        assert_eq!(utf8.unwrap().files, [("/a".to_owned(), 1)]);
    }

    #[test]
    fn v1_and_hybrid_files_are_read_and_v2_is_refused() {
        let one = torrent("d6:lengthi42e4:name5:a.mkv6:pieces0:e").unwrap();
        assert_eq!(one.files, [("/a.mkv".to_owned(), 42)]);
        assert_eq!(one.name, "a.mkv");
        assert_eq!(one.trackers, ["udp"]);
        // By `printf 'd6:lengthi42e4:name5:a.mkv6:pieces0:e' | sha1sum`.
        assert_eq!(
            one.hash.to_string(),
            "a56eb7addaeffde10967ce560cba89611824cd5d"
        );
        let hybrid = torrent(
            "d9:file treede5:filesld6:lengthi1e4:pathl1:d5:b.mkveed4:attr1:p6:lengthi9e4:pathl4:.pad1:9eee12:meta versioni2e4:name1:n6:pieces0:e",
        )
        .unwrap();
        assert_eq!(
            hybrid.files,
            [("/d/b.mkv".to_owned(), 1)],
            "without padding"
        );
        let v2 = torrent("d9:file treede12:meta versioni2e4:name1:ne");
        assert_eq!(v2.unwrap_err(), ReleaseError::OnlyV2);
        for bad in ["de", "d4:name1:ne", "i1e", "d4:name1:n6:pieces0:e"] {
            assert_eq!(
                torrent(bad).unwrap_err(),
                ReleaseError::NotATorrent,
                "{bad}"
            );
        }
    }

    #[test]
    fn the_hash_is_of_the_bytes_as_they_stand() {
        let sorted = torrent("d6:lengthi42e4:name5:a.mkv6:pieces0:e").unwrap();
        let unsorted = torrent("d4:name5:a.mkv6:lengthi42e6:pieces0:e").unwrap();
        assert_ne!(sorted.hash, unsorted.hash);
    }

    #[test]
    fn a_file_makes_a_magnet_that_reads_the_same() {
        let release = torrent("d6:lengthi42e4:name7:a&b.mkv6:pieces0:e").unwrap();
        let magnet = Release::from_link(&release.magnet()).unwrap();
        assert_eq!((magnet.hash, magnet.name), (release.hash, release.name));
        assert_eq!(magnet.trackers, release.trackers);
    }

    #[test]
    fn fuzz_any_link_and_file_is_answered() {
        bolero::check!().for_each(|bytes: &[u8]| {
            drop(Release::from_torrent(Bytes::copy_from_slice(bytes)));
            let text = String::from_utf8_lossy(bytes);
            drop(Release::from_link(&text));
            drop(Release::from_link(&format!("magnet:?{text}")));
        });
    }
}
