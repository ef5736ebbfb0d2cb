//! How the engine does, gathered from its parts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use debridfs_acquire::Acquire;
use debridfs_base::state_file;
use debridfs_catalogue::{Catalogue, CopyReport};
use debridfs_content::{Content, ReaderClass};
use debridfs_control::{
    Accepting, CacheStatus, ContentStatus, CopiesStatus, CopyLine, EngineState, EngineStatus,
    FuseStatus, HeldLoss, Instance, KeeperStatus, KeyStatus, LastError, LibraryStatus, MountStatus,
    OperationStatus, ProviderStatus, QueueStatus, ReaderStatus, RefusedCopy, RepairStatus, Status,
    StepStatus, Verdict, WhyReport,
};
use debridfs_fuse::Serving;
use debridfs_handover as handover;
use debridfs_provider::Provider;
use debridfs_repair::{Patient, Repair};
use debridfs_tree::Tree;
use debridfs_vfs::Vfs;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::parts::Parts;
use super::why;

/// How often the keeper is asked how it does.
const KEEPER_EVERY: Duration = Duration::from_secs(2);
/// How often the progress of the first sync is told in the log.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Names of bad releases in a status.
const NAMES: usize = 20;

/// What was so from the start.
pub struct Birth {
    /// When the engine started.
    pub started: Timestamp,
    /// The mount point.
    pub mount: PathBuf,
    /// When it was mounted.
    pub since: Timestamp,
    /// The keeper's process id, if it is in a namespace we can see.
    pub keeper: Option<u32>,
    /// Engines before this one.
    pub restarts: u64,
    /// Where the keeper can be asked.
    pub keeper_socket: PathBuf,
    /// Where state is kept.
    pub state_dir: PathBuf,
}

/// Gathers the status.
pub struct Report {
    providers: Vec<Arc<dyn Provider>>,
    catalogue: Arc<Catalogue>,
    queue: Option<Arc<Acquire>>,
    repair: Option<Arc<Repair>>,
    content: Arc<Content>,
    tree: Arc<Tree>,
    serving: Arc<Serving>,
    birth: Birth,
    keeper: Mutex<KeeperStatus>,
    listen: OnceLock<SocketAddr>,
}

impl Report {
    /// A report about `parts`.
    pub fn new(
        parts: &Parts,
        queue: Option<Arc<Acquire>>,
        repair: Option<Arc<Repair>>,
        serving: Arc<Serving>,
        birth: Birth,
    ) -> Self {
        let keeper = KeeperStatus {
            pid: birth.keeper,
            restarts: birth.restarts,
            last_death: None,
        };
        Self {
            providers: parts.providers.clone(),
            catalogue: parts.catalogue.clone(),
            queue,
            repair,
            content: parts.content.clone(),
            tree: parts.tree.clone(),
            serving,
            birth,
            keeper: Mutex::new(keeper),
            listen: OnceLock::new(),
        }
    }

    /// Health and metrics are at `address`.
    pub fn listening(&self, address: SocketAddr) {
        // Told once, by the only server.
        let _ = self.listen.set(address);
    }

    /// Asks the keeper now and then, so that a status never waits for it.
    pub async fn follow_keeper(self: Arc<Self>) {
        loop {
            let socket = self.birth.keeper_socket.clone();
            let asked =
                tokio::task::spawn_blocking(move || handover::status(&socket, KEEPER_EVERY)).await;
            if let Ok(Ok(said)) = asked {
                let (keeper, ..) = crate::instance::keeper_part(&said);
                *self.keeper.lock() = keeper;
            }
            tokio::time::sleep(KEEPER_EVERY).await;
        }
    }

    /// Tells the log how far the first sync is, until it is done.
    pub async fn tell_progress(self: Arc<Self>) {
        while let Some(progress) = self.catalogue.status().progress {
            if progress.total == 0 {
                tracing::info!("first sync: waiting for the list of the account");
            } else {
                tracing::info!(
                    known = progress.done,
                    of = progress.total,
                    seconds_left = progress.seconds_left,
                    "first sync"
                );
            }
            tokio::time::sleep(PROGRESS_EVERY).await;
        }
        let status = self.catalogue.status();
        tracing::info!(
            releases = status.releases,
            files = status.files,
            "the library is complete"
        );
    }

    fn library(&self, problems: &mut Vec<String>) -> (LibraryStatus, Vec<LastError>) {
        let said = self.catalogue.status();
        let mut errors = Vec::new();
        if let Some(trouble) = &said.store_trouble {
            problems.push(format!("store {}: {}", said.store, trouble.message));
        }
        for provider in &said.providers {
            if let Some(trouble) = &provider.trouble {
                problems.push(format!("sync of {}: {}", provider.name, trouble.message));
            }
            errors.extend(provider.last_error.iter().map(|error| LastError {
                at: error.last,
                message: format!("sync of {}: {}", provider.name, error.message),
            }));
        }
        let progress = said.progress.as_ref();
        let status = LibraryStatus {
            listed: said.listed,
            releases: said.releases as u64,
            bad: said.bad as u64,
            unknown: progress.map_or(0, |left| left.total.saturating_sub(left.done) as u64),
            files: said.files as u64,
            bytes: self.tree.statfs().bytes,
            updated: said
                .providers
                .iter()
                .map(|provider| provider.last_answer)
                .min()
                .flatten(),
            age_seconds: said.age_seconds.map(|age| age as f64),
            full_list: said
                .providers
                .iter()
                .map(|provider| provider.last_full_list)
                .min()
                .flatten(),
            sync_seconds_left: progress.and_then(|left| left.seconds_left),
            held: said
                .held
                .into_iter()
                .map(|held| HeldLoss {
                    provider: held.provider,
                    releases: held.torrents as u64,
                    names: held.names,
                    since: Some(held.since),
                })
                .collect(),
            copies: self.copies(said.copies),
        };
        (status, errors)
    }

    fn copies(&self, said: debridfs_catalogue::CopiesStatus) -> CopiesStatus {
        let lines = said.lines.into_iter().map(|(release, copy)| RefusedCopy {
            release,
            copy: self.copy(copy),
        });
        CopiesStatus {
            total: said.total as u64,
            spared: said.spared as u64,
            refused: said.refused as u64,
            lines: lines.collect(),
        }
    }

    fn copy(&self, copy: CopyReport) -> CopyLine {
        let mut providers = self.providers.iter();
        let provider = providers.find(|provider| provider.name() == copy.provider);
        let first_key = provider.and_then(|provider| provider.keys().into_iter().next());
        CopyLine {
            provider: copy.provider,
            id: copy.id.0,
            key: first_key.map(|key| key.id.to_string()),
            health: copy.health.as_str().to_owned(),
            verdict: copy.verdict.map(|said| Verdict {
                said: said.verdict.unwrap_or_else(|| "answered".to_owned()),
                words: said.words,
                at: said.at,
            }),
        }
    }

    fn content(&self) -> ContentStatus {
        let stats = self.content.stats();
        ContentStatus {
            memory_used: stats.bytes_reserved,
            memory_limit: stats.bytes_limit,
            client_memory: stats.cdn.client_bytes,
            fetched: stats.cdn.bytes_fetched,
            served: stats.bytes_served,
            requests: stats.cdn.requests,
            hedges: stats.cdn.hedges,
            retries: stats.cdn.retries,
            stalls: stats.cdn.stalls,
            wrong_answers: stats.cdn.wrong_answers,
            connections: stats.cdn.open_connections as u64,
            connections_waiting: stats.cdn.waiting_for_connection as u64,
            links_resolved: stats.cdn.link_resolutions,
            links_refused: stats.cdn.links_refused,
            read_errors: stats.reads_failed,
            files_filled: stats.files_filled,
            files_unfilled: stats.files_unfilled,
            cache: stats.cache.map(|cache| CacheStatus {
                usable: cache.usable,
                files: cache.files,
                bytes: cache.bytes,
                limit: cache.limit,
                probe_bytes: cache.probe_bytes,
                probe_limit: cache.probe_limit,
                waiting: cache.waiting_bytes,
                spare: cache.spare_bytes,
                hits: cache.hits,
                misses: cache.misses,
                hit_bytes: cache.hit_bytes,
                written: cache.written_bytes,
                evicted: cache.evicted_bytes,
                skipped: cache.skipped_bytes,
                bypasses: cache.bypasses,
                errors: cache.errors,
                damaged: cache.damaged,
            }),
            readers: ReaderClass::ALL
                .into_iter()
                .zip(stats.classes)
                .map(|(class, counted)| ReaderStatus {
                    class: class.as_str().into(),
                    readers: counted.readers as u64,
                    read: counted.bytes_read,
                    fetched: counted.bytes_fetched,
                })
                .collect(),
        }
    }

    fn fuse(&self) -> FuseStatus {
        let stats = self.serving.stats();
        FuseStatus {
            pending: stats.pending,
            replayed: stats.replayed,
            interrupted: stats.interrupted,
            operations: stats
                .kinds
                .into_iter()
                .map(|kind| OperationStatus {
                    operation: kind.operation.into(),
                    requests: kind.requests,
                    failed: kind.failed,
                    seconds: kind.micros as f64 / 1e6,
                })
                .collect(),
        }
    }
}

fn provider(provider: &dyn Provider) -> ProviderStatus {
    let health = provider.health();
    ProviderStatus {
        name: health.name,
        kind: health.kind.into(),
        healthy: health.healthy,
        budget_left: health.budget_left,
        budget_per_minute: health.budget_per_minute,
        calls: health.calls,
        failures: health.failures,
        waiting: health.waiting as u64,
        cooldown_seconds: health.cooldown.map(|rest| rest.as_secs_f64()),
        last_error: health
            .last_error
            .map(|(at, message)| LastError { at, message }),
        keys: provider.keys().into_iter().map(key).collect(),
    }
}

fn key(key: debridfs_provider::KeyStatus) -> KeyStatus {
    let traffic = key.traffic;
    KeyStatus {
        number: key.number as u64,
        id: key.id.to_string(),
        calls: key.calls,
        refused: key.refused,
        traffic_counted: traffic.counted,
        traffic_used: traffic.used,
        traffic_limit: traffic.limit,
        playback_only: traffic.playback_only,
        used_up: traffic.used_up,
        traffic_resets: Some(traffic.resets),
    }
}

fn queue(queue: &Acquire) -> QueueStatus {
    let said = queue.status();
    QueueStatus {
        jobs: said
            .jobs
            .into_iter()
            .map(|(step, jobs)| StepStatus {
                step: step.label().into(),
                jobs,
            })
            .collect(),
        troubled: said.troubled,
        deletions: said.deletions,
    }
}

fn repair(repair: &Repair) -> RepairStatus {
    let said = repair.status();
    let mut stages = BTreeMap::new();
    for patient in &said.patients {
        *stages.entry(patient.stage.label().to_owned()).or_default() += 1;
    }
    let bad = said.patients.iter().filter(|one| one.stage.is_bad());
    RepairStatus {
        stages,
        bad: bad.map(|one| one.name.clone()).take(NAMES).collect(),
        held: said.held,
        spent: said.spent as u64,
        per_hour: said.per_hour as u64,
        healed: said.healed,
    }
}

/// Bytes of memory that this process has.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// How far repair is with a release, in words.
fn words_of(patient: &Patient) -> String {
    let checks = match patient.confirmations {
        0 => "no check has confirmed it yet".to_owned(),
        one_or_more => format!("{one_or_more} checks confirmed it"),
    };
    let last = patient.evidence.back().map_or("", |last| &last.words);
    format!("{}: {checks}; last: {last}", patient.stage.label())
}

impl Instance for Report {
    fn status(&self) -> Status {
        let mut problems = Vec::new();
        let (library, errors) = self.library(&mut problems);
        let keeper = self.keeper.lock().clone();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            healthy: false,
            problems,
            keeper,
            engine: EngineStatus {
                pid: Some(std::process::id()),
                state: EngineState::Serving,
                started: Some(self.birth.started),
                listen: self.listen.get().copied(),
                resident: resident(),
            },
            mount: MountStatus {
                path: self.birth.mount.clone(),
                since: Some(self.birth.since),
            },
            backend: self.serving.backend().into(),
            library: Some(library),
            providers: self
                .providers
                .iter()
                .map(|p| provider(p.as_ref()))
                .collect(),
            content: Some(self.content()),
            queue: self.queue.as_deref().map(queue),
            repair: self.repair.as_deref().map(repair),
            fuse: Some(self.fuse()),
            moved_aside: state_file::moved_aside_in(&self.birth.state_dir),
            last_error: errors.into_iter().max_by_key(|error| error.at),
        }
        .judged()
    }

    fn why(&self, path: &str) -> Result<WhyReport, String> {
        let found = self.tree.explain(&self.birth.mount, path);
        let mut found = found.map_err(|error| error.to_string())?;
        let release = found.release.as_mut();
        let copies = release.map_or(Vec::new(), |release| std::mem::take(&mut release.copies));
        let mut report = why::report(found, &self.content);
        if let Some(release) = &mut report.release {
            let copies = copies.iter().map(|copy| self.catalogue.report_of(copy));
            release.copies = copies.map(|copy| self.copy(copy)).collect();
            let hash = release.hash.parse().ok();
            let patient = hash.and_then(|hash| self.repair.as_ref()?.patient(hash));
            release.repair = patient.as_ref().map(words_of);
        }
        Ok(report)
    }

    fn accept_loss(&self) -> Accepting {
        let catalogue = self.catalogue.clone();
        Box::pin(async move { catalogue.accept().await as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::resident;

    #[test]
    fn memory_that_is_used_is_seen() {
        const BYTES: usize = 256 << 20;
        let before = resident().unwrap();
        let held = std::hint::black_box(vec![1_u8; BYTES]);
        let with = resident().unwrap();
        // Other tests of this program come and go beside.
        assert!(with > before + BYTES as u64 / 2, "{before} {with}");
        drop(held);
    }
}
