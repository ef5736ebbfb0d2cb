//! Whose turn it is to be asked for a release: the order of a category, and what was said so far.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::{Passed, Uncached};

/// A provider that cannot be asked now.
#[derive(Debug, Clone)]
pub(crate) struct Skip {
    /// Why, for people.
    pub(crate) words: String,
    /// When it is worth asking again.
    pub(crate) until: Instant,
    /// The account may do nothing, until somebody mends it.
    pub(crate) refused: bool,
}

/// What comes next for a release that no account holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// This provider is asked whether it has it already.
    Try(String),
    /// This one is to download it.
    Fetch(String),
    /// Nobody can be asked now.
    Later,
    /// All have said no.
    GiveUp,
}

/// What is known when a plan is made.
pub(crate) struct Known<'a> {
    /// The category's providers.
    pub(crate) order: &'a [String],
    /// What they said.
    pub(crate) passed: &'a [Passed],
    /// Those that cannot be asked now.
    pub(crate) skipped: &'a BTreeMap<String, Skip>,
    /// What becomes of what nobody has.
    pub(crate) uncached: Uncached,
    /// Those that cannot be asked have been waited for.
    pub(crate) insists: bool,
}

impl Known<'_> {
    /// What comes next.
    pub(crate) fn plan(&self) -> Plan {
        let said = |name: &String| self.passed.iter().find(|passed| passed.provider == *name);
        let open: Vec<&String> = self
            .order
            .iter()
            .filter(|name| said(name).is_none_or(|passed| !passed.why.is_final()))
            .collect();
        if open.is_empty() {
            return Plan::GiveUp;
        }
        let waits = self.uncached != Uncached::Refuse;
        if let ([only], true) = (self.order, waits) {
            return Plan::Fetch(only.clone());
        }
        let unasked = open.iter().filter(|name| said(name).is_none());
        let (skipped, free): (Vec<&String>, Vec<&String>) =
            unasked.partition(|name| self.skipped.contains_key(**name));
        if let Some(next) = free.first() {
            return Plan::Try((*next).clone());
        }
        let patient = !self.insists || !waits;
        if patient && !skipped.is_empty() {
            return Plan::Later;
        }
        if !waits {
            return Plan::GiveUp;
        }
        let refused = |name: &str| self.skipped.get(name).is_some_and(|skip| skip.refused);
        match open.into_iter().find(|name| !refused(name)) {
            Some(first) => Plan::Fetch(first.clone()),
            None => Plan::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Refusal;

    const WEEK: Uncached = Uncached::UpTo(Duration::from_secs(604_800));

    /// The plan for the order a, b, c.
    fn plan(
        uncached: Uncached,
        said: &[(&str, Refusal)],
        skipped: &[(&str, bool)],
        insists: bool,
    ) -> Plan {
        let passed = said.iter().map(|(provider, why)| Passed {
            provider: (*provider).to_owned(),
            why: *why,
            words: String::new(),
        });
        let skipped = skipped.iter().map(|(provider, refused)| {
            let skip = Skip {
                words: String::new(),
                until: Instant::now(),
                refused: *refused,
            };
            ((*provider).to_owned(), skip)
        });
        Known {
            order: &["a", "b", "c"].map(str::to_owned),
            passed: &passed.collect::<Vec<_>>(),
            skipped: &skipped.collect(),
            uncached,
            insists,
        }
        .plan()
    }

    fn to(of: fn(String) -> Plan, name: &str) -> Plan {
        of(name.to_owned())
    }

    #[test]
    fn the_order_is_asked_for_what_is_cached_before_anybody_downloads() {
        use Refusal::{Blocked, Dead, TooLong, Uncached as Miss};
        let all = [("a", Miss), ("b", Miss), ("c", Miss)];
        for uncached in [Uncached::Wait, WEEK, Uncached::Refuse] {
            assert_eq!(plan(uncached, &[], &[], false), to(Plan::Try, "a"));
            assert_eq!(plan(uncached, &all[..1], &[], false), to(Plan::Try, "b"));
            // In the order, whoever spoke first.
            assert_eq!(plan(uncached, &all[1..2], &[], false), to(Plan::Try, "a"));
            let refused = [("a", Blocked), ("b", Dead), ("c", TooLong)];
            assert_eq!(plan(uncached, &refused, &[], false), Plan::GiveUp);
        }
        assert_eq!(plan(Uncached::Refuse, &all, &[], false), Plan::GiveUp);
        for waits in [Uncached::Wait, WEEK] {
            assert_eq!(plan(waits, &all, &[], false), to(Plan::Fetch, "a"));
            let blocked = [("a", Blocked), ("b", Miss), ("c", Miss)];
            assert_eq!(plan(waits, &blocked, &[], false), to(Plan::Fetch, "b"));
        }
    }

    #[test]
    fn one_in_trouble_is_passed_by_and_waited_for_before_anybody_downloads() {
        use Refusal::Uncached as Miss;
        let busy = [("a", false)];
        let others = [("b", Miss), ("c", Miss)];
        for uncached in [Uncached::Wait, WEEK, Uncached::Refuse] {
            assert_eq!(plan(uncached, &[], &busy, false), to(Plan::Try, "b"));
            assert_eq!(plan(uncached, &others, &busy, false), Plan::Later);
        }
        // It may have it: nothing is given up for trouble, however long.
        let refuses = plan(Uncached::Refuse, &others, &busy, true);
        assert_eq!(refuses, Plan::Later);
        let waits = plan(Uncached::Wait, &others, &busy, true);
        assert_eq!(waits, to(Plan::Fetch, "a"), "it is the first");
        let locked = plan(Uncached::Wait, &others, &[("a", true)], true);
        assert_eq!(locked, to(Plan::Fetch, "b"));
        let all = [("a", true), ("b", true), ("c", true)];
        assert_eq!(plan(Uncached::Wait, &[], &all, true), Plan::Later);
    }
}
