//! Arguments as qBittorrent's callers give them: hashes with `|` between them.

use debridfs_provider::InfoHash;

use super::Refused;
use crate::Selection;
use crate::params::{Params, Unreadable};

impl From<Unreadable> for Refused {
    fn from(Unreadable(status, words): Unreadable) -> Self {
        Self::new(status, words)
    }
}

impl Params {
    /// The value of `name`; without it the call is a bad request.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(Refused::bad_request)
    }

    /// The jobs that `hashes` names: `all`, or hashes with `|` between them.
    pub(super) fn selection(&self) -> Result<Selection, Refused> {
        let named = self.need("hashes")?;
        Ok(selection_of(named))
    }

    /// The one job that `hash` names.
    pub(super) fn hash(&self) -> Result<InfoHash, Refused> {
        let named = self.need("hash")?.trim();
        named.parse().map_err(|_| Refused::not_found())
    }
}

/// What `all` or `a|b` means; what is no hash means nothing.
pub(super) fn selection_of(named: &str) -> Selection {
    match named.trim() {
        "all" => Selection::All,
        some => Selection::Some(
            some.split('|')
                .filter_map(|hash| hash.trim().parse().ok())
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_in_any_case_and_number() {
        let a = "0123456789abcdef0123456789abcdef01234567";
        let b = "f".repeat(40);
        let hash = |text: &str| text.parse::<InfoHash>().unwrap();
        assert_eq!(selection_of("all"), Selection::All);
        let upper = a.to_uppercase();
        for named in [
            format!("{a}|{b}"),
            format!("{upper}| {b}|"),
            format!("x|{a}|{b}"),
        ] {
            let both = Selection::Some(vec![hash(a), hash(&b)]);
            assert_eq!(selection_of(&named), both, "{named}");
        }
        assert_eq!(selection_of(""), Selection::Some(Vec::new()));
        assert_eq!(selection_of("ALL OF THEM"), Selection::Some(Vec::new()));
    }
}
