//! What `debridfs provider ls` and `provider test` print.

use crate::{AccountStatus, ProviderLine, TestStep};
use debridfs_base::ByteSize;

/// A few lines for each account, as `debridfs provider ls` prints them.
pub fn providers(providers: &[ProviderLine]) -> String {
    let mut out = String::new();
    for one in providers {
        let health = match (&one.trouble, one.status.healthy) {
            (None, true) => "ok",
            _ => "FAILING",
        };
        out += &format!("{} ({}): {health}\n", one.status.name, one.status.kind);
        if let Some(trouble) = &one.trouble {
            out += &format!("    {trouble}\n");
        }
        if let Some(account) = &one.status.account {
            out += &format!("    {}\n", account_line(account));
        }
        for key in &one.status.keys {
            let traffic = ByteSize(key.traffic_used);
            let budgets: Vec<String> = key.budgets.iter().map(ToString::to_string).collect();
            out += &format!(
                "    key {}: {}, {traffic} today",
                key.number,
                budgets.join(", ")
            );
            if let Some(limit) = key.traffic_limit {
                out += &format!(" of {}", ByteSize(limit));
            }
            if let Some(refused) = &key.refused {
                out += &format!(", refused: {refused}");
            }
            out += "\n";
        }
    }
    if providers.is_empty() {
        out += "no provider is configured\n";
    }
    out
}

/// Plan, its end, slots and fair use in one line.
pub(super) fn account_line(account: &AccountStatus) -> String {
    let mut parts = vec![match (&account.plan, account.premium) {
        (Some(plan), true) => format!("plan {plan}"),
        (None, true) => "premium".to_owned(),
        (_, false) => "NOT PREMIUM".to_owned(),
    }];
    if let Some(expires) = account.expires {
        parts.push(format!("until {expires}"));
    }
    match (account.slots_used, account.slots) {
        (Some(used), Some(all)) => parts.push(format!("{used} of {all} slots used")),
        (None, Some(all)) => parts.push(format!("{all} slots")),
        _ => {}
    }
    if let Some(used) = account.fair_use {
        parts.push(format!("{:.0} % of fair use used", used * 100.0));
    }
    parts.join(", ")
}

/// A line for each step of a trial.
pub fn steps(steps: &[TestStep]) -> String {
    let mut out = String::new();
    for step in steps {
        let verdict = match step.ok {
            Some(true) => "ok",
            Some(false) => "FAILED",
            None => "-",
        };
        out += &format!(
            "{:<6} {verdict:<6} {:>6.2} s  {}\n",
            step.step, step.seconds, step.words
        );
    }
    out
}
