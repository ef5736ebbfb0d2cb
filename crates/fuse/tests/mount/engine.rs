//! The test program as an engine: serves the [`library`] on a lent connection and does what lines on its standard input say.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use debridfs_fuse::{
    Backend, BackendKind, Backends, Call, CrashHook, MakeBackend, Native, NotifyHelper, Outcome,
    RolloutSettings, ServeOptions, Serving, serve_with,
    wire::{InHeader, Opcode, Reply},
};
use debridfs_handover::EngineLink;
use debridfs_vfs::{Change, MemoryVfs, NodeId, Vfs};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::broken::{Broken, Fault, SLOW};
use super::library::{GONE, GONE_NODE, library};

/// Where to write the first request of each kind.
pub const RECORD: &str = "DEBRIDFS_FUSE_TEST_RECORD";

/// The engine may use one processor.
pub const ONE_PROCESSOR: &str = "DEBRIDFS_FUSE_TEST_ONE_PROCESSOR";

/// The engine uses the second backend.
pub const SECOND_BACKEND: &str = "DEBRIDFS_FUSE_TEST_FBRS";

/// The second backend is broken so.
pub const BROKEN_BACKEND: &str = "DEBRIDFS_FUSE_TEST_BROKEN";

/// Whether engines that are started from now on use the second backend. One test runs at a time.
pub static WITH_FBRS: AtomicBool = AtomicBool::new(false);

/// Requests that wait while a switch is made.
pub const LEAST_IN_FLIGHT: u64 = 8;

fn pin_to_one() {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|processor| allowed.is_set(*processor));
    let mut one = rustix::thread::CpuSet::new();
    one.set(first.unwrap());
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

pub fn run(socket: &Path) {
    if std::env::var_os(ONE_PROCESSOR).is_some() {
        pin_to_one();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let link = EngineLink::connect(socket, "test", false).unwrap();
    let lease = link.lease().unwrap();
    let gate = watch::channel(false).0;
    let library = Arc::new(library(gate.clone()));
    let vfs: Arc<dyn Vfs> = library.clone();
    let second = std::env::var_os(SECOND_BACKEND).is_some();
    let wanted = if second {
        BackendKind::Fbrs
    } else {
        BackendKind::Native
    };
    let backends = match std::env::var(BROKEN_BACKEND) {
        Ok(fault) => broken_second(&vfs, fault.parse().unwrap()),
        Err(_) => Backends::new(&vfs, wanted, None, wanted),
    };
    let backends = Arc::new(backends);
    runtime.spawn(backends.clone().drive_rollouts(None));
    assert_eq!(backends.active(), wanted);
    let backend: Arc<dyn Backend> = match std::env::var_os(RECORD) {
        Some(directory) => Arc::new(Recorder {
            native: Native::new(Arc::clone(&vfs)),
            directory: directory.into(),
        }),
        None => backends.clone(),
    };
    let options = ServeOptions {
        notify_helper: Some(NotifyHelper {
            program: "/proc/self/exe".into(),
            arguments: vec!["role:notify-helper".into()],
        }),
        retired: vec![],
        outlives_keeper: None,
        crash: CrashHook::from_env().unwrap(),
    };
    let (tell, changes) = unbounded_channel();
    let handle = runtime.handle().clone();
    let serving = serve_with(backend, link, lease, vfs, handle, options, changes).unwrap();
    let serving = Arc::new(serving);
    let commands = Arc::clone(&serving);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            println!(
                "{}",
                obey(&line, &library, &gate, &commands, &backends, &tell)
            );
        }
        // The test is gone.
        std::process::abort();
    });
    runtime.block_on(serving.wait());
    runtime.shutdown_timeout(Duration::ZERO);
}

/// Backends of which the second one is broken, and limits that it passes within a second.
fn broken_second(vfs: &Arc<dyn Vfs>, fault: Fault) -> Backends {
    let native = BackendKind::Native;
    let make: MakeBackend = Arc::new(move |kind, vfs| {
        let fault = if kind == native { Fault::None } else { fault };
        Ok(Box::new(Broken::new(vfs, fault)))
    });
    let backends = Backends::made_by(&make, vfs, native, None, native);
    backends.set_rollout(RolloutSettings {
        window: Duration::from_secs(1),
        least_samples: 10,
        p99: SLOW / 2,
        // One that is slow waits for what the other does not wait for: a divergence.
        compare_percent: if fault == Fault::Slow { 0.0 } else { 100.0 },
        ..RolloutSettings::default()
    });
    backends
}

fn obey(
    line: &str,
    library: &MemoryVfs,
    gate: &watch::Sender<bool>,
    serving: &Serving,
    backends: &Backends,
    tell: &UnboundedSender<Vec<Change>>,
) -> String {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("retire", how) => {
            library.remove_file(GONE_NODE);
            if how != "silently" {
                let entry = Change::Entry {
                    parent: NodeId::ROOT,
                    name: GONE.into(),
                };
                tell.send(vec![entry, Change::Node(NodeId::ROOT)]).unwrap();
            }
            "done".into()
        }
        ("open-gate", _) => {
            gate.send_replace(true);
            "done".into()
        }
        ("roll-out", stage) => {
            let stages = vec![stage.parse().unwrap()];
            let to = BackendKind::Fbrs;
            backends.start_rollout(to, Some(stages)).unwrap();
            "done".into()
        }
        ("decision", _) => {
            let last = backends.rollout().last.pop().unwrap();
            format!("{}: {last}", last.decision.name())
        }
        ("switch", times) => switch(times.parse().unwrap(), serving, backends).to_string(),
        ("count", what) => {
            let stats = serving.stats();
            let kind = stats.kinds.iter().find(|kind| kind.operation == what);
            match what {
                "pending" => stats.pending,
                "replayed" => stats.replayed,
                "interrupted" => stats.interrupted,
                _ => kind.map_or(0, |kind| kind.answered),
            }
            .to_string()
        }
        _ => "what?".into(),
    }
}

/// Lets the backends take each other's place so many times, each time while requests wait. The fewest
/// that waited.
fn switch(times: u64, serving: &Serving, backends: &Backends) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..times {
        let mut waiting = 0;
        super::until("requests wait", || {
            waiting = serving.stats().pending;
            waiting >= LEAST_IN_FLIGHT
        });
        let to = match backends.active() {
            BackendKind::Native => BackendKind::Fbrs,
            BackendKind::Fbrs => BackendKind::Native,
        };
        backends.switch(to).unwrap();
        least = least.min(waiting);
    }
    least
}

/// Keeps the first request of each kind in a file of its own: seeds for the fuzz target, and what the kernel really sends.
struct Recorder {
    native: Native,
    directory: PathBuf,
}

impl Backend for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome {
        let header = InHeader::decode(call.request).unwrap();
        let name = Opcode::from_number(header.opcode).map_or("unknown", Opcode::name);
        let path = self.directory.join(name);
        if !path.exists() {
            super::small_keeper::write_file(path, call.request);
        }
        self.native.answer(call, reply)
    }
}
