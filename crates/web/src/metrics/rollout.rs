//! Rollouts of backends.

use debridfs_fuse::{BackendKind, RolloutStatus, SideCounts};

use super::page::Page;

pub(super) fn put(page: &mut Page, status: &RolloutStatus) {
    let running = status.running.as_ref();
    let shares = BackendKind::ALL.map(|kind| {
        let of_kind = running.filter(|running| running.to == kind);
        let percent = of_kind.map_or(0.0, |running| running.percent);
        (vec![("backend", kind.name().to_owned())], percent / 100.0)
    });
    page.put("debridfs_backend_rollout_share_ratio", shares.to_vec());
    let paused = running.is_some_and(|running| running.paused);
    page.one(
        "debridfs_backend_rollout_paused",
        f64::from(u8::from(paused)),
    );
    let sides = [
        ("primary", &status.counts.primary),
        ("canary", &status.counts.canary),
    ];
    let mut each = |name: &str, value: fn(&SideCounts) -> u64| {
        let values = sides.map(|(role, counts)| {
            let labels = vec![("role", role.to_owned())];
            (labels, value(counts) as f64)
        });
        page.put(name, values.to_vec());
    };
    each("debridfs_backend_rollout_requests_total", |side| {
        side.requests
    });
    each("debridfs_backend_rollout_errors_total", |side| side.errors);
    each("debridfs_backend_rollout_slow_total", |side| side.slow);
    let decisions = status.decisions.iter().map(|one| {
        let labels = vec![("decision", one.decision.name().to_owned())];
        (labels, one.count as f64)
    });
    page.put(
        "debridfs_backend_rollout_decisions_total",
        decisions.collect(),
    );
}
