//! The names of all metrics. `docs/metrics.md` has the same table, and a test holds the two together.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, until the engine starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric, for the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its name as scraped; of a histogram, without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

impl MetricInfo {
    /// What it is, which follows from the name.
    pub fn kind(&self) -> MetricKind {
        match self.name {
            name if name.ends_with("_total") => MetricKind::Counter,
            name if name.ends_with("_duration_seconds") => MetricKind::Histogram,
            _ => MetricKind::Gauge,
        }
    }

    /// Its line in `docs/metrics.md`.
    #[cfg(test)]
    pub(super) fn row(&self) -> String {
        let kind = format!("{:?}", self.kind()).to_lowercase();
        let labels: Vec<_> = self.labels.iter().map(|name| format!("`{name}`")).collect();
        let labels = labels.join(", ");
        format!("| `{}` | {kind} | {labels} | {} |\n", self.name, self.help)
    }
}

const fn metric(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricInfo {
    MetricInfo { name, labels, help }
}

/// Every metric, in the order of the documentation.
pub const METRICS: &[MetricInfo] = &[
    metric(
        "debridfs_build_info",
        &["version", "backend"],
        "Always 1; says which build runs",
    ),
    metric(
        "debridfs_healthy",
        &[],
        "1 when `status` finds nothing wrong",
    ),
    metric(
        "debridfs_attention",
        &["kind"],
        "What somebody has to look at, by what it is about",
    ),
    metric(
        "debridfs_volume_silent",
        &["volume"],
        "1 while a volume that is used (`state`, `cache`, `downloads`, `hooks`) does not answer",
    ),
    metric(
        "debridfs_engine_start_time_seconds",
        &[],
        "When the engine started, in Unix time",
    ),
    metric(
        "debridfs_engine_serving",
        &[],
        "1 when the engine answers the kernel",
    ),
    metric(
        "debridfs_engine_resident_bytes",
        &[],
        "Memory of the engine's process, all in all",
    ),
    metric(
        "debridfs_engine_restarts_total",
        &[],
        "Engines the keeper took after the first one",
    ),
    metric(
        "debridfs_listener_connections",
        &["listener"],
        "Connections of callers now",
    ),
    metric(
        "debridfs_listener_accepted_total",
        &["listener"],
        "Connections that were let in",
    ),
    metric(
        "debridfs_listener_refused_total",
        &["listener"],
        "Connections that were refused, as all that there may be were in use",
    ),
    metric(
        "debridfs_listener_ended_total",
        &["listener", "reason"],
        "Connections that were ended: `room` for another one, `idle` without a request, `slow` with a body or an answer",
    ),
    metric(
        "debridfs_listener_errors_total",
        &["listener"],
        "Failures to accept a connection, for want of a descriptor above all",
    ),
    metric(
        "debridfs_request_body_bytes",
        &[],
        "Bytes of requests' bodies in memory, of all listeners",
    ),
    metric(
        "debridfs_request_body_limit_bytes",
        &[],
        "Bytes of requests' bodies that may be in memory",
    ),
    metric(
        "debridfs_failed_logins_total",
        &[],
        "Passwords, keys and tokens that were wrong, of all listeners",
    ),
    metric(
        "debridfs_http_requests_total",
        &["front", "code"],
        "Requests over HTTP that were answered, by front (`webdav`, `files`, `api`, `mcp`, `health`, or what else the listener serves) and status code",
    ),
    metric(
        "debridfs_http_request_duration_seconds",
        &["front"],
        "Times from a request's head to the head of its answer",
    ),
    metric(
        "debridfs_front_sent_bytes_total",
        &["front"],
        "Bytes handed out: of files by `fuse` and `nfs`, of answers' bodies by fronts of HTTP",
    ),
    metric(
        "debridfs_nfs_connections",
        &["client"],
        "Connections of each NFS client now",
    ),
    metric(
        "debridfs_nfs_requests_total",
        &["client"],
        "Requests over NFS that were answered",
    ),
    metric(
        "debridfs_nfs_read_bytes_total",
        &["client"],
        "Bytes of files that were sent over NFS",
    ),
    metric(
        "debridfs_nfs_errors_total",
        &["client"],
        "Requests over NFS that failed",
    ),
    metric(
        "debridfs_nfs_delayed_total",
        &["client"],
        "Requests over NFS that the client was told to ask again",
    ),
    metric(
        "debridfs_nfs_operations_total",
        &["operation", "status"],
        "Calls over NFS by procedure and status: `ok`, the name in RFC 1813 without its prefix (`JUKEBOX`: to be asked again), `other`, or `refused` by the rules of RPC",
    ),
    metric(
        "debridfs_nfs_operation_duration_seconds",
        &["operation"],
        "Times from a call over NFS to its reply, waits for a CDN included",
    ),
    metric(
        "debridfs_nfs_reply_bytes",
        &[],
        "Bytes of files in replies over NFS that are under way",
    ),
    metric(
        "debridfs_library_listed",
        &[],
        "1 once the first sync is over and `__all__` is shown",
    ),
    metric("debridfs_library_releases", &[], "Releases in __all__"),
    metric("debridfs_library_bad_releases", &[], "Releases in __bad__"),
    metric(
        "debridfs_library_unknown_releases",
        &[],
        "Releases whose files are not known yet",
    ),
    metric(
        "debridfs_library_held_releases",
        &["provider"],
        "Releases that vanished and are kept until confirmed",
    ),
    metric("debridfs_library_files", &[], "Files in __all__"),
    metric(
        "debridfs_library_bytes",
        &[],
        "Bytes of the files in __all__",
    ),
    metric(
        "debridfs_library_updated_timestamp_seconds",
        &[],
        "When the account was last asked successfully",
    ),
    metric(
        "debridfs_library_full_list_timestamp_seconds",
        &[],
        "When a complete list was last compared",
    ),
    metric(
        "debridfs_provider_up",
        &["provider", "kind"],
        "1 when the last call that could tell was answered",
    ),
    metric("debridfs_provider_calls_total", &["provider"], "Calls made"),
    metric(
        "debridfs_provider_failures_total",
        &["provider"],
        "Calls that failed",
    ),
    metric(
        "debridfs_provider_waiting",
        &["provider"],
        "Calls waiting for their turn",
    ),
    metric(
        "debridfs_provider_budget_left",
        &["provider"],
        "Calls that may be made at once",
    ),
    metric(
        "debridfs_provider_budget_per_minute",
        &["provider"],
        "Calls allowed a minute",
    ),
    metric(
        "debridfs_provider_cooldown_seconds",
        &["provider"],
        "Rest of a cool-down shared by all callers",
    ),
    metric(
        "debridfs_key_budget_used_calls",
        &["provider", "key", "calls", "seconds"],
        "Calls that count against a limit now. `calls` is `all` or the kind that the limit is for, such as `create`; the limit holds in any time of `seconds`",
    ),
    metric(
        "debridfs_key_budget_limit_calls",
        &["provider", "key", "calls", "seconds"],
        "How many may count",
    ),
    metric(
        "debridfs_provider_slots_used",
        &["provider"],
        "Downloads on their way to the account; absent where the vendor does not tell",
    ),
    metric(
        "debridfs_provider_slots",
        &["provider"],
        "How many may be; absent where the vendor does not tell",
    ),
    metric(
        "debridfs_provider_fair_use_ratio",
        &["provider"],
        "Share of a fair-use allowance that is used, 0 to 1; absent where the vendor does not tell",
    ),
    metric(
        "debridfs_provider_expires_timestamp_seconds",
        &["provider"],
        "End of the subscription; absent where it is not known",
    ),
    metric(
        "debridfs_key_traffic_bytes",
        &["provider", "key"],
        "Bytes fetched with a download key since the provider's midnight",
    ),
    metric(
        "debridfs_key_traffic_limit_bytes",
        &["provider", "key"],
        "The configured daily_traffic; absent without one",
    ),
    metric(
        "debridfs_key_playback_only",
        &["provider", "key"],
        "1 when what is left of daily_traffic is kept for playback",
    ),
    metric(
        "debridfs_key_used_up",
        &["provider", "key"],
        "1 when nothing may be fetched with the key before the provider's midnight",
    ),
    metric(
        "debridfs_key_refused",
        &["provider", "key"],
        "1 when the provider refused the key lately",
    ),
    metric(
        "debridfs_key_calls_total",
        &["provider", "key"],
        "Calls made with the key",
    ),
    metric(
        "debridfs_downloads",
        &["step"],
        "Downloads for arrs by how far they are",
    ),
    metric(
        "debridfs_downloads_held_up",
        &[],
        "Unfinished downloads with something in their way",
    ),
    metric(
        "debridfs_repair_releases",
        &["stage"],
        "Releases that cannot be read, or are said so, by how far repair is with them",
    ),
    metric(
        "debridfs_repair_healed_total",
        &[],
        "Releases that were healed",
    ),
    metric(
        "debridfs_content_memory_bytes",
        &[],
        "Bytes held in buffers",
    ),
    metric(
        "debridfs_content_memory_limit_bytes",
        &[],
        "Bytes that may be held in buffers",
    ),
    metric(
        "debridfs_content_client_memory_bytes",
        &[],
        "Bytes that the HTTP client may have read ahead besides, at most: 408 KiB for each connection with a body under way",
    ),
    metric(
        "debridfs_content_fetched_bytes_total",
        &[],
        "Bytes fetched from CDNs",
    ),
    metric(
        "debridfs_content_served_bytes_total",
        &[],
        "Bytes handed to readers",
    ),
    metric(
        "debridfs_readers",
        &["class"],
        "Readers by what they are taken for: `probe`, `scan`, `playback`, `copy`",
    ),
    metric(
        "debridfs_reader_read_bytes_total",
        &["class"],
        "Bytes that readers asked for, by what they were taken for then",
    ),
    metric(
        "debridfs_reader_fetched_bytes_total",
        &["class"],
        "Bytes fetched from CDNs for readers, by what they were taken for then",
    ),
    metric(
        "debridfs_probe_filled_files_total",
        &[],
        "New files whose head and tail were fetched before anybody read them",
    ),
    metric(
        "debridfs_probe_unfilled_files_total",
        &[],
        "New files of which head or tail could not be fetched; they are left to whoever reads them",
    ),
    metric(
        "debridfs_content_requests_total",
        &[],
        "Ranged requests to CDNs",
    ),
    metric(
        "debridfs_content_hedges_total",
        &[],
        "Second requests to CDNs, sent because the first was late or slow",
    ),
    metric(
        "debridfs_content_retries_total",
        &[],
        "Requests to CDNs that failed and were, or may have been, made again",
    ),
    metric(
        "debridfs_content_fail_overs_total",
        &[],
        "Times that a reader went on with another copy",
    ),
    metric(
        "debridfs_content_copies_differing_total",
        &[],
        "Copies of files whose bytes were found to differ from the others', and that are not used any more",
    ),
    metric(
        "debridfs_content_returns_total",
        &[],
        "Times that a provider was found well again after readers had left it",
    ),
    metric(
        "debridfs_content_stalls_total",
        &[],
        "Connections to CDNs given up because nothing came",
    ),
    metric(
        "debridfs_content_wrong_answers_total",
        &[],
        "Answers of CDNs that were not what had been asked, none of which was handed out",
    ),
    metric(
        "debridfs_content_links_refused_total",
        &[],
        "Direct links that a CDN refused, and that were made anew",
    ),
    metric(
        "debridfs_content_connections",
        &[],
        "Connections to CDNs with a body under way",
    ),
    metric(
        "debridfs_content_connections_waiting",
        &[],
        "Fetches that wait for leave to connect",
    ),
    metric(
        "debridfs_content_links_resolved_total",
        &[],
        "Direct links asked of providers",
    ),
    metric(
        "debridfs_cache_usable",
        &[],
        "1 when the cache on disk can be used now",
    ),
    metric("debridfs_cache_files", &[], "Files in the cache"),
    metric(
        "debridfs_cache_bytes",
        &[],
        "Bytes the cache takes on disk, of what was played or copied",
    ),
    metric(
        "debridfs_cache_limit_bytes",
        &[],
        "Bytes it may take now: its size, or less when the disk is short of room",
    ),
    metric(
        "debridfs_cache_probe_bytes",
        &[],
        "Bytes the cache takes on disk, of heads and tails",
    ),
    metric(
        "debridfs_cache_probe_limit_bytes",
        &[],
        "Bytes heads and tails may take",
    ),
    metric(
        "debridfs_cache_waiting_bytes",
        &[],
        "Bytes in memory that wait for the disk of the cache; 16 MiB at most",
    ),
    metric(
        "debridfs_cache_spare_bytes",
        &[],
        "Bytes of spare buffers for what is read from the cache; 20 MiB at most",
    ),
    metric(
        "debridfs_cache_hits_total",
        &[],
        "Reads answered from the cache",
    ),
    metric(
        "debridfs_cache_misses_total",
        &[],
        "Reads the cache could not answer",
    ),
    metric(
        "debridfs_cache_hit_bytes_total",
        &[],
        "Bytes of the reads answered from the cache",
    ),
    metric(
        "debridfs_cache_written_bytes_total",
        &[],
        "Bytes written into the cache",
    ),
    metric(
        "debridfs_cache_evicted_bytes_total",
        &[],
        "Bytes evicted from the cache",
    ),
    metric(
        "debridfs_cache_skipped_bytes_total",
        &[],
        "Bytes offered to the cache and not taken, as its disk was slow, full or unusable",
    ),
    metric(
        "debridfs_cache_bypasses_total",
        &[],
        "Reads that passed the cache by, as it could not be used",
    ),
    metric(
        "debridfs_cache_errors_total",
        &[],
        "Errors of the disk of the cache",
    ),
    metric(
        "debridfs_cache_damaged_total",
        &[],
        "Damaged granules (128 KiB) found in the cache, and fetched again",
    ),
    metric(
        "debridfs_fuse_requests_total",
        &["operation"],
        "Requests of the kernel",
    ),
    metric(
        "debridfs_fuse_errors_total",
        &["operation"],
        "Requests answered with an errno; a missing name counts",
    ),
    metric(
        "debridfs_fuse_seconds_total",
        &["operation"],
        "Sum of the times from arrival to reply",
    ),
    metric("debridfs_fuse_pending", &[], "Requests that wait now"),
    metric(
        "debridfs_fuse_replayed_total",
        &[],
        "Requests taken over from an earlier engine or the keeper",
    ),
    metric(
        "debridfs_fuse_interrupted_total",
        &[],
        "Requests whose caller was interrupted",
    ),
    metric(
        "debridfs_backend_active",
        &["backend"],
        "1 for the FUSE backend that answers",
    ),
    metric(
        "debridfs_backend_available",
        &["backend"],
        "1 for each FUSE backend that passed its trial",
    ),
    metric(
        "debridfs_backend_switches_total",
        &[],
        "Times that another FUSE backend took over",
    ),
    metric(
        "debridfs_backend_operations_total",
        &["backend", "operation", "status"],
        "Replies to the kernel by backend (`loop`: none was asked), operation and status: `ok`, the errno's name, `other`, or `refused` by the kernel",
    ),
    metric(
        "debridfs_backend_operation_duration_seconds",
        &["backend", "operation"],
        "Times from a request's arrival to its reply, waits for a CDN included",
    ),
    metric(
        "debridfs_backend_shadow_ratio",
        &[],
        "Share of the requests that are compared, 0 to 1",
    ),
    metric(
        "debridfs_backend_comparisons_total",
        &["operation", "primary", "shadow"],
        "Requests about which two backends were compared; `primary` answered",
    ),
    metric(
        "debridfs_backend_divergences_total",
        &["operation", "primary", "shadow"],
        "Of these, those about which they differ",
    ),
    metric(
        "debridfs_backend_comparisons_skipped_total",
        &[],
        "Requests that were to be compared and were let go, as the comparison was too slow",
    ),
    metric(
        "debridfs_backend_rollout_share_ratio",
        &["backend"],
        "Share of the nodes, 0 to 1, that a backend answers for while it is rolled out; 0 without a rollout",
    ),
    metric(
        "debridfs_backend_rollout_paused",
        &[],
        "1 while a rollout waits at its stage until it is told to go on",
    ),
    metric(
        "debridfs_backend_rollout_requests_total",
        &["role"],
        "Requests during rollouts, of the backend before (`primary`) and the new one (`canary`)",
    ),
    metric(
        "debridfs_backend_rollout_errors_total",
        &["role"],
        "Those that failed by a fault of the backend: EIO, EINVAL, no answer in time, a reply that the kernel refused",
    ),
    metric(
        "debridfs_backend_rollout_slow_total",
        &["role"],
        "Those that took longer than fuse.rollout.p99, without what the library took",
    ),
    metric(
        "debridfs_backend_rollout_decisions_total",
        &["decision"],
        "Decisions about rollouts: `started`, `resumed`, `advanced`, `paused`, `unpaused`, `promoted`, `rolled-back`",
    ),
    metric(
        "debridfs_content_read_errors_total",
        &[],
        "Reads that ended with an error; heads and tails that were fetched ahead are not among them",
    ),
];
