//! What accounts are asked for now and then, beside what the library needs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::{Priority, Provider};

/// How often the provider is asked for its count of the day's traffic, if any flowed.
const TRAFFIC_EVERY: Duration = Duration::from_secs(600);
/// How often accounts are asked for plan and slots: two calls at most each time.
const FACTS_EVERY: Duration = Duration::from_secs(3600);

/// Keeps plans and slots known, for ever.
pub async fn read_facts(providers: Vec<Arc<dyn Provider>>) {
    loop {
        for provider in &providers {
            if let Err(error) = provider.read_facts(Priority::Refresh).await {
                tracing::debug!(%error, "the account does not tell its plan");
            }
        }
        sleep(FACTS_EVERY).await;
    }
}

/// Compares our counts of traffic with the providers' now and then, for ever.
pub async fn compare_traffic(providers: Vec<Arc<dyn Provider>>) {
    loop {
        for provider in &providers {
            if let Err(error) = provider.read_traffic().await {
                tracing::debug!(%error, "the provider's count of traffic is not known");
            }
        }
        sleep(TRAFFIC_EVERY).await;
    }
}
