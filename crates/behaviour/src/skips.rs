//! Skip lists: what a front cannot do right by its nature.

use std::collections::BTreeMap;

/// The cases that a front is not tried with, with their reasons.
#[derive(Debug, Clone, Default)]
pub struct Skips {
    reasons: BTreeMap<String, String>,
}

/// A line of a skip list that is not `CASE: REASON`.
#[derive(Debug, PartialEq, Eq)]
pub struct SkipError(String);

impl std::fmt::Display for SkipError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "skip list: {}", self.0)
    }
}

impl std::error::Error for SkipError {}

impl Skips {
    /// Reads `CASE: REASON` lines; `#` begins a line that is a comment.
    ///
    /// # Errors
    /// If a line has no reason or names a case twice.
    pub fn parse(text: &str) -> Result<Self, SkipError> {
        let mut reasons = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (case, reason) = line.split_once(':').unwrap_or((line, ""));
            let (case, reason) = (case.trim(), reason.trim());
            if reason.is_empty() {
                return Err(SkipError(format!("{case:?} has no reason")));
            }
            if reasons.insert(case.to_owned(), reason.to_owned()).is_some() {
                return Err(SkipError(format!("{case:?} is there twice")));
            }
        }
        Ok(Self { reasons })
    }

    /// Why this case is not tried, if it is not.
    pub fn reason(&self, case: &str) -> Option<&str> {
        self.reasons.get(case).map(String::as_str)
    }

    /// All cases that are named.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.reasons.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_reason() {
        let skips = Skips::parse("# Samba\n\na case: 8.3 names\n").expect("a list");
        assert_eq!(skips.reason("a case"), Some("8.3 names"));
        assert_eq!(skips.reason("another"), None);
        assert!(Skips::parse("a case").is_err());
        assert!(Skips::parse("a case:  ").is_err());
        assert!(Skips::parse("a: b\na: c").is_err());
    }
}
