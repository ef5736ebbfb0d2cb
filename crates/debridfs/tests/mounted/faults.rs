//! Every fault of the CDN, seen through the mount: the right bytes or a clean error, and recovery afterwards.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use debridfs_sim::{CdnFault, CdnFaultKind, content};

use crate::support::{Instance, Settings, Simulator, film, until};

const DEADLINE: Duration = Duration::from_secs(4);
/// What a busy machine may take beside the deadline; together less than the 30 s of the one that is usual.
const SLACK: Duration = Duration::from_secs(20);

struct Bench {
    simulator: Simulator,
    // Dropped after use of the mount, before the simulator.
    instance: Instance,
    path: PathBuf,
    key: u64,
    next: std::cell::Cell<u64>,
}

impl Bench {
    fn new() -> Self {
        Self::with(format!("read_deadline = \"{}s\"", DEADLINE.as_secs()))
    }

    /// For faults that pass, with the deadline that is usual.
    fn patient() -> Self {
        Self::with(String::new())
    }

    fn with(mount: String) -> Self {
        let simulator = Simulator::start(vec![film("Film.2024.1080p", 64 << 30)]);
        let settings = Settings {
            mount,
            ..Settings::default()
        };
        let instance = Instance::start(&simulator, settings);
        instance.wait_synced();
        let (name, key) = simulator.file("Film.2024.1080p.mkv");
        let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
        Self {
            simulator,
            instance,
            path,
            key,
            next: std::cell::Cell::new(1),
        }
    }

    /// Reads 256 KiB that nobody read before, with a new handle.
    fn read(&self) -> std::io::Result<()> {
        let offset = self.next.get() << 26;
        self.next.set(self.next.get() + 1);
        let (mut bytes, mut expected) = (vec![0; 256 << 10], vec![0; 256 << 10]);
        File::open(&self.path)?.read_exact_at(&mut bytes, offset)?;
        content::fill(self.key, offset, &mut expected);
        assert!(bytes == expected, "wrong bytes at {offset}");
        Ok(())
    }

    /// Under `kind` for good: an error no later than the deadline, never wrong bytes; then recovery.
    fn fails_cleanly(&self, kind: CdnFaultKind) {
        let what = format!("{kind:?}");
        self.simulator.fault(CdnFault::everywhere(kind));
        let started = Instant::now();
        let error = self.read().expect_err(&what);
        let took = started.elapsed();
        assert!(
            matches!(error.raw_os_error(), Some(libc::EIO | libc::ETIMEDOUT)),
            "{what}: {error}"
        );
        assert!(took < DEADLINE + SLACK, "{what}: {took:?}");
        self.recovers(&what);
    }

    /// Under `kind` for good: the right bytes all the same.
    fn goes_on(&self, kind: CdnFaultKind) {
        let what = format!("{kind:?}");
        self.simulator.fault(CdnFault::everywhere(kind));
        self.read()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        self.recovers(&what);
    }

    /// Once, then the CDN is well: no error at all.
    fn passes_over(&self, kind: CdnFaultKind) {
        let what = format!("once {kind:?}");
        self.simulator.fault(CdnFault {
            times: Some(1),
            ..CdnFault::everywhere(kind)
        });
        self.read()
            .unwrap_or_else(|error| panic!("{what}: {error}; status {}", self.instance.status()));
        self.simulator.clear_faults();
    }

    fn recovers(&self, what: &str) {
        self.simulator.clear_faults();
        self.read()
            .unwrap_or_else(|error| panic!("after {what}: {error}; log\n{}", self.instance.log()));
    }
}

fn status(status: u16, x_error: Option<&str>, retry_after: Option<u32>) -> CdnFaultKind {
    CdnFaultKind::Status {
        status,
        x_error: x_error.map(str::to_owned),
        retry_after,
    }
}

#[test]
fn lies_about_ranges_are_never_served() {
    let bench = Bench::new();
    bench.fails_cleanly(CdnFaultKind::IgnoreRange);
    bench.fails_cleanly(CdnFaultKind::WrongOffset { by: 4096 });
    bench.fails_cleanly(CdnFaultKind::WrongOffset { by: -4096 });
    bench.fails_cleanly(CdnFaultKind::WrongTotal { by: 1 });
    bench.fails_cleanly(CdnFaultKind::ShortRange { bytes: 100_000 });
    // Round and round.
    bench.fails_cleanly(CdnFaultKind::Redirect { to: None });
}

#[test]
fn refusals_end_in_an_error_and_are_forgotten() {
    let bench = Bench::new();
    for (code, x_error) in [
        (404, None),
        (404, Some("link_not_found")),
        (416, None),
        (429, None),
        (447, None),
        (502, None),
        (503, None),
    ] {
        bench.fails_cleanly(status(code, x_error, None));
    }
    bench.fails_cleanly(status(429, None, Some(1)));
    bench.fails_cleanly(status(503, None, Some(1)));
}

/// The key is left alone then, so its recovery is noticed by a rare trial.
#[test]
fn a_key_called_empty_is_tried_again() {
    let bench = Bench::new();
    bench.simulator.fault(CdnFault::everywhere(status(
        503,
        Some("bandwidth_exceeded"),
        None,
    )));
    let started = Instant::now();
    let error = bench.read().expect_err("no right byte was to be had");
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert!(started.elapsed() < DEADLINE + SLACK);
    let key = bench.instance.status()["providers"][0]["keys"][0].clone();
    assert_eq!(key["used_up"], true, "{key}");
    bench.simulator.clear_faults();
    until("a read goes through", Duration::from_secs(120), || {
        bench.read().is_ok()
    });
    let status = bench.instance.status();
    assert_eq!(status["healthy"], true, "{status}");
}

#[test]
fn silence_ends_in_an_error() {
    let bench = Bench::new();
    bench.fails_cleanly(CdnFaultKind::Hang);
    bench.fails_cleanly(CdnFaultKind::Reset);
    bench.fails_cleanly(CdnFaultKind::StallAfter { bytes: 0 });
}

#[test]
fn one_bad_answer_is_passed_over() {
    let bench = Bench::patient();
    for kind in [
        CdnFaultKind::IgnoreRange,
        CdnFaultKind::WrongOffset { by: 1 },
        CdnFaultKind::WrongTotal { by: -1 },
        CdnFaultKind::ShortRange { bytes: 1000 },
        CdnFaultKind::ShortBody { bytes: 1000 },
        CdnFaultKind::CloseAfter { bytes: 1000 },
        CdnFaultKind::ResetAfter { bytes: 1000 },
        CdnFaultKind::Reset,
        CdnFaultKind::Expired,
        CdnFaultKind::ExpireAfter { bytes: 1000 },
        CdnFaultKind::Redirect { to: None },
        CdnFaultKind::SlowStart {
            wait_ms: 300,
            rate: 1 << 20,
            bytes: 1 << 16,
        },
        status(404, Some("link_expired"), None),
        status(416, None, None),
        status(429, None, Some(1)),
        status(447, None, None),
        status(502, None, None),
        status(503, None, None),
    ] {
        bench.passes_over(kind);
    }
}

#[test]
fn bodies_that_end_early_are_put_together() {
    let bench = Bench::patient();
    bench.goes_on(CdnFaultKind::CloseAfter { bytes: 100_000 });
    bench.goes_on(CdnFaultKind::ResetAfter { bytes: 100_000 });
    bench.goes_on(CdnFaultKind::MaxParallel {
        transfers: 1,
        retry_after: None,
    });
}
