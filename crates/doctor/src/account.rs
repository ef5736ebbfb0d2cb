//! Whether the account can be used: one call, one for the clock, and one for a link whose host is looked up.

use std::time::Duration;

use debridfs_base::http::{TransportError, Url};
use debridfs_provider::vendors::Kind;
use debridfs_provider::{
    AccountConfig, AccountFacts, DebridAccount, Error, Priority, Provider, Verdict,
};
use jiff::Timestamp;

use crate::check::Check;

/// A call that takes longer says enough.
const LIMIT: Duration = Duration::from_secs(20);
/// TLS certificates and times of links need no better clock.
const MOST_SKEW: Duration = Duration::from_secs(60);

/// What an account is that may read.
fn premium(facts: &AccountFacts, config: &AccountConfig) -> String {
    let account = &facts.account;
    let plan = account.plan.as_ref();
    let plan = plan.map_or_else(String::new, |plan| format!(" ({plan})"));
    let end = account.expires;
    let end = end.map_or_else(String::new, |end| format!(" until {end}"));
    let slots = match (facts.slots_used, facts.slots) {
        (Some(used), Some(all)) => format!(", {used} of {all} slots used"),
        (None, Some(all)) => format!(", {all} slots"),
        _ => String::new(),
    };
    let used = account.fair_use.map_or_else(String::new, |used| {
        format!(", {:.0} % of its fair use is used", used * 100.0)
    });
    let calls = config.calls_per_minute;
    let mut limits = vec![format!("{calls} calls a minute")];
    for budget in config.kind.limits.budgets {
        let (calls, seconds) = (budget.calls, budget.per.as_secs());
        let word = budget.word.unwrap_or("of all");
        limits.push(format!("{calls} {word} calls in {seconds} s"));
    }
    format!(
        "{} is premium{plan}{end}{slots}{used}; limits: {}",
        account.username,
        limits.join(", ")
    )
}

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
    let mut checks = vec![facts(&provider, config, &name).await];
    if let Ok(Ok(theirs)) = tokio::time::timeout(LIMIT, provider.server_time(Priority::User)).await
    {
        checks.push(clock(theirs, Timestamp::now()));
    }
    if let Ok(Some(check)) = tokio::time::timeout(LIMIT, cdn(&provider, &name)).await {
        checks.push(check);
    }
    checks
}

/// Whether the token is good for an account that may read.
async fn facts(provider: &DebridAccount, config: &AccountConfig, name: &str) -> Check {
    match tokio::time::timeout(LIMIT, provider.read_facts(Priority::User)).await {
        Ok(Ok(facts)) if facts.account.premium => Check::ok(name, premium(&facts, config)),
        Ok(Ok(facts)) => Check::failed(
            name,
            format!(
                "{} is not premium, so nothing can be read",
                facts.account.username
            ),
            "renew the subscription",
        ),
        Ok(Err(error)) => Check::failed(name, error.message.clone(), fix_for(config.kind, &error)),
        Err(_) => Check::failed(
            name,
            format!("no answer within {} s", LIMIT.as_secs()),
            "check network, DNS, firewall, and `proxy` if one is needed",
        ),
    }
}

/// Checks where the newest link leads that the account has; `None` if it has none, or the vendor does not tell.
async fn cdn(provider: &DebridAccount, name: &str) -> Option<Check> {
    let newest = provider.downloads(Priority::User, 0, 1).await.ok()?;
    let url = Url::parse(&newest.items.first()?.direct.url).ok()?;
    let host = url.host_str()?;
    let name = format!("{name} CDN");
    let fix = "check what the name server answers for it (a filter, a router without a connection); if the CDN is in your network, add that network to `cdn_networks`";
    Some(match provider.cdn().client.may_ask(&url).await {
        Ok(()) => Check::ok(&name, format!("{host} may be asked")),
        Err(TransportError::NotAllowed(words) | TransportError::NoHost(words)) => {
            Check::failed(&name, words, fix)
        }
        Err(error) => Check::warning(&name, error.to_string(), "check the name server"),
    })
}

fn fix_for(kind: &Kind, error: &Error) -> String {
    let fix = match error.verdict {
        Verdict::AccountRefused => {
            let page = kind.token_page;
            return format!(
                "the token is wrong or revoked, or the account is locked: get a new token at {page}"
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
            "set the clock by NTP: `timedatectl set-ntp true`",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use bytes::Bytes;
    use debridfs_base::http::Transport;
    use debridfs_base::{Secret, SystemClock};
    use debridfs_provider::vendors::real_debrid;

    use super::*;
    use crate::check::Outcome;

    /// Answers everything with one status and body.
    struct Says(u16, String);

    #[async_trait]
    impl Transport for Says {
        async fn send(
            &self,
            _request: http::Request<Bytes>,
            _max_body: usize,
        ) -> Result<http::Response<Bytes>, TransportError> {
            let mut response = http::Response::new(Bytes::from(self.1.clone()));
            *response.status_mut() = http::StatusCode::from_u16(self.0).unwrap();
            Ok(response)
        }
    }

    /// An account whose provider says so.
    fn account(says: Says) -> (DebridAccount, AccountConfig) {
        let config = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new("TOKEN")),
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let (says, clock) = (Arc::new(says), Arc::new(SystemClock));
        let account = DebridAccount::with_transport(config.clone(), says, clock);
        (account.unwrap(), config)
    }

    #[tokio::test]
    async fn an_account_that_cannot_be_read_is_told_with_what_to_do() {
        let user = |plan: &str| {
            let rest = r#""id":1,"email":"a@b.c","points":0,"locale":"en","avatar":"","premium":1000,"expiration":"2030-01-01T00:00:00.000Z""#;
            format!(r#"{{"username":"somebody","type":"{plan}",{rest}}}"#)
        };
        let refused = r#"{"error":"bad_token","error_code":8}"#;
        for (status, body, outcome, words, fix) in [
            (200, user("premium"), Outcome::Ok, "somebody is premium", ""),
            (
                200,
                user("free"),
                Outcome::Failed,
                "is not premium",
                "renew",
            ),
            (
                401,
                refused.to_owned(),
                Outcome::Failed,
                "",
                "real-debrid.com/apitoken",
            ),
            (
                404,
                "<html>".to_owned(),
                Outcome::Failed,
                "",
                "check `api_url`",
            ),
        ] {
            let (account, config) = account(Says(status, body));
            let check = facts(&account, &config, "provider.rd").await;
            assert_eq!(check.outcome, outcome, "{check}");
            assert!(check.seen.contains(words), "{check}");
            assert!(
                check.fix.as_deref().unwrap_or_default().contains(fix),
                "{check}"
            );
        }
    }

    #[tokio::test]
    async fn settings_that_no_account_could_have_are_refused_before_any_call() {
        let config = AccountConfig {
            name: "rd".to_owned(),
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let checks = check(&config).await;
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].outcome, Outcome::Failed, "{}", checks[0]);
    }

    #[tokio::test]
    async fn a_cdn_in_the_network_is_named_with_the_setting() {
        let newest = |url: &str| {
            let link = "https://real-debrid.com/d/AAAAAAAAAAAAA";
            let row = format!(r#"[{{"id":"A","link":"{link}","download":"{url}"}}]"#);
            account(Says(200, row)).0
        };
        for (url, outcome, words) in [
            ("https://1.1.1.1/d/SECRET", Outcome::Ok, "1.1.1.1"),
            (
                "https://10.1.2.3/d/SECRET",
                Outcome::Failed,
                "provider.rd.cdn_networks",
            ),
            ("https://localhost/d/SECRET", Outcome::Failed, "loopback"),
            ("http://1.1.1.1/d/SECRET", Outcome::Failed, "TLS"),
        ] {
            let check = cdn(&newest(url), "provider.rd").await.unwrap();
            assert_eq!(check.outcome, outcome, "{check}");
            assert!(check.seen.contains(words), "{check}");
            assert!(!check.to_string().contains("SECRET"), "{check}");
        }
    }

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
