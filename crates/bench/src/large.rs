//! A large library: walking it, starting with it, holding it in memory.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::bed::{rclone, rclone_mount};
use crate::library::{Library, temporary_dir};
use crate::process::{Usage, drop_caches, until};
use crate::report::{Goal, Report, Row};
use crate::simulator::Simulator;
use crate::{Options, Result, pin};

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

pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let (program, files, each) = (&options.program, options.files, options.files_per_release);
    report.section(format!(
        "large library: {files} files, {each} in each release"
    ));
    let dir = temporary_dir()?;
    let description = dir.path().join("library.json");
    std::fs::write(
        &description,
        serde_json::to_vec(&describe(files / each, each))?,
    )?;
    let simulator = Simulator::start(program, description.to_str().ok_or("path")?)?;
    let mut library = Library::start(program, &simulator, pin::CLIENT, None, true)?;
    let sync = library.wait_synced()?;
    report.add(Row::new(
        format!("first sync of {files} files, no limit of calls"),
        "debridfs",
        sync.as_secs_f64(),
        "s",
    ));

    library.stop();
    drop_caches()?;
    let all = library.mount().join("__all__");
    library.serve()?;
    let start = until("the stored library is shown", 60, || {
        std::fs::read_dir(&all).is_ok_and(|mut entries| matches!(entries.next(), Some(Ok(_))))
    })?
    .as_secs_f64();

    let (cold, lines) = find(&all)?;
    let (warm, _) = find(&all)?;
    let memory = library.resident();

    let figures = [
        (format!("find over {files} files, cold"), cold, "s", true),
        (format!("find over {files} files, warm"), warm, "s", false),
        (
            "start to the first entry, from the store".to_owned(),
            start,
            "s",
            false,
        ),
        ("resident memory afterwards".to_owned(), memory, "MiB", true),
    ];
    let Some(rclone) = rclone() else {
        for (name, value, unit, _) in figures {
            report.add(Row::new(name, "debridfs", value, unit));
        }
        return Ok(());
    };
    let shape = dir.path().join("shape");
    std::fs::create_dir(&shape)?;
    copy_shape(&all, &shape)?;
    library.stop();
    drop_caches()?;
    let mount = temporary_dir()?;
    let started = Instant::now();
    let running = rclone_mount(&rclone, shape.to_str().ok_or("path")?, mount.path(), &[])?;
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
