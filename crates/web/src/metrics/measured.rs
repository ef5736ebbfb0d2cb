//! What was measured, by what can be told apart.

use debridfs_control::{BackendMeasures, ComparedKind, Measures};

use super::page::{Labels, Page};

pub(super) fn put(page: &mut Page, measures: &Measures) {
    put_answers(page, measures);
    if let Some(backends) = &measures.backends {
        put_backends(page, backends);
    }
    let http = measures.http.iter().flat_map(|front| {
        let codes = front.codes.iter();
        codes.map(|(code, count)| {
            let labels = labels([("front", front.front), ("code", &code.to_string())]);
            (labels, *count as f64)
        })
    });
    page.put("debridfs_http_requests_total", http.collect());
    let times = measures.http.iter();
    let times = times.map(|one| (labels([("front", one.front)]), one.latencies.clone()));
    page.histogram("debridfs_http_request_duration_seconds", times.collect());
    let calls = measures.nfs.iter().flat_map(|one| {
        let statuses = one.statuses.iter();
        statuses.map(|(status, count)| {
            let labels = labels([("operation", one.operation), ("status", status)]);
            (labels, *count as f64)
        })
    });
    page.put("debridfs_nfs_operations_total", calls.collect());
    let times = measures.nfs.iter();
    let times = times.map(|one| {
        (
            labels([("operation", one.operation)]),
            one.latencies.clone(),
        )
    });
    page.histogram("debridfs_nfs_operation_duration_seconds", times.collect());
    let sent = measures.sent.iter();
    let sent = sent.map(|(front, bytes)| (labels([("front", front)]), *bytes as f64));
    page.put("debridfs_front_sent_bytes_total", sent.collect());
}

fn put_answers(page: &mut Page, measures: &Measures) {
    let answers = measures.answered.iter().flat_map(|one| {
        let statuses = one.statuses.iter();
        statuses.map(|(status, count)| {
            let labels = labels([
                ("backend", one.backend),
                ("operation", one.operation),
                ("status", status),
            ]);
            (labels, *count as f64)
        })
    });
    page.put("debridfs_backend_operations_total", answers.collect());
    let times = measures.answered.iter().map(|one| {
        let labels = labels([("backend", one.backend), ("operation", one.operation)]);
        (labels, one.latencies.clone())
    });
    let name = "debridfs_backend_operation_duration_seconds";
    page.histogram(name, times.collect());
}

fn put_backends(page: &mut Page, backends: &BackendMeasures) {
    for (name, flags) in [
        ("debridfs_backend_active", &backends.active),
        ("debridfs_backend_available", &backends.available),
    ] {
        let values = flags.iter().map(|(backend, is)| {
            let value = if *is { 1.0 } else { 0.0 };
            (labels([("backend", backend)]), value)
        });
        page.put(name, values.collect());
    }
    page.one("debridfs_backend_switches_total", backends.switches as f64);
    page.one("debridfs_backend_shadow_ratio", backends.shadow_ratio);
    let skipped = "debridfs_backend_comparisons_skipped_total";
    page.one(skipped, backends.let_go as f64);
    let compared = |count: fn(&ComparedKind) -> u64| {
        let kinds = backends.compared.iter().map(move |one| {
            let labels = labels([
                ("operation", one.operation.as_str()),
                ("primary", one.primary.name()),
                ("shadow", one.secondary.name()),
            ]);
            (labels, count(one) as f64)
        });
        kinds.collect()
    };
    page.put(
        "debridfs_backend_comparisons_total",
        compared(|one| one.compared),
    );
    page.put(
        "debridfs_backend_divergences_total",
        compared(|one| one.diverged),
    );
}

fn labels<const N: usize>(labels: [(&'static str, &str); N]) -> Labels {
    labels.map(|(name, value)| (name, value.to_owned())).into()
}
