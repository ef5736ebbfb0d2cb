//! One reader, one large file, nothing cached: bytes a second.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::mounts::{Library, Running, Simulator, drop_caches, rclone, rclone_mount, until};
use crate::report::{Report, median};
use crate::{Result, index, memory_file, pin, stop};

const ROUNDS: u64 = 3;

/// GB/s of reading the part of `path` that belongs to a round, in a process of its own, pinned to the reader's core.
fn read_rate(path: &Path, bytes: u64, round: u64) -> Result<f64> {
    drop_caches()?;
    let started = Instant::now();
    let status = pin::command("dd", pin::CLIENT)
        .arg(format!("if={}", path.display()))
        .args([
            "of=/dev/null",
            "bs=1M",
            "iflag=fullblock",
            &format!("skip={}", round * (bytes >> 20)),
            &format!("count={}", bytes >> 20),
        ])
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("dd of {} failed", path.display()).into());
    }
    Ok(bytes as f64 / 1e9 / started.elapsed().as_secs_f64())
}

/// The middle one of several rounds. Each is given its number, to read bytes that no cache of the program has from the one before.
fn rounds(mut once: impl FnMut(u64) -> Result<f64>) -> Result<f64> {
    let once = |round| {
        stop::check()?;
        once(round)
    };
    Ok(median((0..ROUNDS).map(once).collect::<Result<Vec<_>>>()?))
}

/// The direct link of the only file of the account, by the vendor's API.
fn direct_link(simulator: &Simulator) -> Result<String> {
    let call = |arguments: &[&str]| -> Result<serde_json::Value> {
        let output = Command::new("curl")
            .args([
                "-fsS",
                "-H",
                &format!("Authorization: Bearer {}", simulator.token),
            ])
            .args(arguments)
            .output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let torrents = call(&[&format!("{}/torrents", simulator.url)])?;
    let link = torrents[0]["links"][0]
        .as_str()
        .ok_or("no link in the list")?
        .to_owned();
    let direct = call(&[
        "-d",
        &format!("link={link}"),
        &format!("{}/unrestrict/link", simulator.url),
    ])?;
    Ok(direct["download"]
        .as_str()
        .ok_or("no direct link")?
        .to_owned())
}

pub(crate) fn measure(program: &Path, bytes: u64, report: &mut Report) -> Result<()> {
    println!(
        "sequential: {ROUNDS} x {} MiB, cold; the simulator on one core, all of the reader's side on the other",
        bytes >> 20
    );
    let dir = tempfile::Builder::new()
        .prefix("debridfs-bench-")
        .tempdir()?;
    let description = dir.path().join("library.toml");
    std::fs::write(
        &description,
        format!(
            "[[releases]]\nname = \"Film\"\n[[releases.files]]\npath = \"/Film.mkv\"\nbytes = {}\n",
            bytes * (ROUNDS + 1)
        ),
    )?;
    let simulator = Simulator::start(program, description.to_str().ok_or("path")?)?;
    let url = direct_link(&simulator)?;

    let curl = rounds(|round| {
        let started = Instant::now();
        let status = pin::command("curl", pin::CLIENT)
            .args([
                "-fsS",
                "-o",
                "/dev/null",
                "-r",
                &format!("{}-{}", round * bytes, (round + 1) * bytes - 1),
                &url,
            ])
            .status()?;
        if !status.success() {
            return Err("curl failed".into());
        }
        Ok(bytes as f64 / 1e9 / started.elapsed().as_secs_f64())
    })?;

    let memory = in_memory(program, bytes)?;

    let library = Library::start(program, &simulator, pin::CLIENT, None)?;
    library.wait_synced()?;
    let path = library.mount().join("__all__/Film/Film.mkv");
    let ours = rounds(|round| read_rate(&path, bytes, round))?;
    drop(library);

    report.row(
        "cold sequential read",
        ours,
        "direct curl",
        curl,
        "GB/s",
        None,
    );
    report.row(
        "cold sequential read",
        ours,
        "a file in memory, same backend",
        memory,
        "GB/s",
        None,
    );
    report.row(
        "cold sequential read",
        ours,
        "the smaller of both",
        curl.min(memory),
        "GB/s",
        Some(">= 0.5"),
    );
    let Some(rclone) = rclone() else {
        report.note("no rclone on this machine: its rows are missing");
        return Ok(());
    };
    let address = index::serve("Film.mkv", &url)?;
    for (name, flags) in [
        ("rclone, cache off", &["--vfs-cache-mode", "off"][..]),
        (
            "rclone, 4 streams",
            &[
                "--vfs-cache-mode",
                "off",
                "--vfs-read-chunk-streams",
                "4",
                "--vfs-read-chunk-size",
                "16M",
            ][..],
        ),
    ] {
        let mount = tempfile::Builder::new()
            .prefix("debridfs-bench-")
            .tempdir()?;
        let remote = format!(":http,url='http://{address}/':");
        match rclone_mount(&rclone, &remote, mount.path(), flags) {
            Ok(_running) => {
                let theirs =
                    rounds(|round| read_rate(&mount.path().join("Film.mkv"), bytes, round))?;
                report.row(
                    "cold sequential read",
                    ours,
                    name,
                    theirs,
                    "GB/s",
                    Some("> 1"),
                );
            }
            Err(error) => report.note(format!("{name}: {error}")),
        }
    }
    Ok(())
}

/// GB/s of a file in memory behind the same keeper and backend.
fn in_memory(program: &Path, bytes: u64) -> Result<f64> {
    let dir = tempfile::Builder::new()
        .prefix("debridfs-bench-")
        .tempdir()?;
    let (mount, root) = (dir.path().join("mnt"), dir.path().display());
    std::fs::create_dir(&mount)?;
    let config = dir.path().join("debridfs.toml");
    std::fs::write(
        &config,
        format!(
            "state_dir = \"{root}/state\"\nruntime_dir = \"{root}/run\"\n[mount]\npath = \"{root}/mnt\"\n\
             [keeper]\nmode = \"attached\"\nsocket = \"{root}/keeper.sock\"\n[provider.rd]\ntoken = \"unused\"\n"
        ),
    )?;
    let mut keeper = pin::command(program, pin::CLIENT);
    keeper.args(["keeper", "--config"]).arg(&config);
    let keeper = Running::start(keeper, Some(&mount))?;
    let socket = dir.path().join("keeper.sock");
    until("the keeper listens", 10, || socket.exists())?;
    let mut engine = pin::command(std::env::current_exe()?, pin::CLIENT);
    engine
        .arg("memory-engine")
        .arg(&socket)
        .arg((bytes * (ROUNDS + 1)).to_string());
    let _engine = Running::start(engine, None)?;
    let file = mount.join(memory_file::NAME);
    until("the file in memory", 10, || {
        File::open(&file).is_ok_and(|mut file| file.read(&mut [0]).is_ok())
    })?;
    let rate = rounds(|round| read_rate(&file, bytes, round));
    // Before its engine, or it would report a death.
    drop(keeper);
    rate
}
