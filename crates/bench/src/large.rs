//! A large library: walking it, starting with it, holding it in memory.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use debridfs_measure::{Usage, drop_caches, pin, until, wait};

use crate::bed::{rclone, rclone_mount};
use crate::library::{Library, temporary_dir};
use crate::report::{Goal, Report, Row, median};
use crate::simulator::Simulator;
use crate::{Options, Result};

/// Releases of `each` files in the simulator's format.
fn describe(releases: u64, each: u64) -> serde_json::Value {
    let release = |n: u64| {
        let files: Vec<_> = (1..=each)
            .map(|episode| serde_json::json!({"path": format!("/Show.{n}.S01E{episode:02}.mkv"), "bytes": 1 << 30}))
            .collect();
        serde_json::json!({"name": format!("Show.{n}.S01"), "files": files})
    };
    serde_json::json!({"releases": (0..releases).map(release).collect::<Vec<_>>()})
}

/// Seconds of `find` over `root`, with the number of lines it printed.
fn find(root: &Path) -> Result<(f64, usize)> {
    let started = Instant::now();
    let output = pin::command("find", pin::CLIENT)
        .arg(root)
        .args(["-printf", "%i %s\n"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("find {} failed", root.display()).into());
    }
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    Ok((started.elapsed().as_secs_f64(), lines))
}

/// Copies the shape of `from` as empty files of the same names, for rclone to mount.
fn copy_shape(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy_shape(&entry.path(), &target)?;
        } else {
            std::fs::File::create(&target)?.set_len(entry.metadata()?.len())?;
        }
    }
    Ok(())
}

/// Seconds of `ls -R` over `root`.
fn list(root: &Path) -> Result<f64> {
    let started = Instant::now();
    let status = pin::command("ls", pin::CLIENT)
        .arg("-R")
        .arg(root)
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("ls -R {} failed", root.display()).into());
    }
    Ok(started.elapsed().as_secs_f64())
}

/// A library of the section.
#[derive(Clone, Copy)]
struct Shape {
    files: u64,
    /// Of each release.
    each: u64,
    /// Starts and walks from cold, of which the middle one counts.
    rounds: usize,
    goals: Goals,
}

/// What a [`Shape`] is judged by.
#[derive(Clone, Copy, Default)]
struct Goals {
    /// Resident memory of the engine once everything was listed, MiB.
    memory: Option<f64>,
    /// Start and `ls -R`, in seconds.
    times: Option<(f64, f64)>,
    /// `find` and memory, beside rclone over local files of the same names.
    rclone: bool,
}

/// Of the start and of `ls -R` of the program of [`Options::before`].
const OF_BEFORE: f64 = 0.6;

/// Those of a run.
fn shapes(options: &Options) -> Vec<Shape> {
    let (each, rclone) = (
        options.files_per_release,
        Goals {
            rclone: true,
            ..Goals::default()
        },
    );
    let shape = |files, each, rounds, goals| Shape {
        files,
        each,
        rounds,
        goals,
    };
    if let Some(files) = options.files.or(options.quick.then_some(10_000)) {
        return vec![shape(files, each, 1, rclone)];
    }
    let films = Goals {
        memory: Some(100.0),
        // 0.6 of what the version before took on the machine of docs/benchmarks.md.
        times: Some((0.42, 1.01)),
        rclone: false,
    };
    let million = Goals {
        memory: Some(600.0),
        ..Goals::default()
    };
    vec![
        shape(20_000, 1, 5, films),
        shape(100_000, each, 1, rclone),
        shape(1_000_000, 50, 1, million),
    ]
}

pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    for shape in shapes(options) {
        one(options, shape, report)?;
    }
    Ok(())
}

fn one(options: &Options, shape: Shape, report: &mut Report) -> Result<()> {
    let Shape { files, each, .. } = shape;
    report.section(format!(
        "large library: {files} files, {each} in each release"
    ));
    let dir = temporary_dir()?;
    let description = dir.path().join("library.json");
    std::fs::write(
        &description,
        serde_json::to_vec(&describe(files / each, each))?,
    )?;
    let simulator = Simulator::start(&options.program, description.to_str().ok_or("path")?)?;
    let mut ours = stored(&options.program, &simulator, files, report)?;
    let mut before = match &options.before {
        Some(program) => Some(stored(program, &simulator, files, report)?),
        None => None,
    };
    let mut rounds = Rounds::default();
    for _ in 0..shape.rounds {
        ours.stop();
        if let Some(before) = &mut before {
            rounds.before.add(before)?;
            before.stop();
        }
        rounds.ours.add(&mut ours)?;
    }
    // What the kernel and the allocator take back at once is gone.
    wait(900);
    let memory = ours.largest_resident();
    rounds.report(shape, memory, report);
    if shape.goals.rclone {
        beside_rclone(&mut ours, files, report)?;
    }
    Ok(())
}

/// A library whose store is whole, stopped.
fn stored(
    program: &Path,
    simulator: &Simulator,
    files: u64,
    report: &mut Report,
) -> Result<Library> {
    let mut library = Library::start(program, simulator, pin::CLIENT, None, true)?;
    let sync = library.wait_synced()?;
    report.add(Row::new(
        format!("first sync of {files} files, no limit of calls"),
        program.display().to_string(),
        sync.as_secs_f64(),
        "s",
    ));
    library.stop();
    Ok(library)
}

/// Starts the stored library anew, nothing cached, and waits until it is shown; in seconds.
fn start(library: &mut Library) -> Result<f64> {
    library.stop();
    drop_caches()?;
    let all = library.mount().join("__all__");
    let started = Instant::now();
    library.serve()?;
    until("the stored library is shown", 60, || {
        std::fs::read_dir(&all).is_ok_and(|mut entries| matches!(entries.next(), Some(Ok(_))))
    })?;
    Ok(started.elapsed().as_secs_f64())
}

/// What each round took, in seconds.
#[derive(Default)]
struct Times {
    start: Vec<f64>,
    list: Vec<f64>,
}

impl Times {
    fn add(&mut self, library: &mut Library) -> Result<()> {
        self.start.push(start(library)?);
        self.list.push(list(&library.mount())?);
        Ok(())
    }
}

#[derive(Default)]
struct Rounds {
    ours: Times,
    before: Times,
}

impl Rounds {
    fn report(self, shape: Shape, memory: f64, report: &mut Report) {
        let goals = shape.goals;
        let mut time = |name: &str, ours: Vec<f64>, before: Vec<f64>, goal: Option<f64>| {
            let row = Row::new(name, "debridfs", median(ours), "s");
            report.add(match goal {
                _ if !before.is_empty() => row
                    .beside("the program before", median(before))
                    .goal_if(goal.is_some(), Goal::RatioAtMost(OF_BEFORE)),
                Some(goal) => row.goal(Goal::AtMost(goal)),
                None => row,
            });
        };
        let name = "start to the first entry, from the store";
        let goal = goals.times.map(|(start, _)| start);
        time(name, self.ours.start, self.before.start, goal);
        let goal = goals.times.map(|(_, list)| list);
        let name = "ls -R of the whole mount, cold";
        time(name, self.ours.list, self.before.list, goal);
        let row = Row::new("resident memory of the engine", "debridfs", memory, "MiB");
        report.add(match goals.memory {
            Some(goal) => row.goal(Goal::AtMost(goal)),
            None => row,
        });
    }
}

/// `find` over all files, by us and by rclone over empty ones of the same names.
fn beside_rclone(library: &mut Library, files: u64, report: &mut Report) -> Result<()> {
    let start = start(library)?;
    let all = library.mount().join("__all__");
    let (cold, lines) = find(&all)?;
    let (warm, _) = find(&all)?;
    let memory = library.resident();
    let figures = [
        (format!("find over {files} files, cold"), cold, "s", true),
        (format!("find over {files} files, warm"), warm, "s", false),
        ("start to the first entry".to_owned(), start, "s", false),
        ("resident memory afterwards".to_owned(), memory, "MiB", true),
    ];
    let Some(rclone) = rclone() else {
        for (name, value, unit, _) in figures {
            report.add(Row::new(name, "debridfs", value, unit));
        }
        return Ok(());
    };
    let shape = temporary_dir()?;
    copy_shape(&all, shape.path())?;
    library.stop();
    drop_caches()?;
    let mount = temporary_dir()?;
    let started = Instant::now();
    let source = shape.path().to_str().ok_or("path")?;
    let running = rclone_mount(&rclone, source, mount.path(), &[])?;
    let their_start = started.elapsed().as_secs_f64();
    let (their_cold, their_lines) = find(mount.path())?;
    let (their_warm, _) = find(mount.path())?;
    let their_memory = Usage::of(running.pid()).resident;
    if lines != their_lines {
        return Err(format!("find saw {lines} lines here and {their_lines} with rclone").into());
    }
    let theirs = [their_cold, their_warm, their_start, their_memory];
    for ((name, value, unit, goal), theirs) in figures.into_iter().zip(theirs) {
        report.add(
            Row::new(name, "debridfs", value, unit)
                .beside("rclone over local files", theirs)
                .goal_if(goal, Goal::RatioAtMost(1.0)),
        );
    }
    Ok(())
}
