//! TLS from files that may change while it is served.
//!
//! The files are looked at every few seconds, through all links on the way to them: so it is seen
//! when one is written or replaced, and when a link such as Kubernetes' `..data` is, on any file
//! system. Connections that are open keep what they began with.

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::volume::Volume;
use debridfs_base::{AttentionKind, Board, Trouble};
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::certificate::{Certificate, Versions};
use crate::{TlsError, TlsFiles};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How soon those are looked at again that cannot be used: the other one may only be on its way.
const AGAIN: Duration = Duration::from_secs(1);
/// A certificate that ends so soon is told of.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What one listener serves TLS with.
#[derive(Debug)]
pub struct Tls {
    /// The setting that names the certificate, such as `http.tls_cert`.
    setting: &'static str,
    files: TlsFiles,
    volume: Volume,
    current: watch::Sender<Option<Arc<Certificate>>>,
    wake: Notify,
}

/// What the last look at the files came to.
#[derive(Debug, Default)]
struct Seen {
    versions: Option<Versions>,
    error: Option<TlsError>,
    /// The same versions could not be used at the look before.
    is_sure: bool,
}

impl Tls {
    /// TLS with `files`, which `setting` names. Nothing is read before [`Self::follow`].
    pub fn new(setting: &'static str, files: TlsFiles) -> Arc<Self> {
        Arc::new(Self {
            setting,
            files,
            volume: Volume::new(setting),
            current: watch::channel(None).0,
            wake: Notify::new(),
        })
    }

    /// Reads the files, and again whenever they change, for ever. What cannot be used is said on
    /// `board` and in the log, and what was served before goes on being served; so is a certificate
    /// that ends within 14 days.
    pub async fn follow(&self, board: &Board) {
        let mut seen = Seen::default();
        loop {
            self.look(&mut seen).await;
            self.tell(&seen, board, Timestamp::now());
            let wait = match &seen.error {
                Some(_) => AGAIN,
                None => LOOK,
            };
            // Told to look, or it is time.
            let _ = timeout(wait, self.wake.notified()).await;
        }
    }

    /// Looks at the files now: for SIGHUP.
    pub fn look_now(&self) {
        self.wake.notify_one();
    }

    /// Returns once there is something to serve with.
    pub async fn ready(&self) {
        // Its sender is `self`.
        let _ = self.current.subscribe().wait_for(Option::is_some).await;
    }

    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        let current = self.current.borrow();
        current.as_ref().map(|one| one.config.clone())
    }

    async fn look(&self, seen: &mut Seen) {
        let files = self.files.clone();
        let (known, failed) = (seen.versions, seen.error.is_some());
        let looked = self.volume.run(&self.files.cert, move || {
            let versions = files.versions();
            let is_new = known != Some(versions);
            (versions, (is_new || failed).then(|| files.load()))
        });
        // A silent volume has a line of its own.
        let Ok((versions, loaded)) = looked.await else {
            return;
        };
        let is_same = seen.versions.replace(versions) == Some(versions);
        match loaded {
            None => {}
            Some(Ok(certificate)) => {
                tracing::info!(cert = %self.files.cert.display(), ends = %certificate.ends, "{}: TLS is served with a new certificate", self.setting);
                self.current.send_replace(Some(Arc::new(certificate)));
                *seen = Seen {
                    versions: Some(versions),
                    ..Seen::default()
                };
            }
            Some(Err(error)) => {
                seen.is_sure = is_same && seen.error.is_some();
                seen.error = Some(error);
            }
        }
    }

    fn tell(&self, seen: &Seen, board: &Board, now: Timestamp) {
        let current = self.current.borrow().clone();
        let trouble = match (&seen.error, current) {
            (Some(error), None) => Some(Trouble::new(
                format!("no TLS: {error}"),
                format!(
                    "mend the files of `{}`; they are read again by themselves",
                    self.setting
                ),
            )),
            (Some(error), Some(before)) if seen.is_sure => Some(Trouble::new(
                format!(
                    "a new certificate cannot be used: {error}; that of before is served, until {:.0}",
                    before.ends
                ),
                format!(
                    "mend the files of `{}`; they are read again by themselves",
                    self.setting
                ),
            )),
            (_, Some(current)) => ending(current.ends, now).map(|words| {
                let help = format!(
                    "renew {}; it is read again by itself",
                    self.files.cert.display()
                );
                Trouble::new(words, help)
            }),
            (None, None) => None,
        };
        match trouble {
            None => {
                board.settle(AttentionKind::Certificate, self.setting);
            }
            Some(trouble) => {
                let Trouble { words, help } = trouble.clone();
                if board.raise(AttentionKind::Certificate, self.setting, trouble) {
                    tracing::error!(help, "{}: {words}", self.setting);
                }
            }
        }
    }
}

/// What is said of a certificate that `ends` within 14 days of `now`, or has ended.
pub fn ending(ends: Timestamp, now: Timestamp) -> Option<String> {
    let left = ends.duration_since(now);
    match left {
        _ if left.is_negative() => Some(format!(
            "the certificate ended at {ends:.0}: clients refuse it"
        )),
        _ if left <= SOON => Some(format!("the certificate ends at {ends:.0}")),
        _ => None,
    }
}
