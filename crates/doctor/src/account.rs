//! Whether the account can be used: one call, and one for the clock.

use std::time::Duration;

use debridfs_provider::vendors::Kind;
use debridfs_provider::{AccountConfig, DebridAccount, Error, Priority, Provider, Verdict};
use jiff::Timestamp;

use crate::check::Check;

/// A call that takes longer says enough.
const LIMIT: Duration = Duration::from_secs(20);
/// TLS certificates and times of links need no better clock.
const MOST_SKEW: Duration = Duration::from_secs(60);

/// Checks the provider's settings, its token, and this machine's clock against the provider's.
pub async fn check(config: &AccountConfig) -> Vec<Check> {
    let name = format!("provider.{}", config.name);
    let provider = match DebridAccount::new(config.clone()) {
        Ok(provider) => provider,
        Err(error) => {
            let fix = "correct it in the configuration, or by its variable";
            return vec![Check::failed(&name, error.to_string(), fix)];
        }
    };
    let mut checks = vec![
        match tokio::time::timeout(LIMIT, provider.account(Priority::User)).await {
            Ok(Ok(account)) if account.premium => Check::ok(
                &name,
                match account.expires {
                    Some(end) => format!("{} is premium until {end}", account.username),
                    None => format!("{} is premium", account.username),
                },
            ),
            Ok(Ok(account)) => Check::failed(
                &name,
                format!(
                    "{} is not premium, so nothing can be read",
                    account.username
                ),
                "renew the subscription",
            ),
            Ok(Err(error)) => {
                Check::failed(&name, error.message.clone(), fix_for(config.kind, &error))
            }
            Err(_) => Check::failed(
                &name,
                format!("no answer within {} s", LIMIT.as_secs()),
                "check network, DNS, firewall, and `proxy` if one is needed",
            ),
        },
    ];
    if let Ok(Ok(theirs)) = tokio::time::timeout(LIMIT, provider.server_time(Priority::User)).await
    {
        checks.push(clock(theirs, Timestamp::now()));
    }
    checks
}

fn fix_for(kind: &Kind, error: &Error) -> String {
    let fix = match error.verdict {
        Verdict::AccountRefused => {
            let page = kind.token_page;
            return format!(
                "the token is wrong, was withdrawn, or the account is locked: get a new one at {page}"
            );
        }
        Verdict::BackOff => {
            "too many calls were made just now: wait a minute, and see which other programs use the account"
        }
        Verdict::NotFound | Verdict::Disabled | Verdict::Malformed => {
            "this is not how the provider answers: check `api_url` and `proxy`"
        }
        _ => "check network, DNS, firewall, and `proxy` if one is needed; the provider may be down",
    };
    fix.to_owned()
}

fn clock(theirs: Timestamp, ours: Timestamp) -> Check {
    let name = "clock";
    let skew = ours.duration_since(theirs).unsigned_abs();
    if skew <= MOST_SKEW {
        Check::ok(name, format!("{} s from the provider's", skew.as_secs()))
    } else {
        Check::failed(
            name,
            format!("{} s from the provider's", skew.as_secs()),
            "let it be set by the network: `timedatectl set-ntp true`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn a_clock_may_be_a_little_off() {
        let theirs = Timestamp::UNIX_EPOCH;
        let off = |seconds: i64| clock(theirs, Timestamp::from_second(seconds).unwrap()).outcome;
        assert_eq!(off(59), Outcome::Ok);
        assert_eq!(off(-59), Outcome::Ok);
        assert_eq!(off(3600), Outcome::Failed);
        assert_eq!(off(-3600), Outcome::Failed);
    }
}
