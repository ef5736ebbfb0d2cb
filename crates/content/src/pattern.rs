//! What a reader is up to, told from what it reads: a look, a scan, playback or a copy.
//!
//! Nothing else is asked. The process behind a read would be no more than a hint: FUSE shows 0 for one of another pid namespace, which
//! is every media server in a container, and one program does all four (a media server probes, makes thumbnails and plays).
//!
//! The bounds were chosen by the traces under `tests/traces/`, which were recorded from real programs, and are held by their replay.

use std::ops::Range;
use std::time::Duration;

use crate::tuning::pattern::{
    GAP, LEAST_COPY_RATE, LOOK_AHEAD, MEASURE, PROVEN, SCAN_STRETCH, SCATTERED,
    SCATTERED_AFTER_PLAYBACK, SHORTEST_FILM, STREAMS,
};
use debridfs_base::media::{COPY_RATE, HEAD, TAIL};
use serde::{Deserialize, Serialize};

/// What a reader is up to.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Looks at head, tail and a few places; every reader begins like that.
    #[default]
    Probe,
    /// Looks at many places: thumbnails, detection of credits, check-sums of samples.
    Scan,
    /// Reads on in sequence, no faster than somebody can watch.
    Playback,
    /// Reads on in sequence as fast as it can.
    Copy,
}

impl Class {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Probe, Self::Scan, Self::Playback, Self::Copy];

    /// The word for it in traces, metrics and `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Scan => "scan",
            Self::Playback => "playback",
            Self::Copy => "copy",
        }
    }

    /// The most that may be fetched ahead of one place where `run` bytes were read in sequence.
    ///
    /// A look gets half of what it has read, so that playback begins well; a scan gets nothing, and where it
    /// stays at one place for long a quarter of what it read there, so that no reader crawls by round trips for ever.
    pub fn read_ahead(self, run: u64) -> u64 {
        match self {
            Self::Probe => (run / 2).min(LOOK_AHEAD),
            Self::Scan if run < SCAN_STRETCH => 0,
            Self::Scan => run / 4,
            Self::Playback | Self::Copy => u64::MAX,
        }
    }
}

/// The reads of one handle of one file.
#[derive(Debug, Clone)]
pub struct Pattern {
    size: u64,
    /// The one used last is last.
    streams: Vec<Stream>,
    /// Places begun in the middle of the file since one was read on from for long.
    scattered: u32,
    /// Whether anything was ever read on from for long.
    played: bool,
    class: Class,
}

/// A place where reads follow each other.
#[derive(Debug, Clone)]
struct Stream {
    start: u64,
    /// Where the furthest read ended.
    end: u64,
    /// Bytes read in sequence.
    run: u64,
    /// When the measurement under way began, and the run then.
    since: Duration,
    run_then: u64,
    /// Whether the last measurement was faster than anybody watches.
    fast: bool,
}

impl Pattern {
    /// Nothing read yet, of a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            streams: Vec::new(),
            scattered: 0,
            played: false,
            class: Class::Probe,
        }
    }

    /// A scan that is known to be one.
    pub(crate) fn scan(size: u64) -> Self {
        Self {
            class: Class::Scan,
            ..Self::new(size)
        }
    }

    /// What the last read was taken for.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether the reader, which read last at `at`, was too fast for anybody who watches up to its end, also if that was too short a time to call it a copy.
    pub(crate) fn ends_as_copy(&self, at: Duration) -> bool {
        self.streams.last().is_some_and(|stream| {
            let measured = at.saturating_sub(stream.since).as_secs_f64();
            let run = stream.run - stream.run_then;
            self.class == Class::Copy
                || (run >= PROVEN && run as f64 > self.fastest_view() as f64 * measured)
        })
    }

    /// Takes in a read of `range` at the time `at`, which counts from anywhere but never goes back; what it is taken for.
    pub fn note(&mut self, at: Duration, range: &Range<u64>) -> Class {
        let stream = match self.nearest(range.start) {
            Some(place) => self.streams.remove(place),
            None => {
                if range.start >= HEAD && range.start < self.size.saturating_sub(TAIL) {
                    self.scattered += 1;
                }
                if self.streams.len() == STREAMS {
                    self.streams.remove(0);
                }
                Stream::new(at, range.start)
            }
        };
        self.streams.push(stream);
        let fastest_view = self.fastest_view();
        let Some(stream) = self.streams.last_mut() else {
            return self.class;
        };
        stream.read(at, range, fastest_view);
        let many = match self.played {
            false => SCATTERED,
            true => SCATTERED_AFTER_PLAYBACK,
        };
        self.class = if stream.run >= PROVEN {
            self.played = true;
            self.scattered = 0;
            match stream.fast {
                true => Class::Copy,
                false => Class::Playback,
            }
        } else if self.scattered >= many {
            Class::Scan
        } else if self.played {
            Class::Playback
        } else {
            Class::Probe
        };
        self.class
    }

    /// The place that a read at `start` goes on from.
    fn nearest(&self, start: u64) -> Option<usize> {
        self.streams
            .iter()
            .enumerate()
            .map(|(place, stream)| (stream.end.abs_diff(start), place))
            .filter(|(distance, _)| *distance <= GAP)
            .min()
            .map(|(_, place)| place)
    }

    /// Bytes a second above which nobody watches this file.
    fn fastest_view(&self) -> u64 {
        (self.size / SHORTEST_FILM.as_secs()).clamp(LEAST_COPY_RATE, COPY_RATE)
    }
}

impl Stream {
    fn new(at: Duration, start: u64) -> Self {
        Self {
            start,
            end: start,
            run: 0,
            since: at,
            run_then: 0,
            fast: false,
        }
    }

    fn read(&mut self, at: Duration, range: &Range<u64>, fastest_view: u64) {
        self.start = self.start.min(range.start);
        self.end = self.end.max(range.end);
        // What came out of order counts, what is read again does not.
        self.run = (self.run + range.end - range.start).min(self.end - self.start);
        let measured = at.saturating_sub(self.since);
        if measured >= MEASURE {
            let rate = (self.run - self.run_then) as f64 / measured.as_secs_f64();
            self.fast = rate > fastest_view as f64;
            self.since = at;
            self.run_then = self.run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const FILM: u64 = 8 << 30;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Reads `length` bytes from `start` on in 128 KiB, `rate` bytes a second.
    fn run(pattern: &mut Pattern, at: &mut Duration, start: u64, length: u64, rate: u64) -> Class {
        let step = 128 * KIB;
        let mut class = pattern.class();
        for offset in (start..start + length).step_by(step as usize) {
            class = pattern.note(*at, &(offset..(offset + step).min(start + length)));
            *at += Duration::from_secs_f64(step as f64 / rate as f64);
        }
        class
    }

    #[test]
    fn a_film_is_played_after_its_head_and_tail_were_looked_at() {
        let (mut pattern, mut at) = (Pattern::new(FILM), ms(0));
        assert_eq!(run(&mut pattern, &mut at, 0, MIB, 50_000_000), Class::Probe);
        let tail = run(
            &mut pattern,
            &mut at,
            FILM - 300 * KIB,
            300 * KIB,
            50_000_000,
        );
        assert_eq!(tail, Class::Probe);
        // Resumed in the middle.
        let resumed = run(&mut pattern, &mut at, 3 << 30, 15 * MIB, 3_000_000);
        assert_eq!(resumed, Class::Probe);
        let on = (3 << 30) + 15 * MIB;
        assert_eq!(
            run(&mut pattern, &mut at, on, 60 * MIB, 3_000_000),
            Class::Playback
        );
        // A seek is playback as well, and so is a look at the index again.
        assert_eq!(
            run(&mut pattern, &mut at, 5 << 30, MIB, 3_000_000),
            Class::Playback
        );
        assert_eq!(
            run(&mut pattern, &mut at, FILM - MIB, MIB, 3_000_000),
            Class::Playback
        );
    }

    #[test]
    fn looking_for_a_scene_stays_playback_and_a_contact_sheet_does_not() {
        let (mut pattern, mut at) = (Pattern::new(FILM), ms(0));
        run(&mut pattern, &mut at, 0, 40 * MIB, 3_000_000);
        for place in 1..12u64 {
            let class = run(&mut pattern, &mut at, place * 500 * MIB, 2 * MIB, 3_000_000);
            assert_eq!(class, Class::Playback, "{place}");
        }
        let more = run(&mut pattern, &mut at, 6500 * MIB, 2 * MIB, 3_000_000);
        assert_eq!(more, Class::Scan);
        // The scene was found.
        assert_eq!(
            run(&mut pattern, &mut at, 6502 * MIB, 17 * MIB, 3_000_000),
            Class::Playback
        );
        assert_eq!(
            run(&mut pattern, &mut at, 100 * MIB, MIB, 3_000_000),
            Class::Playback
        );
    }

    #[test]
    fn many_places_are_a_scan() {
        let (mut pattern, mut at) = (Pattern::new(FILM), ms(0));
        run(&mut pattern, &mut at, 0, MIB, 50_000_000);
        run(&mut pattern, &mut at, FILM - MIB, MIB, 50_000_000);
        let classes: Vec<_> = (1..5)
            .map(|place| run(&mut pattern, &mut at, place << 30, 64 * KIB, 50_000_000))
            .collect();
        use Class::{Probe, Scan};
        assert_eq!(classes, [Probe, Probe, Scan, Scan]);
    }

    #[test]
    fn a_copy_is_told_by_its_rate_and_the_size_of_the_file() {
        for (size, rate, expected) in [
            (FILM, 60_000_000, Class::Copy),
            (FILM, 15_000_000, Class::Playback),
            (80 << 30, 16_000_000, Class::Playback),
            (80 << 30, 21_000_000, Class::Copy),
            // An episode of 22 minutes.
            (300 * MIB, 300_000, Class::Playback),
            (300 * MIB, 5_000_000, Class::Copy),
        ] {
            let (mut pattern, mut at) = (Pattern::new(size), ms(0));
            let class = run(&mut pattern, &mut at, 0, 280 * MIB, rate);
            assert_eq!(class, expected, "{size} {rate}");
        }
    }

    #[test]
    fn a_copy_that_is_over_at_once_is_one() {
        for (length, rate, expected) in [
            (100 * MIB, 100_000_000, true),
            (15 * MIB, 100_000_000, false),
            (20 * MIB, 15_000_000, false),
        ] {
            let (mut pattern, mut at) = (Pattern::new(FILM), ms(0));
            run(&mut pattern, &mut at, 0, length, rate);
            assert_ne!(pattern.class(), Class::Copy);
            assert_eq!(pattern.ends_as_copy(at), expected, "{length} {rate}");
        }
    }

    #[test]
    fn a_player_that_fills_its_buffer_is_a_player_afterwards() {
        let (mut pattern, mut at) = (Pattern::new(FILM), ms(0));
        run(&mut pattern, &mut at, 0, 150 * MIB, 30_000_000);
        assert_eq!(
            run(&mut pattern, &mut at, 150 * MIB, 30 * MIB, 3_000_000),
            Class::Playback
        );
    }

    #[test]
    fn the_kernels_read_ahead_comes_out_of_order_and_two_tracks_lie_apart() {
        let (mut pattern, mut at) = (Pattern::new(FILM), ms(0));
        for offset in (0..30 * MIB).step_by(256 << 10) {
            for (start, length) in [(128 * KIB, 128 * KIB), (0, 128 * KIB), (2 << 30, 16 * KIB)] {
                let step = offset * length / (128 * KIB);
                let start = if start >= 2 << 30 {
                    start + step / 2
                } else {
                    offset + start
                };
                pattern.note(at, &(start..start + length));
                at += ms(40);
            }
        }
        assert_eq!(pattern.scattered, 0);
        assert_eq!(pattern.class(), Class::Playback);
    }

    #[test]
    fn nothing_is_fetched_ahead_of_a_scan_and_little_ahead_of_a_look() {
        assert_eq!(Class::Scan.read_ahead(MIB - 1), 0);
        assert_eq!(Class::Scan.read_ahead(4 * MIB), MIB);
        assert_eq!(Class::Probe.read_ahead(128 * KIB), 64 * KIB);
        assert_eq!(Class::Playback.read_ahead(0), u64::MAX);
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(json, format!("{:?}", class.as_str()));
        }
    }

    proptest! {
        /// Whatever is read: memory stays bounded, and only what was read on from for long is playback.
        #[test]
        fn only_a_long_run_is_playback(
            size in 0u64..1 << 40,
            reads in proptest::collection::vec((0u64..1 << 40, 0u64..1 << 20, 0u64..2000), 0..300),
        ) {
            let (mut pattern, mut at) = (Pattern::new(size), ms(0));
            let mut longest = 0;
            for (start, length, wait) in reads {
                let start = start.min(size);
                let class = pattern.note(at, &(start..(start + length).min(size)));
                at += ms(wait);
                longest = pattern.streams.iter().map(|stream| stream.run).max().unwrap_or(0).max(longest);
                prop_assert!(pattern.streams.len() <= STREAMS);
                let moving = matches!(class, Class::Playback | Class::Copy);
                prop_assert!(!moving || longest >= PROVEN);
            }
        }
    }
}
