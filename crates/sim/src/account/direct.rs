//! Direct links of an account.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::{Account, Download};
use crate::content::Content;
use crate::random::Id13;
use crate::settings::Settings;

/// What a direct link gives: its restricted link, name, info-hash and path in the release, bytes.
pub(crate) type Linked = (Id13, String, String, Content);

impl Account {
    /// Makes a direct link at `now_ms`, of the account `number`, below `url`. It lives as long as `settings` say.
    pub(crate) fn make_download(
        &mut self,
        number: usize,
        (link, filename, file, content): Linked,
        url: String,
        (now_ms, settings): (i64, &Settings),
    ) -> Arc<Download> {
        let life_ms = i64::from(settings.link_ttl_s) * 1000;
        let made = Arc::new(Download {
            id: self.new_download_id(),
            account: number,
            link,
            filename,
            file,
            content,
            url,
            generated_ms: now_ms,
            expires_ms: AtomicI64::new(now_ms.saturating_add(life_ms)),
        });
        self.downloads.push(made.clone());
        made
    }
}
