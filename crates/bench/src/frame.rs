//! The first picture of a film: what ffprobe and ffmpeg need until they have it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use debridfs_measure::{Running, pin};

use crate::bed::{Bed, Spec};
use crate::library::temporary_dir;
use crate::report::{Report, Row};
use crate::simulator::{FAR, MID};
use crate::{Options, Result};

/// Seconds of film; its rate makes it 25 Mbit/s or so, as noise cannot be compressed.
const SECONDS: u32 = 40;

/// Matroska as ffmpeg writes it, with its index of cues at the end, and MP4 with its index at the end.
const FILMS: [&str; 2] = ["film.mkv", "film.mp4"];

/// Makes a film from ffmpeg's own test source.
fn make(path: &Path) -> Result<()> {
    let source = format!("testsrc2=size=1280x720:rate=24:duration={SECONDS},noise=alls=60:allf=t");
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(["-f", "lavfi", "-i", &source])
        .args(["-c:v", "mpeg4", "-b:v", "25M", "-g", "48"])
        .arg(path);
    let mut running = Running::start(command, None)?;
    if !running.wait(Duration::from_secs(180))?.success() {
        return Err("ffmpeg could not make a film".into());
    }
    Ok(())
}

/// Seconds of a program of ffmpeg's on `input`.
fn time(program: &str, input: &str) -> Result<f64> {
    let mut command = pin::command(program, pin::CLIENT);
    match program {
        "ffprobe" => command
            .args(["-v", "error", "-show_format", "-show_streams"])
            .arg(input),
        _ => command
            .args(["-nostdin", "-v", "error", "-i", input])
            .args(["-frames:v", "1", "-f", "null", "-"]),
    };
    command.stdout(Stdio::null());
    let started = Instant::now();
    if !Running::start(command, None)?
        .wait(Duration::from_secs(60))?
        .success()
    {
        return Err(format!("{program} failed").into());
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Both programs, both films, at a distance.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let dir = temporary_dir()?;
    let mut files = Vec::new();
    for film in FILMS {
        let path = dir.path().join(film);
        make(&path)?;
        files.push(Spec::local(film, &path));
    }
    let bed = Bed::start(&options.program, files)?;
    let shapes = if options.quick {
        &[MID][..]
    } else {
        &[MID, FAR][..]
    };
    for shape in shapes {
        report.section(format!(
            "first picture, {}, a film of {SECONDS} s and 25 Mbit/s",
            shape.name
        ));
        for film in FILMS {
            for program in ["ffprobe", "ffmpeg"] {
                let what = if program == "ffprobe" {
                    "ffprobe"
                } else {
                    "first picture by ffmpeg"
                };
                let name = format!("{what}, {film}, {}", shape.name);
                bed.simulator.shape(*shape)?;
                let link = bed.link(film)?;
                let direct = match time(program, &link) {
                    Ok(direct) => direct,
                    Err(error) => {
                        report.measured(&name, "direct link", Err(error))?;
                        continue;
                    }
                };
                for subject in options.at_most(2) {
                    // A new mount for each: the second program would find what the first one fetched.
                    let rows = bed.mount(subject, *shape).and_then(|mounted| {
                        let sent = bed.simulator.bytes_sent()?;
                        let input = mounted.file(film);
                        let own = time(program, input.to_str().ok_or("path")?)?;
                        let sent = (bed.simulator.settled()? - sent) as f64;
                        Ok(vec![
                            Row::new(&name, subject.name(), own, "s")
                                .beside("the same with the direct link", direct),
                            Row::new(
                                format!("{name}, fetched"),
                                subject.name(),
                                sent / f64::from(1 << 20),
                                "MiB",
                            ),
                        ])
                    });
                    report.measured(&name, subject.name(), rows)?;
                }
            }
        }
    }
    Ok(())
}
