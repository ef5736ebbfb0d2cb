//! The file that a producer serves. It has a nonce: what an earlier test left, or a cache, is not
//! taken for it.

use std::io::Read;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of the file in the root of the producer's mount.
pub const MARKER_NAME: &str = "producer-marker.json";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// 32 hexadecimal digits, others at every start of a producer.
    pub nonce: String,
    /// When that producer started.
    pub started: Timestamp,
}

impl Marker {
    /// One that never was before.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn fresh() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self {
            nonce: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            started: Timestamp::now(),
        })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads the file's bytes back; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_and_never_the_same() {
        let marker = Marker::fresh().unwrap();
        assert_eq!(Marker::parse(&marker.bytes()), Some(marker.clone()));
        assert_eq!(marker.nonce.len(), 32);
        assert_ne!(Marker::fresh().unwrap().nonce, marker.nonce);
        assert_eq!(Marker::parse(b"version 1"), None);
    }

    #[test]
    fn what_is_almost_a_marker_is_none() {
        let started = "\"started\":\"2026-01-01T00:00:00Z\"";
        let whole = format!("{{\"nonce\":\"ab\",{started}}}\n");
        assert_eq!(Marker::parse(whole.as_bytes()).unwrap().nonce, "ab");
        for text in [
            String::new(),
            "{}".into(),
            format!("{{{started}}}"),
            format!("{{\"nonce\":1,{started}}}"),
            format!("{{\"nonce\":\"ab\",\"by\":\"others\",{started}}}"),
            "{\"nonce\":\"ab\",\"started\":\"yesterday\"}".into(),
            whole[..whole.len() - 3].into(),
            format!("{whole}{whole}"),
        ] {
            assert_eq!(Marker::parse(text.as_bytes()), None, "{text}");
        }
    }
}
