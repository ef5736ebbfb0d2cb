//! What happens besides the library, told to webhooks and chats: media servers have no use for it.

use std::collections::VecDeque;

use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{DISCORD_LONGEST, Hook, HookKind, PAUSES};

/// Notices that wait for one hook at most; the oldest are left out.
const MOST: usize = 32;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Its kind: the `event` of a webhook's body.
    pub event: &'static str,
    /// What happened, for people.
    pub words: String,
    /// The same for programs.
    pub detail: Value,
}

/// Notices that were not told yet, of this process: unlike changes of the library they are worth
/// nothing later.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: Mutex<VecDeque<Notice>>,
    news: Notify,
}

impl Hook {
    /// Tells this one as soon as it can be told. Never waits.
    pub fn notice(&self, notice: Notice) {
        if !matches!(self.kind, HookKind::Webhook | HookKind::Discord) {
            return;
        }
        let mut waiting = self.notices.waiting.lock();
        if waiting.len() == MOST {
            waiting.pop_front();
            tracing::warn!(
                hook = self.name,
                "too many notices at once: the oldest is left out"
            );
        }
        waiting.push_back(notice);
        self.notices.news.notify_one();
    }

    /// Tells notices as they come. Ends when it is dropped.
    pub async fn tell_notices(&self) {
        let mut failures = 0u32;
        loop {
            let next = self.notices.waiting.lock().front().cloned();
            let Some(notice) = next else {
                self.notices.news.notified().await;
                continue;
            };
            let body = match self.kind {
                HookKind::Discord => {
                    let words: String = notice.words.chars().take(DISCORD_LONGEST).collect();
                    json!({ "content": words, "allowed_mentions": { "parse": [] } })
                }
                _ => json!({
                    "event": notice.event, "words": notice.words, notice.event: notice.detail,
                }),
            };
            match self.caller.call(Method::POST, "", Some(&body)).await {
                Err(error) if error.is_passing() => {
                    failures = failures.saturating_add(1);
                    let pause = PAUSES.after(failures);
                    tracing::warn!(hook = self.name, %error, ?pause, "cannot be told of a notice yet");
                    sleep(pause).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(hook = self.name, %error, "cannot be told of a notice: left out");
                }
                Ok(_) => failures = 0,
            }
            let mut waiting = self.notices.waiting.lock();
            // Others may have been left out meanwhile.
            if waiting.front() == Some(&notice) {
                waiting.pop_front();
            }
        }
    }
}
