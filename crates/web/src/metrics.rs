//! Prometheus text. All names are listed in [`METRICS`]; a test holds the two together.

mod classic;
mod list;
mod measured;
mod page;
mod rollout;

use std::collections::BTreeMap;

use debridfs_base::AttentionKind;
use debridfs_control::{
    AccountStatus, BudgetStatus, CacheStatus, CallersStatus, ContentStatus, EngineState, KeyStatus,
    ListenerStatus, Measures, NfsClientStatus, NfsStatus, OperationStatus, ProviderStatus,
    ReaderStatus, Status,
};

pub use classic::classic;
pub use list::{METRICS, MetricInfo, MetricKind};
use page::Page;

/// Stages of repair. Each is shown also while no release is at it: rates and alerts see a change from
/// 0, and none from nothing.
const STAGES: [&str; 8] = [
    "suspect",
    "spared",
    "quarantined",
    "treated",
    "recovering",
    "replaced",
    "blocked",
    "given-up",
];

/// `status` as OpenMetrics text, which Prometheus reads.
pub fn encode(status: &Status, measures: &Measures) -> String {
    let mut page = Page::default();
    let seconds =
        |time: Option<jiff::Timestamp>| time.map_or(0.0, |t| t.as_millisecond() as f64 / 1000.0);
    let flag = |value: bool| if value { 1.0 } else { 0.0 };
    let build = vec![
        ("version", status.version.clone()),
        ("backend", status.backend.clone()),
    ];
    page.put("debridfs_build_info", vec![(build, 1.0)]);
    page.one("debridfs_healthy", flag(status.healthy));
    let attention = AttentionKind::ALL.map(|kind| {
        let lines = status.attention.iter().filter(|line| line.kind == kind);
        let label = vec![("kind", kind.label().to_owned())];
        (label, lines.count() as f64)
    });
    page.put("debridfs_attention", attention.to_vec());
    let volumes = status.volumes.iter().map(|volume| {
        let label = vec![("volume", volume.name.clone())];
        (label, flag(volume.silent_since.is_some()))
    });
    page.put("debridfs_volume_silent", volumes.collect());
    page.one(
        "debridfs_engine_start_time_seconds",
        seconds(status.engine.started),
    );
    page.one(
        "debridfs_engine_serving",
        flag(status.engine.state == EngineState::Serving),
    );
    if let Some(bytes) = status.engine.resident {
        page.one("debridfs_engine_resident_bytes", bytes as f64);
    }
    page.one(
        "debridfs_engine_restarts_total",
        status.keeper.restarts as f64,
    );
    if let Some(nfs) = &status.nfs {
        put_nfs(&mut page, nfs);
    }
    if let Some(callers) = &status.callers {
        put_callers(&mut page, callers);
    }
    if let Some(library) = &status.library {
        page.one("debridfs_library_listed", flag(library.listed));
        page.one("debridfs_library_releases", library.releases as f64);
        page.one("debridfs_library_bad_releases", library.bad as f64);
        page.one("debridfs_library_unknown_releases", library.unknown as f64);
        page.one("debridfs_library_files", library.files as f64);
        page.one("debridfs_library_bytes", library.bytes as f64);
        page.one(
            "debridfs_library_updated_timestamp_seconds",
            seconds(library.updated),
        );
        page.one(
            "debridfs_library_full_list_timestamp_seconds",
            seconds(library.full_list),
        );
    }
    if let Some(repair) = &status.repair {
        let mut stages: BTreeMap<&str, u64> = STAGES.map(|stage| (stage, 0)).into();
        let counted = repair.stages.iter();
        stages.extend(counted.map(|(stage, count)| (stage.as_str(), *count)));
        let stages = stages.into_iter();
        let stages = stages.map(|(stage, count)| (vec![("stage", stage.to_owned())], count as f64));
        page.put("debridfs_repair_releases", stages.collect());
        page.one("debridfs_repair_healed_total", repair.healed as f64);
    }
    if let Some(queue) = &status.queue {
        let jobs = queue.jobs.iter();
        let jobs = jobs.map(|step| (vec![("step", step.step.clone())], step.jobs as f64));
        page.put("debridfs_downloads", jobs.collect());
        page.one("debridfs_downloads_held_up", queue.troubled as f64);
    }
    let held = |provider: &str| -> f64 {
        let losses = status.library.iter().flat_map(|library| &library.held);
        let losses = losses.filter(|held| held.provider == provider);
        // A sum of no floats is -0, which pages show as it is.
        losses.map(|held| held.releases).sum::<u64>() as f64
    };
    let mut per_provider = |name: &str, value: &dyn Fn(&ProviderStatus) -> f64| {
        let values = status.providers.iter().map(|provider| {
            let mut labels = vec![("provider", provider.name.clone())];
            if Page::info(name).labels.contains(&"kind") {
                labels.push(("kind", provider.kind.clone()));
            }
            (labels, value(provider))
        });
        page.put(name, values.collect());
    };
    per_provider("debridfs_library_held_releases", &|p| held(&p.name));
    per_provider("debridfs_provider_up", &|p| flag(p.healthy));
    per_provider("debridfs_provider_calls_total", &|p| p.calls as f64);
    per_provider("debridfs_provider_failures_total", &|p| p.failures as f64);
    per_provider("debridfs_provider_waiting", &|p| p.waiting as f64);
    per_provider("debridfs_provider_budget_left", &|p| {
        f64::from(p.budget_left)
    });
    per_provider("debridfs_provider_budget_per_minute", &|p| {
        f64::from(p.budget_per_minute)
    });
    per_provider("debridfs_provider_cooldown_seconds", &|p| {
        p.cooldown_seconds.unwrap_or(0.0)
    });
    let mut per_key = |name: &str, value: &dyn Fn(&KeyStatus) -> Option<f64>| {
        let values = status.providers.iter().flat_map(|provider| {
            provider.keys.iter().filter_map(|key| {
                let labels = vec![
                    ("provider", provider.name.clone()),
                    ("key", key.number.to_string()),
                ];
                Some((labels, value(key)?))
            })
        });
        page.put(name, values.collect());
    };
    per_key("debridfs_key_traffic_bytes", &|k| {
        Some(k.traffic_used as f64)
    });
    per_key("debridfs_key_traffic_limit_bytes", &|k| {
        k.traffic_limit.map(|limit| limit as f64)
    });
    per_key("debridfs_key_playback_only", &|k| {
        Some(flag(k.playback_only))
    });
    per_key("debridfs_key_used_up", &|k| Some(flag(k.used_up)));
    per_key("debridfs_key_refused", &|k| Some(flag(k.refused.is_some())));
    per_key("debridfs_key_calls_total", &|k| Some(k.calls as f64));
    put_budgets(&mut page, &status.providers);
    put_accounts(&mut page, &status.providers);
    if let Some(content) = &status.content {
        page.one(
            "debridfs_probe_filled_files_total",
            content.files_filled as f64,
        );
        page.one(
            "debridfs_probe_unfilled_files_total",
            content.files_unfilled as f64,
        );
        if let Some(cache) = &content.cache {
            put_cache(&mut page, cache);
        }
        let mut per_class = |name: &str, value: &dyn Fn(&ReaderStatus) -> f64| {
            let values = content.readers.iter().map(|readers| {
                let labels = vec![("class", readers.class.clone())];
                (labels, value(readers))
            });
            page.put(name, values.collect());
        };
        per_class("debridfs_readers", &|r| r.readers as f64);
        per_class("debridfs_reader_read_bytes_total", &|r| r.read as f64);
        per_class("debridfs_reader_fetched_bytes_total", &|r| r.fetched as f64);
        put_content(&mut page, content);
    }
    if let Some(fuse) = &status.fuse {
        let mut per_operation = |name: &str, value: &dyn Fn(&OperationStatus) -> f64| {
            let values = fuse.operations.iter().map(|operation| {
                let labels = vec![("operation", operation.operation.clone())];
                (labels, value(operation))
            });
            page.put(name, values.collect());
        };
        per_operation("debridfs_fuse_requests_total", &|o| o.requests as f64);
        per_operation("debridfs_fuse_errors_total", &|o| o.failed as f64);
        per_operation("debridfs_fuse_seconds_total", &|o| o.seconds);
        page.one("debridfs_fuse_pending", fuse.pending as f64);
        page.one("debridfs_fuse_replayed_total", fuse.replayed as f64);
        page.one("debridfs_fuse_interrupted_total", fuse.interrupted as f64);
        rollout::put(&mut page, &fuse.rollout);
    }
    measured::put(&mut page, measures);
    page.text()
}

fn put_nfs(page: &mut Page, nfs: &NfsStatus) {
    let mut each = |name: &str, value: &dyn Fn(&NfsClientStatus) -> u64| {
        let clients = nfs.clients.iter();
        let values = clients.map(|one| (vec![("client", one.address.clone())], value(one) as f64));
        page.put(name, values.collect());
    };
    each("debridfs_nfs_connections", &|one| one.connections);
    each("debridfs_nfs_requests_total", &|one| one.requests);
    each("debridfs_nfs_read_bytes_total", &|one| one.bytes);
    each("debridfs_nfs_errors_total", &|one| one.errors);
    each("debridfs_nfs_delayed_total", &|one| one.delayed);
    page.one("debridfs_nfs_reply_bytes", nfs.reply_bytes as f64);
}

fn put_callers(page: &mut Page, callers: &CallersStatus) {
    let listeners = &callers.listeners;
    let labels = |one: &ListenerStatus| vec![("listener", one.name.clone())];
    let mut each = |name: &str, value: &dyn Fn(&ListenerStatus) -> u64| {
        let values = listeners.iter().map(|one| (labels(one), value(one) as f64));
        page.put(name, values.collect());
    };
    each("debridfs_listener_connections", &|one| one.connections);
    each("debridfs_listener_accepted_total", &|one| one.accepted);
    each("debridfs_listener_refused_total", &|one| one.refused);
    each("debridfs_listener_errors_total", &|one| one.errors);
    let ended = listeners.iter().flat_map(|one| {
        let reasons = [
            ("room", one.made_room),
            ("idle", one.idle),
            ("slow", one.slow),
        ];
        reasons.map(|(reason, count)| {
            let mut labels = labels(one);
            labels.push(("reason", reason.to_owned()));
            (labels, count as f64)
        })
    });
    page.put("debridfs_listener_ended_total", ended.collect());
    page.one("debridfs_request_body_bytes", callers.body_bytes as f64);
    page.one(
        "debridfs_request_body_limit_bytes",
        callers.body_limit as f64,
    );
    page.one("debridfs_failed_logins_total", callers.failed_logins as f64);
}

fn put_content(page: &mut Page, content: &ContentStatus) {
    for (name, value) in [
        ("debridfs_content_memory_bytes", content.memory_used),
        ("debridfs_content_memory_limit_bytes", content.memory_limit),
        (
            "debridfs_content_client_memory_bytes",
            content.client_memory,
        ),
        ("debridfs_content_fetched_bytes_total", content.fetched),
        ("debridfs_content_served_bytes_total", content.served),
        ("debridfs_content_requests_total", content.requests),
        ("debridfs_content_hedges_total", content.hedges),
        ("debridfs_content_retries_total", content.retries),
        ("debridfs_content_fail_overs_total", content.fail_overs),
        (
            "debridfs_content_copies_differing_total",
            content.copies_differing,
        ),
        ("debridfs_content_returns_total", content.returns),
        ("debridfs_content_stalls_total", content.stalls),
        (
            "debridfs_content_wrong_answers_total",
            content.wrong_answers,
        ),
        ("debridfs_content_connections", content.connections),
        (
            "debridfs_content_connections_waiting",
            content.connections_waiting,
        ),
        (
            "debridfs_content_links_resolved_total",
            content.links_resolved,
        ),
        (
            "debridfs_content_links_refused_total",
            content.links_refused,
        ),
        ("debridfs_content_read_errors_total", content.read_errors),
    ] {
        page.one(name, value as f64);
    }
}

/// What keys have used of their budgets.
fn put_budgets(page: &mut Page, providers: &[ProviderStatus]) {
    let mut per_budget = |name: &str, value: &dyn Fn(&BudgetStatus) -> u64| {
        let values = providers.iter().flat_map(|provider| {
            let budgets = provider.keys.iter().flat_map(|key| {
                let budgets = key.budgets.iter();
                budgets.map(move |budget| (key.number, budget))
            });
            budgets.map(|(key, budget)| {
                let labels = vec![
                    ("provider", provider.name.clone()),
                    ("key", key.to_string()),
                    ("calls", budget.calls.clone()),
                    ("seconds", budget.seconds.to_string()),
                ];
                (labels, value(budget) as f64)
            })
        });
        page.put(name, values.collect());
    };
    per_budget("debridfs_key_budget_used_calls", &|budget| budget.used);
    per_budget("debridfs_key_budget_limit_calls", &|budget| budget.limit);
}

/// What accounts tell of themselves.
fn put_accounts(page: &mut Page, providers: &[ProviderStatus]) {
    let mut per_account = |name: &str, value: &dyn Fn(&AccountStatus) -> Option<f64>| {
        let values = providers.iter().filter_map(|provider| {
            let value = value(provider.account.as_ref()?)?;
            Some((vec![("provider", provider.name.clone())], value))
        });
        page.put(name, values.collect());
    };
    per_account("debridfs_provider_slots_used", &|account| {
        account.slots_used.map(|used| used as f64)
    });
    per_account("debridfs_provider_slots", &|account| {
        account.slots.map(|all| all as f64)
    });
    per_account("debridfs_provider_fair_use_ratio", &|account| {
        account.fair_use
    });
    per_account("debridfs_provider_expires_timestamp_seconds", &|account| {
        account.expires.map(|end| end.as_second() as f64)
    });
}

fn put_cache(page: &mut Page, cache: &CacheStatus) {
    for (name, value) in [
        ("debridfs_cache_usable", u64::from(cache.usable)),
        ("debridfs_cache_files", cache.files),
        ("debridfs_cache_bytes", cache.bytes),
        ("debridfs_cache_limit_bytes", cache.limit),
        ("debridfs_cache_probe_bytes", cache.probe_bytes),
        ("debridfs_cache_probe_limit_bytes", cache.probe_limit),
        ("debridfs_cache_waiting_bytes", cache.waiting),
        ("debridfs_cache_spare_bytes", cache.spare),
        ("debridfs_cache_hits_total", cache.hits),
        ("debridfs_cache_misses_total", cache.misses),
        ("debridfs_cache_hit_bytes_total", cache.hit_bytes),
        ("debridfs_cache_written_bytes_total", cache.written),
        ("debridfs_cache_evicted_bytes_total", cache.evicted),
        ("debridfs_cache_skipped_bytes_total", cache.skipped),
        ("debridfs_cache_bypasses_total", cache.bypasses),
        ("debridfs_cache_errors_total", cache.errors),
        ("debridfs_cache_damaged_total", cache.damaged),
    ] {
        page.one(name, value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_metric_as_it_is() {
        let page = include_str!("../../../docs/metrics.md");
        let rows = page.lines().filter(|line| line.starts_with("| `debridfs_"));
        let rows: String = rows.flat_map(|row| [row, "\n"]).collect();
        let expected: String = METRICS.iter().map(MetricInfo::row).collect();
        assert!(rows == expected, "docs/metrics.md should have:\n{expected}");
    }

    #[test]
    fn the_page_and_the_list_name_the_same_metrics() {
        let text = encode(&Status::sample().judged(), &Measures::sample());
        let mut shown: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .map(family)
            .collect();
        shown.sort_unstable();
        shown.dedup();
        let mut listed: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        listed.sort_unstable();
        assert_eq!(shown, listed, "{text}");
        assert!(
            text.contains("debridfs_provider_up{provider=\"rd\",kind=\"real-debrid\"} 1.0"),
            "{text}"
        );
        assert!(
            text.contains("debridfs_provider_calls_total{provider=\"rd\"} 5.0"),
            "{text}"
        );
        for line in [
            "key_budget_used_calls{provider=\"rd\",key=\"1\",calls=\"all\",seconds=\"60\"} 50.0",
            "key_budget_limit_calls{provider=\"rd\",key=\"1\",calls=\"all\",seconds=\"1\"} 12.0",
            "provider_slots_used{provider=\"rd\"} 2.0",
            "provider_slots{provider=\"rd\"} 20.0",
            "provider_fair_use_ratio{provider=\"rd\"} 0.37",
        ] {
            let line = format!("\ndebridfs_{line}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(!text.contains(" -"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    /// The name in the list of a series.
    fn family(series: &str) -> &str {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| series.strip_suffix(suffix))
            .unwrap_or(series)
    }

    #[test]
    fn stages_of_repair_are_there_without_a_release() {
        let text = encode(&Status::sample().judged(), &Measures::default());
        for line in ["suspect\"} 1.0", "given-up\"} 0.0"] {
            let line = format!("\ndebridfs_repair_releases{{stage=\"{line}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }

    #[test]
    fn what_is_measured_is_told_apart() {
        let text = encode(&Status::sample().judged(), &Measures::sample());
        for line in [
            "backend_operations_total{backend=\"native\",operation=\"READ\",status=\"EIO\"} 1.0",
            "backend_active{backend=\"native\"} 1.0",
            "backend_active{backend=\"fbrs\"} 0.0",
            "backend_divergences_total{operation=\"LOOKUP\",primary=\"native\",shadow=\"fbrs\"} 2.0",
            "http_requests_total{front=\"webdav\",code=\"206\"} 7.0",
            "front_sent_bytes_total{front=\"fuse\"} 8192.0",
            "nfs_operations_total{operation=\"READ\",status=\"JUKEBOX\"} 1.0",
        ] {
            let line = format!("\ndebridfs_{line}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        let times = "debridfs_backend_operation_duration_seconds";
        let labels = "backend=\"native\",operation=\"READ\"";
        for line in [
            format!("# TYPE {times} histogram\n"),
            format!("{times}_sum{{{labels}}} 9.5\n{times}_count{{{labels}}} 5\n"),
            format!("{times}_bucket{{le=\"0.001\",{labels}}} 3\n"),
            format!("{times}_bucket{{le=\"0.005\",{labels}}} 4\n"),
            format!("{times}_bucket{{le=\"+Inf\",{labels}}} 5\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
    }

    #[test]
    fn no_series_comes_twice() {
        let text = encode(&Status::sample().judged(), &Measures::sample());
        let series = text
            .lines()
            .filter_map(|line| Some(line.rsplit_once(' ')?.0))
            .filter(|series| !series.starts_with('#'));
        let mut seen = std::collections::HashSet::new();
        for series in series {
            assert!(seen.insert(series), "{series} comes twice: {text}");
        }
    }

    #[test]
    fn each_figure_of_the_reader_stands_under_its_own_name() {
        let mut status = Status::sample();
        status.content = Some(ContentStatus {
            memory_used: 1,
            memory_limit: 2,
            client_memory: 3,
            fetched: 4,
            served: 5,
            requests: 6,
            hedges: 7,
            retries: 8,
            stalls: 9,
            wrong_answers: 10,
            connections: 11,
            connections_waiting: 12,
            links_resolved: 13,
            links_refused: 14,
            read_errors: 15,
            fail_overs: 16,
            copies_differing: 17,
            returns: 18,
            ..Default::default()
        });
        let text = encode(&status.judged(), &Measures::default());
        let expected = [
            ("memory_bytes", 1),
            ("memory_limit_bytes", 2),
            ("client_memory_bytes", 3),
            ("fetched_bytes_total", 4),
            ("served_bytes_total", 5),
            ("requests_total", 6),
            ("hedges_total", 7),
            ("retries_total", 8),
            ("fail_overs_total", 16),
            ("copies_differing_total", 17),
            ("returns_total", 18),
            ("stalls_total", 9),
            ("wrong_answers_total", 10),
            ("connections", 11),
            ("connections_waiting", 12),
            ("links_resolved_total", 13),
            ("links_refused_total", 14),
            ("read_errors_total", 15),
        ];
        for (name, value) in expected {
            let line = format!("\ndebridfs_content_{name} {value}.0\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
