//! Fifty readers at once while the CDN does everything wrong that it can: every byte is the right one, and as long as the CDN is well
//! again before the deadline nobody sees an error.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use debridfs_sim::{CdnFault, CdnFaultKind, content};

use crate::support::{Instance, Settings, Simulator, film, until};

const READERS: usize = 50;
const FILES: usize = 10;
const CHUNK: usize = 128 << 10;
/// Chunks read in sequence before a reader goes elsewhere.
const RUN: u64 = 12;
/// Readers pause between chunks: the machine is for the faults, not for comparing bytes.
const PAUSE: Duration = Duration::from_millis(20);
/// For everybody to read one more chunk, on a machine busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);
/// Far below the read deadline of 30 s.
const FAULT_LASTS: Duration = Duration::from_secs(2);

/// Threads that read and check until told to stop.
struct Crowd {
    readers: Vec<JoinHandle<()>>,
    chunks: Arc<Vec<AtomicU64>>,
    errors: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    fn start(files: &[(PathBuf, u64)], size: u64) -> Self {
        let chunks: Arc<Vec<AtomicU64>> = Arc::new((0..READERS).map(|_| 0.into()).collect());
        let errors = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let readers = (0..READERS)
            .map(|number| {
                let (path, key) = files[number % files.len()].clone();
                let (chunks, errors, stop) = (chunks.clone(), errors.clone(), stop.clone());
                std::thread::spawn(move || {
                    let file = File::open(&path).expect("open");
                    let (mut bytes, mut expected) = (vec![0; CHUNK], vec![0; CHUNK]);
                    let mut place = number as u64 + 1;
                    while !stop.load(Ordering::Relaxed) {
                        // Knuth's multiplier spreads the places over the file; no two readers share theirs.
                        place = place
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        let from = place % (size / CHUNK as u64 - RUN) * CHUNK as u64;
                        for step in 0..RUN {
                            let offset = from + step * CHUNK as u64;
                            let trouble = match file.read_exact_at(&mut bytes, offset) {
                                Err(error) => Some(error.to_string()),
                                Ok(()) => {
                                    content::fill(key, offset, &mut expected);
                                    (bytes != expected).then(|| "wrong bytes".to_owned())
                                }
                            };
                            if let Some(trouble) = trouble {
                                let line = format!("{} at {offset}: {trouble}", path.display());
                                errors.lock().expect("no panic").push(line);
                            }
                            chunks[number].fetch_add(1, Ordering::Relaxed);
                            if stop.load(Ordering::Relaxed) {
                                return;
                            }
                            std::thread::sleep(PAUSE);
                        }
                    }
                })
            })
            .collect();
        Self {
            readers,
            chunks,
            errors,
            stop,
        }
    }

    /// Waits until every reader has read `more` chunks.
    fn all_go_on(&self, more: u64, what: &str) {
        let before: Vec<u64> = self
            .chunks
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .collect();
        until(&format!("all readers go on {what}"), PATIENCE, || {
            self.chunks
                .iter()
                .zip(&before)
                .all(|(now, before)| now.load(Ordering::Relaxed) >= before + more)
        });
    }

    fn assert_clean(&self, what: &str, instance: &Instance) {
        let errors = self.errors.lock().expect("no panic");
        assert!(
            errors.is_empty(),
            "{what}: {} errors, the first {:?}; status {}",
            errors.len(),
            errors.first(),
            instance.status()
        );
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers.drain(..) {
            // A panic of a reader is shown by its thread, and by the progress that is missing.
            let _ = reader.join();
        }
    }
}

fn status(status: u16, x_error: Option<&str>) -> CdnFaultKind {
    CdnFaultKind::Status {
        status,
        x_error: x_error.map(str::to_owned),
        retry_after: None,
    }
}

/// Everything the simulated CDN can do wrong but bytes that nobody can tell from the right ones.
pub fn matrix() -> Vec<CdnFaultKind> {
    vec![
        CdnFaultKind::IgnoreRange,
        CdnFaultKind::WrongOffset { by: 4096 },
        CdnFaultKind::WrongTotal { by: -1 },
        CdnFaultKind::ShortRange { bytes: 50_000 },
        CdnFaultKind::ShortBody { bytes: 50_000 },
        CdnFaultKind::CloseAfter { bytes: 50_000 },
        CdnFaultKind::ResetAfter { bytes: 50_000 },
        CdnFaultKind::StallAfter { bytes: 50_000 },
        CdnFaultKind::Hang,
        CdnFaultKind::Reset,
        CdnFaultKind::Expired,
        CdnFaultKind::ExpireAfter { bytes: 50_000 },
        CdnFaultKind::Redirect { to: None },
        CdnFaultKind::SlowStart {
            wait_ms: 300,
            rate: 1 << 20,
            bytes: 1 << 16,
        },
        CdnFaultKind::MaxParallel {
            transfers: 4,
            retry_after: None,
        },
        status(404, Some("link_expired")),
        status(416, None),
        status(429, None),
        status(447, None),
        status(502, None),
        status(503, None),
    ]
}

/// Peak of the engine's resident memory in bytes.
fn peak_memory(instance: &Instance) -> u64 {
    let pid = instance.engine_pid().as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process of ours");
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("VmHWM in kB") << 10
}

#[test]
fn fifty_readers_live_through_every_fault() {
    let size = 8 << 30;
    let names: Vec<String> = (0..FILES).map(|n| format!("Film.{n}.2024.1080p")).collect();
    let simulator = Simulator::start(names.iter().map(|name| film(name, size)).collect());
    // Refusals and expiries ask for links: of the API's limit there are other tests.
    simulator.calls_per_minute(0);
    let settings = Settings {
        toml:
            "[content]\nmemory = \"128 MiB\"\nfirst_byte_timeout_ms = 1000\nstall_timeout_ms = 1000"
                .into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let files: Vec<(PathBuf, u64)> = names
        .iter()
        .map(|name| {
            let (file, key) = simulator.file(&format!("{name}.mkv"));
            (instance.mount().join("__all__").join(name).join(file), key)
        })
        .collect();
    // First of all, so that it is dropped before the mount is.
    let crowd = Crowd::start(&files, size);
    crowd.all_go_on(2, "at first");
    let links = simulator.unrestricted();

    for kind in matrix() {
        let what = format!("{kind:?}");
        simulator.fault(CdnFault::everywhere(kind));
        std::thread::sleep(FAULT_LASTS);
        simulator.clear_faults();
        crowd.all_go_on(2, &format!("after {what}"));
        crowd.assert_clean(&what, &instance);
    }

    let made = simulator.unrestricted() - links;
    let peak = peak_memory(&instance);
    println!(
        "{made} links made anew, peak of the engine's memory {} MiB",
        peak >> 20
    );
    // The buffers, and as much again for the program itself, its threads' stacks and what the allocator keeps.
    assert!(peak < 256 << 20, "{peak} bytes of memory");
    drop(crowd);
}
