//! Remembers the calls of a budget's window in a file, so that an engine that was killed and
//! started again keeps to the limit.
//!
//! A ring of 64-bit little-endian numbers after an 8-byte magic and one number for the end of a
//! cool-down. A slot holds the Unix time in milliseconds at which a call was answered, with
//! [`IN_FLIGHT`] set while it has not been; 0 is free. Each change is one write of 8 bytes into the
//! page cache, which outlives the process; nothing is synced, as a machine takes longer to boot
//! than is worth it.
#![allow(
    clippy::disallowed_methods,
    reason = "opened where the account is made, written by a thread of its own"
)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::state_file;
use debridfs_base::volume::Volume;
use parking_lot::{Condvar, Mutex};

const MAGIC: &[u8; 8] = b"dfscall1";
const SLOT_BYTES: u64 = 8;
const COOLDOWN_AT: u64 = 8;
const SLOTS_AT: u64 = 16;
const IN_FLIGHT: u64 = 1 << 63;

/// An answered call is of no interest this long after its window.
const KEEP_BEYOND: Duration = Duration::from_secs(1);
/// So long a call waits until it is noted, once: a write into the page cache takes microseconds, the
/// call itself a tenth of a second.
const PATIENCE: Duration = Duration::from_millis(100);
/// A call that began longer ago than this cannot have been on its way when the process ended.
const KEEP_IN_FLIGHT_MS: u64 = 300_000;

/// What a file said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Unix milliseconds, none in the future, at or before which calls reached the provider.
    pub(super) calls: Vec<u64>,
    /// Unix milliseconds of the end of the cool-down, 0 for none.
    pub(super) cooldown_until: u64,
}

/// The open file. A write that fails is reported once and otherwise ignored: calls go on.
#[derive(Debug)]
pub(super) struct CallLog {
    pen: Arc<Pen>,
    slots: u64,
    next: u64,
}

/// What has to be written, for the thread that does: the file may lie on a volume that hangs.
#[derive(Debug, Default)]
struct Pen {
    paper: Mutex<Paper>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Paper {
    /// Numbers by offset; newer ones in place of older ones.
    unwritten: BTreeMap<u64, u64>,
    asked: u64,
    done: u64,
    /// The disk does not keep up, and nobody waits for it.
    late: bool,
    closed: bool,
}

impl Pen {
    /// Writes until it is closed; blocks its thread.
    fn write_to(&self, file: &File, path: &Path) {
        let mut failed = false;
        let mut paper = self.paper.lock();
        loop {
            self.changed.wait_while(&mut paper, |paper| {
                paper.unwritten.is_empty() && !paper.closed
            });
            let unwritten = std::mem::take(&mut paper.unwritten);
            if unwritten.is_empty() {
                return;
            }
            let asked = paper.asked;
            drop(paper);
            let at_work = Volume::state().enter(path);
            for (offset, value) in unwritten {
                if let Err(error) = file.write_all_at(&value.to_le_bytes(), offset)
                    && !std::mem::replace(&mut failed, true)
                {
                    tracing::warn!(path = %path.display(), %error, "the call log cannot be written; a restart may forget calls");
                }
            }
            drop(at_work);
            paper = self.paper.lock();
            paper.done = asked;
            paper.late &= paper.done < paper.asked;
            self.changed.notify_all();
        }
    }

    /// Has `value` written, and waits for that as long as a disk that is well may take.
    fn write(&self, offset: u64, value: u64) {
        let mut paper = self.paper.lock();
        paper.unwritten.insert(offset, value);
        paper.asked += 1;
        let mine = paper.asked;
        self.changed.notify_all();
        if paper.late {
            return;
        }
        let not_done = |paper: &mut Paper| paper.done < mine;
        let waited = self.changed.wait_while_for(&mut paper, not_done, PATIENCE);
        paper.late = waited.timed_out();
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        self.pen.paper.lock().closed = true;
        self.pen.changed.notify_all();
    }
}

impl CallLog {
    /// Opens or makes the file at `path` with room for `slots` calls, and tells what it held that
    /// still counts at `now_ms` in a window of length `per`. What is not ours is
    /// [`io::ErrorKind::InvalidData`]; a cut-off or empty file starts empty.
    pub(super) fn open(
        path: &Path,
        slots: u64,
        now_ms: u64,
        per: Duration,
    ) -> io::Result<(Self, Remembered)> {
        state_file::check_kind(path)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        // A ring of another size is read whole and then begun anew; 1 MiB is far beyond any.
        file.by_ref().take(1 << 20).read_to_end(&mut bytes)?;
        if bytes.len() >= MAGIC.len() && !bytes.starts_with(MAGIC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a call log"));
        }
        let remembered = parse(&bytes, now_ms, per);
        let mut fresh = Vec::with_capacity((SLOTS_AT + slots * SLOT_BYTES) as usize);
        fresh.extend_from_slice(MAGIC);
        fresh.extend_from_slice(&remembered.cooldown_until.to_le_bytes());
        for at in &remembered.calls {
            fresh.extend_from_slice(&at.to_le_bytes());
        }
        let kept = remembered.calls.len() as u64;
        let slots = slots.max(kept.saturating_mul(2));
        fresh.resize((SLOTS_AT + slots * SLOT_BYTES) as usize, 0);
        file.write_all_at(&fresh, 0)?;
        file.set_len(fresh.len() as u64)?;
        let pen = Arc::new(Pen::default());
        let (writer, place) = (pen.clone(), path.to_owned());
        std::thread::Builder::new()
            .name("call-log".into())
            .spawn(move || writer.write_to(&file, &place))?;
        let log = Self {
            pen,
            slots,
            next: kept % slots.max(1),
        };
        Ok((log, remembered))
    }

    /// A call begins at `unix_ms`; gives its slot.
    pub(super) fn begin(&mut self, unix_ms: u64) -> u64 {
        let slot = self.next;
        self.next = (self.next + 1) % self.slots.max(1);
        self.put(slot, unix_ms | IN_FLIGHT);
        slot
    }

    /// The call of `slot` was answered at `unix_ms`.
    pub(super) fn end(&mut self, slot: u64, unix_ms: u64) {
        self.put(slot, unix_ms & !IN_FLIGHT);
    }

    /// The call of `slot` was not made.
    pub(super) fn forget(&mut self, slot: u64) {
        self.put(slot, 0);
    }

    /// No call goes before `unix_ms`.
    pub(super) fn cool_down(&mut self, unix_ms: u64) {
        self.write(COOLDOWN_AT, unix_ms);
    }

    fn put(&mut self, slot: u64, value: u64) {
        self.write(SLOTS_AT + slot * SLOT_BYTES, value);
    }

    fn write(&self, offset: u64, value: u64) {
        self.pen.write(offset, value);
    }
}

fn parse(bytes: &[u8], now_ms: u64, per: Duration) -> Remembered {
    let keep = per.saturating_add(KEEP_BEYOND).as_millis();
    let mut numbers = bytes
        .get(MAGIC.len()..)
        .unwrap_or_default()
        .chunks_exact(SLOT_BYTES as usize)
        .map(|chunk| {
            let mut number = [0; SLOT_BYTES as usize];
            number.copy_from_slice(chunk);
            u64::from_le_bytes(number)
        });
    let cooldown_until = numbers.next().unwrap_or(0);
    let calls = numbers
        .filter(|number| *number != 0)
        .filter_map(|number| {
            let in_flight = number & IN_FLIGHT != 0;
            // A clock that was set back makes times of the future; they count as of now.
            let at = (number & !IN_FLIGHT).min(now_ms);
            let age = now_ms - at;
            match in_flight {
                // It reached the provider at some time before the process ended, which was before
                // now.
                true => (age <= KEEP_IN_FLIGHT_MS).then_some(now_ms),
                false => (u128::from(age) <= keep).then_some(at),
            }
        })
        .collect();
    Remembered {
        calls,
        cooldown_until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn remembers_over_an_end_without_a_goodbye() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rd.calls");
        let (mut log, remembered) = CallLog::open(&path, 8, NOW, MINUTE).unwrap();
        assert_eq!(remembered, Remembered::default());
        let first = log.begin(NOW);
        let second = log.begin(NOW + 1);
        log.begin(NOW + 2);
        log.end(first, NOW + 100);
        log.forget(second);
        log.cool_down(NOW + 30_000);
        drop(log);
        let (mut log, remembered) = CallLog::open(&path, 8, NOW + 5_000, MINUTE).unwrap();
        assert_eq!(remembered.calls, [NOW + 100, NOW + 5_000]);
        assert_eq!(remembered.cooldown_until, NOW + 30_000);
        log.begin(NOW + 5_001);
        drop(log);
        let (_, remembered) = CallLog::open(&path, 8, NOW + 62_000, MINUTE).unwrap();
        assert_eq!(remembered.calls, [NOW + 5_000, NOW + 62_000]);
    }

    #[test]
    fn a_clock_set_back_costs_a_minute_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rd.calls");
        let (mut log, _) = CallLog::open(&path, 8, NOW, MINUTE).unwrap();
        let slot = log.begin(NOW);
        log.end(slot, NOW);
        drop(log);
        let (_, remembered) = CallLog::open(&path, 8, NOW - 86_400_000, MINUTE).unwrap();
        assert_eq!(remembered.calls, [NOW - 86_400_000]);
    }

    #[test]
    fn a_disk_that_hangs_is_waited_for_once_and_told_the_newest() {
        let pen = Arc::new(Pen::default());
        let begun = std::time::Instant::now();
        // Nobody writes yet.
        for value in 0..1000 {
            pen.write(value % 8 * SLOT_BYTES, value);
        }
        let waited = begun.elapsed();
        assert!(waited < 10 * PATIENCE, "{waited:?}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rd.calls");
        let file = File::create(&path).unwrap();
        pen.paper.lock().closed = true;
        pen.write_to(&file, &path);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 64);
        assert_eq!(bytes[..8], 992_u64.to_le_bytes());
        assert!(!pen.paper.lock().late);
    }

    #[test]
    fn leaves_the_files_of_others_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "something of somebody").unwrap();
        assert!(CallLog::open(&path, 8, NOW, MINUTE).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"something of somebody");
    }

    #[test]
    fn a_cut_off_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rd.calls");
        for length in 0..32 {
            let (mut log, _) = CallLog::open(&path, 2, NOW, MINUTE).unwrap();
            log.begin(NOW);
            drop(log);
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length).unwrap();
            let (_, remembered) = CallLog::open(&path, 2, NOW, MINUTE).unwrap();
            assert!(remembered.calls.len() <= 2, "{length}: {remembered:?}");
        }
    }
}
