//! Which accounts are simulated.

use std::str::FromStr;

use debridfs_provider::vendors::{self, Kind};
use debridfs_sim as sim;

/// A vendor that can be simulated, in the word of `[provider.NAME] kind`.
#[derive(Debug, Clone, Copy)]
pub struct Simulated {
    /// As the configuration calls it.
    pub kind: &'static Kind,
    /// As the simulator calls it.
    word: &'static str,
}

impl Simulated {
    /// What `sim --kind` takes.
    pub fn word(&self) -> &'static str {
        self.word
    }
}

impl Default for Simulated {
    fn default() -> Self {
        Self {
            kind: vendors::KINDS[0],
            word: "realdebrid",
        }
    }
}

impl FromStr for Simulated {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = |word: &str| word.replace(['-', '_'], "").to_ascii_lowercase();
        let both = vendors::KINDS.into_iter().filter_map(|kind| {
            let mut simulators = sim::Kind::NAMES.into_iter();
            let (word, _) = simulators.find(|(word, _)| bare(word) == bare(kind.word))?;
            Some(Self { kind, word })
        });
        let both: Vec<Self> = both.collect();
        let known = both.iter().find(|one| bare(one.kind.word) == bare(text));
        known.copied().ok_or_else(|| {
            let words: Vec<&str> = both.iter().map(|one| one.kind.word).collect();
            format!("simulated are {}", words.join(", "))
        })
    }
}

/// The accounts' names: what the only one was always called, or the vendors' words, numbered where one comes again.
pub fn names(accounts: &[Simulated]) -> Vec<String> {
    if accounts.len() == 1 {
        return vec!["sim".to_owned()];
    }
    let mut names = Vec::new();
    for account in accounts {
        let word = account.kind.word;
        let mut name = word.to_owned();
        let mut number = 1;
        while names.contains(&name) {
            number += 1;
            name = format!("{word}-{number}");
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_are_named_as_in_the_configuration_and_each_account_has_its_name() {
        let of = |text: &str| text.parse::<Simulated>().unwrap();
        assert_eq!(of("real-debrid").word(), "realdebrid");
        assert_eq!(of("realdebrid").kind.word, "real-debrid");
        assert_eq!(of("torbox").kind.word, "torbox");
        let refused = "seedr".parse::<Simulated>().unwrap_err();
        assert!(refused.contains("torbox, alldebrid"), "{refused}");
        assert_eq!(names(&[of("torbox")]), ["sim"]);
        let several = [of("torbox"), of("alldebrid"), of("torbox")];
        assert_eq!(names(&several), ["torbox", "alldebrid", "torbox-2"]);
    }
}
