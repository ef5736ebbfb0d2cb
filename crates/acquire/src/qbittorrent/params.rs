//! Arguments as qBittorrent's callers give them: hashes with `|` between them.

use std::sync::Arc;

use axum::http::StatusCode;
use debridfs_provider::InfoHash;

use super::Refused;
use crate::params::{Params, Unreadable};
use crate::{Acquire, Job, Selection};

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
        self.selection_in("hashes")
    }

    /// The jobs that the argument `name` names, as [`Self::selection`].
    pub(super) fn selection_in(&self, name: &str) -> Result<Selection, Refused> {
        let named = self.need(name)?;
        Ok(match selection_of(named) {
            Selection::Some(hashes) => Selection::Seen(hashes, self.viewer.clone()),
            other => other,
        })
    }

    /// The one job that `hash` names, of those that the caller means.
    pub(super) fn job(&self, acquire: &Acquire) -> Result<Arc<Job>, Refused> {
        let one = Selection::Seen(vec![self.hash()?], self.viewer.clone());
        let found = acquire.select(&one).into_iter().next();
        found.ok_or_else(Refused::not_found)
    }

    /// The release that `hash` names.
    pub(super) fn hash(&self) -> Result<InfoHash, Refused> {
        let named = self.need("hash")?.trim();
        named.parse().map_err(|_| Refused::not_found())
    }
}

/// What a limit of sharing may be besides a number of its own: the global one, or none.
const NO_LIMIT_OF_ITS_OWN: [i64; 2] = [-2, -1];
/// The largest limit: qBittorrent keeps minutes in 32 bits.
const LARGEST_LIMIT: i64 = i32::MAX as i64;

impl Params {
    /// The ratio that `name` gives, if it is there: -2, -1, or a number from 0 on.
    pub(super) fn ratio(&self, name: &str) -> Result<Option<f64>, Refused> {
        let is_ratio = |ratio: &f64| {
            // NaN is in no range.
            let special = NO_LIMIT_OF_ITS_OWN.iter().any(|one| *ratio == *one as f64);
            special || (0.0..=LARGEST_LIMIT as f64).contains(ratio)
        };
        self.limit(name, is_ratio)
    }

    /// The minutes that `name` gives, if it is there: -2, -1, or a number from 0 on.
    pub(super) fn minutes(&self, name: &str) -> Result<Option<i64>, Refused> {
        let is_time = |minutes: &i64| {
            NO_LIMIT_OF_ITS_OWN.contains(minutes) || (0..=LARGEST_LIMIT).contains(minutes)
        };
        self.limit(name, is_time)
    }

    fn limit<T: std::str::FromStr>(
        &self,
        name: &str,
        is_limit: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Refused> {
        match self.get(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(_) => match self.number::<T>(name).filter(|number| is_limit(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(Refused::new(
                    StatusCode::BAD_REQUEST,
                    format!(
                        "{name} is no limit: give -2 (the global one), -1 (none), or a number from 0 to {LARGEST_LIMIT}"
                    ),
                )),
            },
        }
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
