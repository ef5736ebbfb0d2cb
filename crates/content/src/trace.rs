//! Traces: what was read when, as JSON lines, to be looked at, sent in and replayed.
//!
//! The first line is a [`TraceLine::Trace`]; a file is introduced before its first read. Files and handles are numbered from 1, and
//! no line holds a name, so that a trace tells nothing about the library it was recorded from.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use debridfs_cache::FileId;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::pattern::Class;
use crate::tuning::trace::{FORGOTTEN, MOST_LINES};

/// The version of the format that is written, and the only one that is read.
pub const TRACE_VERSION: u32 = 1;

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TraceLine {
    /// The first line.
    Trace {
        /// [`TRACE_VERSION`].
        version: u32,
        /// What recorded it.
        program: String,
    },
    /// A file that is read from here on.
    File {
        /// Its number in this trace.
        file: u32,
        /// Its size in bytes.
        size: u64,
    },
    /// A read as the file system got it: after the kernel's read-ahead, and without what its page cache answered.
    Read {
        /// When, in milliseconds since the start of the recording.
        t: u64,
        /// Which file.
        file: u32,
        /// Which open handle.
        handle: u32,
        /// First byte.
        offset: u64,
        /// Number of bytes, cut at the end of the file.
        len: u64,
        /// What the reader was taken for with this read.
        class: Class,
    },
    /// So many lines are missing here: they came faster than they were taken.
    Dropped {
        /// How many.
        lines: u64,
    },
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A line is not one of a trace; counted from 1.
    #[error("line {0} is not a line of a trace: {1}")]
    Line(usize, serde_json::Error),
    /// The first line says something else.
    #[error("not a trace of version {TRACE_VERSION}")]
    Version,
}

/// Reads the text of a trace.
///
/// # Errors
/// The text is something else.
pub fn parse_trace(text: &str) -> Result<Vec<TraceLine>, TraceError> {
    let lines = (1..)
        .zip(text.lines())
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| TraceError::Line(number, error))
        })
        .collect::<Result<Vec<TraceLine>, _>>()?;
    match lines.first() {
        Some(TraceLine::Trace { version, .. }) if *version == TRACE_VERSION => Ok(lines),
        _ => Err(TraceError::Version),
    }
}

/// Why there is no recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// One at a time.
    #[error("another recording is under way")]
    Busy,
    /// It was stopped, given up because nobody took its lines, or never begun.
    #[error("there is no such recording")]
    Unknown,
}

/// Records reads while somebody wants it.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Looked at before the lock, as nobody records most of the time.
    active: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    recording: Option<Recording>,
}

#[derive(Debug)]
struct Recording {
    id: u64,
    /// Only these files, if set.
    wanted: Option<BTreeSet<u64>>,
    begun: Instant,
    taken: Instant,
    lines: VecDeque<TraceLine>,
    dropped: u64,
    files: HashMap<u64, u32>,
    handles: HashMap<(u64, u64), u32>,
    last_handle: u32,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Begins a recording of `wanted`, or of all files; its number.
    pub(crate) fn begin(&self, wanted: Option<BTreeSet<u64>>) -> Result<u64, RecordError> {
        let mut state = self.lock();
        if state.recording.is_some() {
            return Err(RecordError::Busy);
        }
        state.last_id += 1;
        let now = Instant::now();
        state.recording = Some(Recording {
            id: state.last_id,
            wanted,
            begun: now,
            taken: now,
            lines: VecDeque::new(),
            dropped: 0,
            files: HashMap::new(),
            handles: HashMap::new(),
            last_handle: 0,
        });
        self.active.store(true, Ordering::Release);
        Ok(state.last_id)
    }

    /// The lines that came since the last call; `end` ends the recording.
    pub(crate) fn take(&self, id: u64, end: bool) -> Result<Vec<TraceLine>, RecordError> {
        let mut state = self.lock();
        let recording = state.recording.as_mut().filter(|known| known.id == id);
        let recording = recording.ok_or(RecordError::Unknown)?;
        recording.taken = Instant::now();
        let mut lines: Vec<_> = std::mem::take(&mut recording.lines).into();
        match std::mem::take(&mut recording.dropped) {
            0 => {}
            dropped => lines.push(TraceLine::Dropped { lines: dropped }),
        }
        if end {
            self.end(&mut state);
        }
        Ok(lines)
    }

    fn end(&self, state: &mut State) {
        state.recording = None;
        self.active.store(false, Ordering::Release);
    }

    /// Gives up a recording that nobody takes lines from.
    pub(crate) fn sweep(&self) {
        if self.active.load(Ordering::Acquire) {
            let mut state = self.lock();
            let known = state.recording.as_ref();
            if known.is_some_and(|known| known.taken.elapsed() > FORGOTTEN) {
                self.end(&mut state);
            }
        }
    }

    /// Records a read.
    pub(crate) fn note(&self, file: FileId, handle: u64, range: &Range<u64>, class: Class) {
        if self.active.load(Ordering::Acquire)
            && let Some(recording) = &mut self.lock().recording
        {
            recording.note(file, handle, range, class);
        }
    }

    /// Forgets the number of a handle.
    pub(crate) fn release(&self, handle: u64) {
        if self.active.load(Ordering::Acquire)
            && let Some(recording) = &mut self.lock().recording
        {
            recording.handles.retain(|(known, _), _| *known != handle);
        }
    }
}

impl Recording {
    fn note(&mut self, file: FileId, handle: u64, range: &Range<u64>, class: Class) {
        if self
            .wanted
            .as_ref()
            .is_some_and(|ids| !ids.contains(&file.id))
        {
            return;
        }
        // Room for two: the first read of a file brings a line about the file as well.
        if self.lines.len() + 2 > MOST_LINES {
            self.dropped += 1;
            return;
        }
        let next = self.files.len() as u32 + 1;
        let number = *self.files.entry(file.id).or_insert_with(|| {
            self.lines.push_back(TraceLine::File {
                file: next,
                size: file.size,
            });
            next
        });
        let handle = *self.handles.entry((handle, file.id)).or_insert_with(|| {
            self.last_handle += 1;
            self.last_handle
        });
        self.lines.push_back(TraceLine::Read {
            t: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            file: number,
            handle,
            offset: range.start,
            len: range.end - range.start,
            class,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file(id: u64) -> FileId {
        FileId { id, size: 1000 }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_wanted_is_recorded_once_and_without_names() {
        let recorder = Recorder::default();
        recorder.note(file(7), 99, &(0..10), Class::Probe);
        let id = recorder.begin(Some([7].into())).unwrap();
        assert_eq!(recorder.begin(None), Err(RecordError::Busy));
        recorder.note(file(7), 99, &(0..10), Class::Probe);
        recorder.note(file(8), 99, &(0..10), Class::Probe);
        tokio::time::advance(Duration::from_millis(5)).await;
        recorder.note(file(7), 99, &(10..30), Class::Scan);
        recorder.release(99);
        recorder.note(file(7), 99, &(30..40), Class::Probe);
        let lines = recorder.take(id, false).unwrap();
        let text: Vec<_> = lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect();
        assert_eq!(
            text,
            [
                r#"{"file":{"file":1,"size":1000}}"#,
                r#"{"read":{"t":0,"file":1,"handle":1,"offset":0,"len":10,"class":"probe"}}"#,
                r#"{"read":{"t":5,"file":1,"handle":1,"offset":10,"len":20,"class":"scan"}}"#,
                r#"{"read":{"t":5,"file":1,"handle":2,"offset":30,"len":10,"class":"probe"}}"#,
            ]
        );
        assert_eq!(recorder.take(id, true), Ok(vec![]));
        assert_eq!(recorder.take(id, true), Err(RecordError::Unknown));
        let first = r#"{"trace":{"version":1,"program":"debridfs"}}"#;
        let parsed = parse_trace(&format!("{first}\n{}\n", text.join("\n"))).unwrap();
        assert_eq!(parsed[1..], lines);
        assert!(matches!(
            parse_trace(&text.join("\n")),
            Err(TraceError::Version)
        ));
        let nonsense = parse_trace(&format!("{first}\n{{}}"));
        assert!(matches!(nonsense, Err(TraceError::Line(2, _))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_counted_and_given_up() {
        let recorder = Recorder::default();
        let id = recorder.begin(None).unwrap();
        for offset in 0..MOST_LINES as u64 + 10 {
            recorder.note(file(7), 1, &(offset..offset + 1), Class::Probe);
        }
        let lines = recorder.take(id, false).unwrap();
        assert!(lines.len() <= MOST_LINES + 1);
        let Some(TraceLine::Dropped { lines: dropped }) = lines.last() else {
            panic!("nothing dropped");
        };
        // All but the line about the file and the one about what was dropped are reads.
        assert_eq!(lines.len() as u64 - 2 + dropped, MOST_LINES as u64 + 10);
        tokio::time::advance(FORGOTTEN + Duration::from_secs(1)).await;
        recorder.sweep();
        assert_eq!(recorder.take(id, false), Err(RecordError::Unknown));
        assert!(recorder.begin(None).is_ok());
    }
}
