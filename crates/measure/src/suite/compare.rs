//! What became slower between two runs.

use std::fmt::Write as _;
use std::path::Path;

use super::Ended;
use super::arguments::CompareArgs;
use super::operation::Operation;
use super::record::{FORMAT, Measured, Record, TargetRecord};
use crate::error::{Error, Result};
use crate::{rank_test, short};

/// Something is slower, or no longer measured.
const SLOWER: u8 = 1;
/// The two say nothing of each other.
const NOT_COMPARABLE: u8 = 2;

/// What became of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Slower,
    Faster,
    Alike,
    TooFew,
    Gone,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Slower => "SLOWER",
            Self::Faster => "faster",
            Self::Alike => "no difference",
            Self::TooFew => "fewer than 9 samples",
            Self::Gone => "NO LONGER MEASURED",
        }
    }
}

/// `bench compare`.
pub(super) fn run(args: &CompareArgs) -> Result<Ended> {
    if !(args.threshold >= 0.0 && args.alpha > 0.0 && args.alpha < 1.0) {
        return Err(Error::Refused(
            "--threshold is 0 or more, --alpha between 0 and 1".into(),
        ));
    }
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    Ok(compared(&before, &after, args.threshold, args.alpha))
}

fn read(file: &Path) -> Result<Record> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| Error::File(name.to_string(), error))?;
    let not_ours = |why: &dyn std::fmt::Display| {
        Error::Refused(format!(
            "{name} is no report of `debridfs bench run --json`: {why}"
        ))
    };
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| not_ours(&error))?;
    match value["format"].as_u64() {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            return Err(Error::Refused(format!(
                "{name} has format {format}, this program reads {FORMAT}: use the version that wrote it"
            )));
        }
        None => return Err(not_ours(&"it has no format")),
    }
    serde_json::from_value(value).map_err(|error| not_ours(&error))
}

/// Directories of the same name; where each run has but one, these.
fn pairs<'a>(before: &'a Record, after: &'a Record) -> Vec<(&'a TargetRecord, &'a TargetRecord)> {
    if let ([one], [other]) = (&before.targets[..], &after.targets[..]) {
        return vec![(one, other)];
    }
    let same = |one: &'a TargetRecord| {
        let other = after.targets.iter().find(|other| other.name == one.name)?;
        Some((one, other))
    };
    before.targets.iter().filter_map(same).collect()
}

fn compared(before: &Record, after: &Record, threshold: f64, alpha: f64) -> Ended {
    let mut rows: Vec<(String, Operation, &Measured, Option<&Measured>)> = Vec::new();
    for (one, other) in pairs(before, after) {
        for operation in &one.operations {
            let operation = operation.operation;
            if let Some(measured) = one.measured(operation) {
                let now = other.measured(operation);
                rows.push((one.name.clone(), operation, measured, now));
            }
        }
    }
    let mut text = differing_settings(before, after);
    if rows.is_empty() {
        text += "nothing to compare: no directory of the first run, by its name, is in the second";
        return Ended {
            text,
            code: NOT_COMPARABLE,
        };
    }
    // Each test may be wrong; together they are to be wrong no more often than asked.
    let alpha = alpha / rows.len() as f64;
    let width = rows
        .iter()
        .map(|row| row.0.chars().count())
        .max()
        .unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{:width$}  {:<18} {:>12} {:>12} {:>9} {:>9}",
        "", "", "before us", "after us", "change", "p"
    );
    let mut code = 0;
    for (name, operation, before, after) in rows {
        let (verdict, p) = judge(before, after, threshold, alpha);
        if matches!(verdict, Verdict::Slower | Verdict::Gone) {
            code = SLOWER;
        }
        let was = before.micros(0.5);
        let is = after.map(|after| after.micros(0.5));
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let _ = write!(
            text,
            "\n{name:width$}  {:<18} {:>12} {:>12} {:>9} {:>9}  {}",
            operation.name(),
            short(was),
            or_none(is.map(short)),
            or_none(is.map(|is| format!("{:+.1} %", (is / was - 1.0) * 100.0))),
            or_none(p.map(|p| format!("{p:.1e}"))),
            verdict.name()
        );
    }
    Ended { text, code }
}

fn judge(
    before: &Measured,
    after: Option<&Measured>,
    threshold: f64,
    alpha: f64,
) -> (Verdict, Option<f64>) {
    let Some(after) = after else {
        return (Verdict::Gone, None);
    };
    let Some(ranks) = rank_test(&before.nanoseconds, &after.nanoseconds) else {
        return (Verdict::TooFew, None);
    };
    let change = (after.micros(0.5) / before.micros(0.5) - 1.0) * 100.0;
    let verdict = if ranks.p >= alpha {
        Verdict::Alike
    } else if change > threshold && ranks.larger > 0.5 {
        Verdict::Slower
    } else if change < -threshold && ranks.larger < 0.5 {
        Verdict::Faster
    } else {
        Verdict::Alike
    };
    (verdict, Some(ranks.p))
}

/// What makes a comparison doubtful, a line each.
fn differing_settings(before: &Record, after: &Record) -> String {
    let differing = [
        ("the caches", before.cache != after.cache),
        ("the pinning", before.pin != after.pin),
        ("fsync", before.fsync != after.fsync),
        ("the threads", before.threads != after.threads),
        ("the processor", before.processor != after.processor),
        ("the kernel", before.kernel != after.kernel),
    ];
    let differing = differing.iter().filter(|(_, differ)| *differ);
    differing.fold(String::new(), |text, (what, _)| {
        text + "note: " + what + " of the two runs differ\n"
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::{OperationRecord, Outcome};
    use super::*;

    fn record(targets: &[(&str, &[(Operation, u64)])]) -> Record {
        let operation = |(operation, micros): &(Operation, u64)| OperationRecord {
            operation: *operation,
            outcome: match micros {
                0 => Outcome::Failed("no".into()),
                micros => Outcome::Measured(Measured {
                    // Spread over a tenth of it.
                    nanoseconds: (0..100).map(|n| micros * 1000 + micros * n).collect(),
                    seconds: 1.0,
                    ..Measured::default()
                }),
            },
        };
        let target = |(name, operations): &(&str, &[(Operation, u64)])| TargetRecord {
            name: (*name).to_owned(),
            dir: "/x".into(),
            file_system: "tmpfs".into(),
            servers: Vec::new(),
            operations: operations.iter().map(operation).collect(),
        };
        Record {
            format: FORMAT,
            when: jiff::Timestamp::UNIX_EPOCH,
            kernel: "k".into(),
            processor: "p".into(),
            cores: 2,
            version: "v".into(),
            cache: Default::default(),
            pin: Default::default(),
            fsync: false,
            threads: 4,
            targets: targets.iter().map(target).collect(),
        }
    }

    #[test]
    fn what_is_slower_or_gone_is_marked_and_has_a_code() {
        use Operation::{ReadSmall, Readdir, Stat};
        let before = record(&[
            ("a", &[(Stat, 100), (Readdir, 100)]),
            ("b", &[(ReadSmall, 50)]),
        ]);
        let ended = |after: &Record| compared(&before, after, 10.0, 0.01);
        let line = |ended: &Ended, what: &str| {
            let found = ended.text.lines().find(|line| line.contains(what));
            found.unwrap_or_default().to_owned()
        };
        let same = ended(&before);
        assert_eq!(same.code, 0);
        assert!(
            line(&same, "stat").ends_with("no difference"),
            "{}",
            same.text
        );

        let slower = ended(&record(&[
            ("a", &[(Stat, 120), (Readdir, 80)]),
            ("b", &[(ReadSmall, 50)]),
        ]));
        assert_eq!(slower.code, SLOWER);
        assert!(line(&slower, "stat").ends_with("SLOWER"), "{}", slower.text);
        assert!(line(&slower, "stat").contains("+20.0 %"), "{}", slower.text);
        assert!(
            line(&slower, "readdir").ends_with("faster"),
            "{}",
            slower.text
        );

        // All samples differ, but by less than the threshold.
        let a_little = ended(&record(&[
            ("a", &[(Stat, 109), (Readdir, 100)]),
            ("b", &[(ReadSmall, 50)]),
        ]));
        assert_eq!(a_little.code, 0);
        assert!(line(&a_little, "stat").ends_with("no difference"));

        let gone = ended(&record(&[
            ("a", &[(Stat, 100), (Readdir, 0)]),
            ("b", &[(ReadSmall, 50)]),
        ]));
        assert_eq!(gone.code, SLOWER);
        assert!(line(&gone, "readdir").ends_with("NO LONGER MEASURED"));

        assert_eq!(ended(&record(&[("c", &[(Stat, 1)])])).code, NOT_COMPARABLE);
        // One directory each: their names do not matter, and what both were measured with does.
        let one = record(&[("c", &[(Stat, 100)])]);
        let mut other = record(&[("d", &[(Stat, 100)])]);
        other.threads = 8;
        let compared = compared(&one, &other, 10.0, 0.01);
        assert_eq!(compared.code, 0);
        assert!(
            compared
                .text
                .starts_with("note: the threads of the two runs differ\n")
        );
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.json");
        for (text, why) in [
            ("", "no report"),
            ("{}", "it has no format"),
            (r#"{"format": 99}"#, "has format 99, this program reads 1"),
            (r#"{"format": 1}"#, "missing field"),
        ] {
            std::fs::write(&file, text).unwrap();
            let said = read(&file).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
        let record = record(&[("a", &[(Operation::Stat, 5)])]);
        std::fs::write(&file, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(
            read(&file)
                .unwrap()
                .measured("a", Operation::Stat)
                .is_some()
        );
    }
}
