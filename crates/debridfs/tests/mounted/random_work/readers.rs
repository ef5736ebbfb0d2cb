//! People and programs that read, each at the pace of its kind and checking every byte.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use debridfs_sim::content;

use super::{MIB, PATIENCE, Random, Title};
use crate::support::{Instance, until};

const KIB: u64 = 1 << 10;
/// The most that is read at once.
const CHUNK: u64 = MIB;

/// What the readers share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    reads: Vec<AtomicU64>,
    bytes: AtomicU64,
    worst_ms: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// One reader.
struct Reader {
    shared: Arc<Shared>,
    number: usize,
    random: Random,
    films: Vec<Title>,
    episodes: Vec<Title>,
    bytes: Vec<u8>,
    expected: Vec<u8>,
}

/// A file that is open.
struct Opened {
    file: File,
    title: Title,
}

/// What a reader does until it is told to stop, a handle at a time.
type Habit = fn(&mut Reader);

/// All of them; ended when dropped.
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Reader {
    fn is_over(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, what: String) {
        self.shared.errors.lock().expect("no panic").push(what);
    }

    /// One time in four past the kernel's own cache.
    fn open(&mut self, title: &Title) -> Option<Opened> {
        let flags = match self.random.below(4) {
            0 => libc::O_DIRECT,
            _ => 0,
        };
        let open = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&title.path);
        match open {
            Ok(file) => Some(Opened {
                file,
                title: title.clone(),
            }),
            Err(error) => {
                self.fail(format!("open {}: {error}", title.path.display()));
                None
            }
        }
    }

    fn read(&mut self, opened: &Opened, at: u64, length: u64) {
        let length = length.min(CHUNK).min(opened.title.size - at) as usize;
        let bytes = &mut self.bytes[..length];
        let begun = Instant::now();
        let outcome = opened.file.read_exact_at(bytes, at);
        let took = begun.elapsed().as_millis() as u64;
        let trouble = match outcome {
            Err(error) => Some(error.to_string()),
            Ok(()) => {
                let expected = &mut self.expected[..length];
                content::fill(opened.title.key, at, expected);
                (bytes != expected).then(|| "wrong bytes".to_owned())
            }
        };
        let shared = &self.shared;
        shared.worst_ms.fetch_max(took, Ordering::Relaxed);
        shared.bytes.fetch_add(length as u64, Ordering::Relaxed);
        shared.reads[self.number].fetch_add(1, Ordering::Relaxed);
        if let Some(trouble) = trouble {
            let path = opened.title.path.display();
            self.fail(format!("{path} at {at}, after {took} ms: {trouble}"));
        }
    }

    /// Reads `range` in sequence, `step` at a time and so many bytes a second.
    fn run(&mut self, opened: &Opened, range: std::ops::Range<u64>, step: u64, rate: u64) {
        let (begun, mut at) = (Instant::now(), range.start);
        while at < range.end && !self.is_over() {
            self.read(opened, at, step.min(range.end - at));
            at += step;
            // Who was held up goes on as he likes, as players do whose buffer ran low.
            let due = Duration::from_secs_f64((at - range.start) as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }

    fn film(&mut self) -> Title {
        self.random.pick(&self.films).clone()
    }

    /// Somewhere in a file, with `left` bytes behind it.
    fn place(&mut self, title: &Title, left: u64) -> u64 {
        self.random.below(title.size - left)
    }

    /// Plays for a while, seeks, plays on.
    fn play(&mut self) {
        let title = self.film();
        let Some(opened) = self.open(&title) else {
            return;
        };
        for seek in 0..1 + self.random.below(3) {
            let from = match seek {
                0 => 0,
                _ => self.place(&title, 100 * MIB),
            };
            let to = from + 20 * MIB + self.random.below(40 * MIB);
            self.run(&opened, from..to, 128 * KIB, 4_000_000);
        }
    }

    /// Copies a file.
    fn copy(&mut self) {
        let title = self.random.pick(&self.episodes).clone();
        if let Some(opened) = self.open(&title) {
            self.run(&opened, 0..title.size, CHUNK, 8_000_000);
        }
    }

    /// Looks at head and tail and at places between.
    fn scan(&mut self) {
        let title = self.film();
        let Some(opened) = self.open(&title) else {
            return;
        };
        self.read(&opened, 0, 64 * KIB);
        self.read(&opened, title.size - MIB, MIB);
        for _ in 0..6 {
            let at = self.place(&title, MIB);
            self.read(&opened, at, 64 * KIB);
        }
        std::thread::sleep(Duration::from_millis(500));
    }

    /// Looks at head and tail, as what imports a file does.
    fn probe(&mut self) {
        let title = match self.random.below(2) {
            0 => self.film(),
            _ => self.random.pick(&self.episodes).clone(),
        };
        let Some(opened) = self.open(&title) else {
            return;
        };
        self.run(&opened, 0..2 * MIB, 128 * KIB, 20_000_000);
        self.read(&opened, title.size - 300 * KIB, 300 * KIB);
        std::thread::sleep(Duration::from_millis(200));
    }

    /// Jumps about with one handle, reads a little here and some MiB there, forth and back.
    fn jump(&mut self) {
        let title = self.film();
        let Some(opened) = self.open(&title) else {
            return;
        };
        for _ in 0..10 {
            let at = self.place(&title, 20 * MIB) + 3 * MIB;
            let length = 100 + self.random.below(2) * self.random.below(8 * MIB);
            self.run(&opened, at..at + length, 100_000, 8_000_000);
            let back = 2 * MIB + self.random.below(MIB);
            self.read(&opened, at - back, 4096);
        }
    }
}

impl Crowd {
    pub fn start(films: &[Title], episodes: &[Title]) -> Self {
        let habits: [(usize, Habit); 5] = [
            (4, Reader::play),
            (2, Reader::copy),
            (2, Reader::scan),
            (2, Reader::probe),
            (2, Reader::jump),
        ];
        let readers: Vec<Habit> = habits
            .into_iter()
            .flat_map(|(count, habit)| std::iter::repeat_n(habit, count))
            .collect();
        let shared = Arc::new(Shared {
            reads: readers.iter().map(|_| AtomicU64::new(0)).collect(),
            ..Shared::default()
        });
        let threads = readers.into_iter().enumerate().map(|(number, habit)| {
            let mut reader = Reader {
                shared: shared.clone(),
                number,
                random: Random(number as u64 + 1),
                films: films.to_vec(),
                episodes: episodes.to_vec(),
                bytes: vec![0; CHUNK as usize],
                expected: vec![0; CHUNK as usize],
            };
            std::thread::spawn(move || {
                while !reader.is_over() {
                    habit(&mut reader);
                }
            })
        });
        Self {
            threads: threads.collect(),
            shared: shared.clone(),
        }
    }

    /// Waits until everybody has read something more.
    pub fn all_go_on(&self) {
        let count = || self.shared.reads.iter().map(|n| n.load(Ordering::Relaxed));
        let before: Vec<u64> = count().collect();
        until("all readers go on", PATIENCE, || {
            count().zip(&before).all(|(now, before)| now > *before)
        });
    }

    /// # Panics
    /// When a read failed or had wrong bytes.
    pub fn assert_clean(&self, instance: &Instance) {
        let errors = self.shared.errors.lock().expect("no panic");
        assert!(
            errors.is_empty(),
            "{} errors, the first {:?}; status {}",
            errors.len(),
            errors.first(),
            instance.status()
        );
    }

    /// Ends all readers; what they did.
    pub fn end(self) -> String {
        let shared = self.shared.clone();
        drop(self);
        let reads: u64 = shared.reads.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        format!(
            "{reads} reads, {} MiB, the longest took {} ms",
            shared.bytes.load(Ordering::Relaxed) / MIB,
            shared.worst_ms.load(Ordering::Relaxed)
        )
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a reader is shown by its thread, and by the progress that is missing.
            let _ = thread.join();
        }
    }
}
