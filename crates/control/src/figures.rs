//! The figures of a status, from those of the parts.
#![allow(clippy::disallowed_methods, reason = "what is read is of the kernel")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use debridfs_acquire::{Acquire, Job, Step};
use debridfs_base::volume::Volume;
use debridfs_base::{Attention, AttentionKind};
use debridfs_catalogue::{self as catalogue, Catalogue, CopyReport};
use debridfs_content::{Content, ReaderClass};
use debridfs_fuse::{Backends, Serving};
use debridfs_provider::{AccountFacts, BudgetUse, Provider};
use debridfs_repair::Repair;
use debridfs_tree::Tree;
use debridfs_vfs::{NodeId, Vfs};
use jiff::{SignedDuration, Timestamp};

use crate::{
    AccountStatus, BudgetStatus, CacheStatus, ContentStatus, CopiesStatus, CopyLine, EngineInfo,
    EngineParts, FirstSyncStatus, FuseStatus, HeldLoss, KeyStatus, LastError, LibraryStatus,
    OperationStatus, ProviderStatus, QueueStatus, QueuedJob, ReaderStatus, ReadingStatus,
    RefusedCopy, RepairStatus, StepStatus, Verdict, VolumeStatus,
};

/// Names of bad releases in a status.
const NAMES: usize = 20;
/// Names of failed downloads in a line of attention.
const LATEST: usize = 3;
/// What is in the way of a download for less is likely to pass by itself.
const HELD_FOR: SignedDuration = SignedDuration::from_mins(5);
/// Readers in a status.
const READERS: usize = 100;

/// The library, with the errors of its sync; what is wrong now is added to `attention`.
pub(crate) fn library(
    catalogue: &Catalogue,
    tree: &Tree,
    providers: &[Arc<dyn Provider>],
    attention: &mut Vec<Attention>,
) -> (LibraryStatus, Vec<LastError>) {
    let said = catalogue.status();
    let mut errors = Vec::new();
    let store_trouble = said
        .store_trouble
        .map(|trouble| format!("store {}: {}", said.store, trouble.message));
    for provider in &said.providers {
        if let Some(trouble) = &provider.trouble {
            let words = format!("sync of {}: {}", provider.name, trouble.message);
            attention.push(Attention::new(
                AttentionKind::Provider,
                &provider.name,
                words,
                "",
            ));
        }
        errors.extend(provider.last_error.iter().map(|error| LastError {
            at: error.last,
            message: format!("sync of {}: {}", provider.name, error.message),
        }));
    }
    let progress = said.progress.as_ref();
    let status = LibraryStatus {
        listed: said.listed,
        first_sync: first_syncs(&said.providers),
        releases: said.releases as u64,
        bad: said.bad as u64,
        unknown: progress.map_or(0, |left| left.total.saturating_sub(left.done) as u64),
        ready: progress.map_or(0, |all| all.total as u64),
        files: said.files as u64,
        bytes: tree.statfs().bytes,
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
        store_trouble,
        copies: copies(said.copies, providers),
    };
    (status, errors)
}

fn first_syncs(providers: &[catalogue::ProviderSync]) -> Vec<FirstSyncStatus> {
    let silent = |one: &catalogue::ProviderSync| one.first_sync?.patience;
    // There is nothing to show without it where no other account answers.
    let others_answer = providers.iter().any(|one| silent(one).is_none());
    let waiting = providers.iter().filter_map(|provider| {
        let first = provider.first_sync?;
        Some(FirstSyncStatus {
            provider: provider.name.clone(),
            listed: provider.listed,
            named: first.named as u64,
            total: first.total as u64,
            seconds_left: first.seconds_left,
            patience: first.patience.filter(|_| others_answer),
        })
    });
    waiting.collect()
}

fn copies(said: catalogue::CopiesStatus, providers: &[Arc<dyn Provider>]) -> CopiesStatus {
    let lines = said.lines.into_iter().map(|(release, said)| RefusedCopy {
        release,
        copy: copy(said, providers),
    });
    CopiesStatus {
        total: said.total as u64,
        spared: said.spared as u64,
        refused: said.refused as u64,
        lines: lines.collect(),
    }
}

/// One account's copy of a release.
pub(crate) fn copy(copy: CopyReport, providers: &[Arc<dyn Provider>]) -> CopyLine {
    let mut providers = providers.iter();
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

/// Who reads what now.
fn reading(content: &Content, tree: &Tree) -> Vec<ReadingStatus> {
    let shown = content.reading().into_iter().filter_map(|reading| {
        Some(ReadingStatus {
            path: tree.path(NodeId(reading.file))?,
            front: reading.client.front().to_owned(),
            client: reading.client.to_string(),
            class: reading.class.as_str().to_owned(),
            read: reading.bytes,
            idle_seconds: reading.idle.as_secs(),
        })
    });
    shown.take(READERS).collect()
}

pub(crate) fn content(content: &Content, tree: &Tree) -> ContentStatus {
    let stats = content.stats();
    ContentStatus {
        memory_used: stats.bytes_reserved,
        memory_limit: stats.bytes_limit,
        client_memory: stats.cdn.client_bytes,
        fetched: stats.cdn.bytes_fetched,
        served: stats.bytes_served,
        requests: stats.cdn.requests,
        hedges: stats.cdn.hedges,
        retries: stats.cdn.retries,
        fail_overs: stats.cdn.fail_overs,
        copies_differing: stats.cdn.copies_differing,
        returns: stats.cdn.returns,
        stalls: stats.cdn.stalls,
        wrong_answers: stats.cdn.wrong_answers,
        connections: stats.cdn.open_connections as u64,
        connections_waiting: stats.cdn.waiting_for_connection as u64,
        links_resolved: stats.cdn.link_resolutions,
        links_refused: stats.cdn.links_refused,
        read_errors: stats.reads_failed,
        files_filled: stats.files_filled,
        files_unfilled: stats.files_unfilled,
        reading: reading(content, tree),
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

pub(crate) fn fuse(serving: &Serving, backends: &Backends) -> FuseStatus {
    let stats = serving.stats();
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
        rollout: backends.rollout(),
    }
}

pub(crate) fn provider(provider: &dyn Provider) -> ProviderStatus {
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
        account: provider.facts().map(account),
    }
}

pub(crate) fn account(facts: AccountFacts) -> AccountStatus {
    AccountStatus {
        plan: facts.account.plan,
        premium: facts.account.premium,
        expires: facts.account.expires,
        slots_used: facts.slots_used,
        slots: facts.slots,
        fair_use: facts.account.fair_use,
        read: facts.read,
    }
}

fn budget(budget: BudgetUse) -> BudgetStatus {
    BudgetStatus {
        calls: budget.word.unwrap_or("all").to_owned(),
        used: u64::from(budget.used),
        limit: u64::from(budget.calls),
        seconds: budget.per.as_secs(),
    }
}

fn key(key: debridfs_provider::KeyStatus) -> KeyStatus {
    let traffic = key.traffic;
    KeyStatus {
        number: key.number as u64,
        id: key.id.to_string(),
        calls: key.calls,
        budgets: key.budgets.into_iter().map(budget).collect(),
        refused: key.refused,
        traffic_counted: traffic.counted,
        traffic_used: traffic.used,
        traffic_limit: traffic.limit,
        playback_only: traffic.playback_only,
        used_up: traffic.used_up,
        traffic_resets: Some(traffic.resets),
    }
}

pub(crate) fn queue(queue: &Acquire) -> QueueStatus {
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

/// Downloads that failed without an arr that was told, and those that have waited for long.
pub(crate) fn downloads(queue: &Acquire) -> Vec<Attention> {
    let has_arrs = !queue.config().arrs.is_empty();
    of_jobs(&queue.jobs(), has_arrs, Timestamp::now())
}

fn of_jobs(jobs: &[Arc<Job>], has_arrs: bool, now: Timestamp) -> Vec<Attention> {
    let known = |job: &Job| job.told.as_ref().is_some_and(|told| told.arr.is_some());
    let mut failed: Vec<&Job> = jobs.iter().map(|job| &**job).collect();
    failed.retain(|job| job.step == Step::Failed && !known(job));
    failed.sort_by_key(|job| std::cmp::Reverse(job.changed));
    let mut all = Vec::new();
    if let (Some(latest), Some(first)) = (failed.first(), failed.last()) {
        let names: Vec<&str> = failed.iter().map(|job| &*job.name).collect();
        let names = names[..names.len().min(LATEST)].join(", ");
        let reason = QueuedJob::of(latest, has_arrs).reason;
        let reason = reason.unwrap_or_else(|| "without a reason".to_owned());
        let words = format!("{} failed: {names}: {reason}", downloads_of(failed.len()));
        let help =
            "`debridfs queue rm HASH` or the arr takes one away, `debridfs queue add` tries again";
        let line = Attention::new(AttentionKind::Grab, "", words, help);
        all.push(line.since(Some(first.changed)));
    }
    let waits = |job: &&Arc<Job>| {
        let long = now.duration_since(job.changed) >= HELD_FOR;
        !job.step.is_settled() && job.live.trouble.is_some() && long
    };
    let held: Vec<&Arc<Job>> = jobs.iter().filter(waits).collect();
    if let Some(first) = held.first() {
        let trouble = first.live.trouble.as_deref().unwrap_or_default();
        let count = downloads_of(held.len());
        let words = format!("{count} held up: {}: {trouble}", first.name);
        let help = "`debridfs queue ls` has the rest; each is tried again by itself";
        let line = Attention::new(AttentionKind::Downloads, "held up", words, help);
        all.push(line.since(Some(first.changed)));
    }
    all
}

fn downloads_of(count: usize) -> String {
    match count {
        1 => "a download".to_owned(),
        count => format!("{count} downloads"),
    }
}

pub(crate) fn repair(repair: &Repair) -> RepairStatus {
    let said = repair.status();
    let mut stages = BTreeMap::new();
    for patient in &said.patients {
        *stages.entry(patient.stage.label().to_owned()).or_default() += 1;
    }
    let bad = said.patients.iter().filter(|one| one.is_bad());
    RepairStatus {
        stages,
        bad: bad.map(|one| one.name.clone()).take(NAMES).collect(),
        held: said.held,
        spent: said.spent as u64,
        per_hour: said.per_hour as u64,
        healed: said.healed,
    }
}

/// The volumes that an engine uses.
pub(crate) fn volumes(parts: &EngineParts, info: &EngineInfo) -> Vec<VolumeStatus> {
    let told = |volume: &Volume, path: PathBuf| VolumeStatus {
        name: volume.name().to_owned(),
        path,
        silent_since: volume.silence().map(|silence| silence.since),
    };
    let mut all = vec![told(Volume::state(), info.state_dir.clone())];
    let cache = parts.content.cache();
    all.extend(cache.map(|cache| told(cache.volume(), info.cache_dir.clone())));
    let downloads = parts.queue.get().into_iter();
    let downloads = downloads.flat_map(|queue| queue.volumes());
    all.extend(downloads.map(|(folder, volume)| told(&volume, folder)));
    // Where a program lies is known once it hangs.
    let programs = Volume::programs();
    all.extend(
        programs
            .silence()
            .map(|silence| told(programs, silence.path)),
    );
    all
}

/// Bytes of memory that this process has.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, minute: u32, fields: serde_json::Value) -> Arc<Job> {
        let at = format!("2026-01-01T00:{minute:02}:00Z");
        let mut job = serde_json::json!({
            "hash": "ab".repeat(20), "name": name, "category": "tv", "added": at, "changed": at, "step": "failed",
            "reason": "dead", "evidence": "dead", "save_path": "/d/tv", "action": "symlink", "uncached": "wait",
        });
        let fields = fields.as_object().unwrap().clone();
        job.as_object_mut().unwrap().extend(fields);
        Arc::new(serde_json::from_value(job).unwrap())
    }

    #[test]
    fn failed_downloads_are_a_line_until_an_arr_was_told() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let told = serde_json::json!({ "told": { "arr": "sonarr", "at": "2026-01-01T00:30:00Z" } });
        let nobody = serde_json::json!({ "told": { "arr": null, "at": "2026-01-01T00:30:00Z" } });
        let none = serde_json::json!({});
        let known = job("Known", 1, told);
        assert_eq!(of_jobs(std::slice::from_ref(&known), true, now), []);
        let jobs = [known, job("First", 2, none), job("Last", 3, nobody)];
        let [line] = &of_jobs(&jobs, false, now)[..] else {
            panic!("one line")
        };
        assert_eq!(line.kind, AttentionKind::Grab);
        assert!(
            line.words
                .starts_with("2 downloads failed: Last, First: dead; no arr was told"),
            "{line}"
        );
        assert_eq!(line.since, Some(jobs[1].changed));
    }

    #[test]
    fn what_has_been_in_the_way_for_long_is_a_line() {
        let held = |minute: u32, trouble: Option<&str>, step: &str| {
            let mut job = Job::clone(&job(
                "Film",
                minute,
                serde_json::json!({ "step": step, "evidence": null }),
            ));
            job.live.trouble = trouble.map(str::to_owned);
            let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
            of_jobs(&[Arc::new(job)], true, now)
        };
        let [line] = &held(5, Some("/d cannot be made"), "probed")[..] else {
            panic!("one line")
        };
        assert_eq!(line.kind, AttentionKind::Downloads);
        assert_eq!(line.words, "a download held up: Film: /d cannot be made");
        assert_eq!(
            held(6, Some("/d cannot be made"), "probed"),
            [],
            "for four minutes"
        );
        assert_eq!(held(5, None, "probed"), []);
        assert_eq!(held(5, Some("x"), "complete"), []);
    }

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
