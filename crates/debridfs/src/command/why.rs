//! `debridfs why`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use debridfs_base::ByteSize;
use debridfs_control::{CopyLine, WhyEvent, WhyReport, WhyState};

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs};
use crate::library_path;

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A file, a directory of a release, or a release; an info-hash, a part of a name, a download, or a
    /// path in the downloads folder.
    pub path: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Prints what is known of a path. Ends with 1 when it cannot be read.
pub fn run(args: &WhyArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let report = runtime()?.block_on(library_path::explain_like(&instance, &args.path))?;
    if args.json {
        print_json(&report, "report")?;
    } else {
        say(&for_people(&plain(&report)?));
    }
    match report.state {
        WhyState::Quiet | WhyState::Fine => Ok(()),
        WhyState::NotKnownYet | WhyState::Trouble | WhyState::Bad => Err(Failure::silent(1)),
    }
}

fn for_people(report: &WhyReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &WhyReport) -> std::fmt::Result {
    writeln!(out, "{}", report.path)?;
    writeln!(out, "  {}", report.summary)?;
    if let Some(release) = &report.release {
        match release.providers.join(", ") {
            held if held.is_empty() => writeln!(out, "  release {}", release.hash)?,
            held => writeln!(out, "  release {} at {held}", release.hash)?,
        }
        for copy in &release.copies {
            write_copy(out, copy)?;
        }
        if let Some(reason) = &release.reason {
            writeln!(out, "  in __bad__: {reason}")?;
        }
        if let Some(repair) = &release.repair {
            writeln!(out, "  repair: {repair}")?;
        }
    }
    for advice in &report.advice {
        writeln!(out, "  → {advice}")?;
    }
    for file in &report.files {
        writeln!(
            out,
            "{}   {}, {} source{}: {}",
            file.path,
            ByteSize(file.size),
            file.sources,
            if file.sources == 1 { "" } else { "s" },
            state(file.state)
        )?;
        if let Some((provider, id)) = &file.serving {
            writeln!(out, "    copy {provider} {id} gave its bytes last")?;
        }
        for (provider, id) in &file.differing {
            writeln!(out, "    copy {provider} {id} differs, and is not used")?;
        }
        for event in &file.events {
            write_event(out, event)?;
        }
    }
    if report.omitted > 0 {
        writeln!(out, "and {} more files", report.omitted)?;
    }
    Ok(())
}

fn write_copy(out: &mut String, copy: &CopyLine) -> std::fmt::Result {
    write!(
        out,
        "  copy    {} {}: {}",
        copy.provider, copy.id, copy.health
    )?;
    if let Some(verdict) = &copy.verdict {
        let at = verdict.at.strftime("%Y-%m-%d %H:%M:%SZ");
        let said = verdict.said.replace('_', " ");
        write!(out, "; {said} since {at}")?;
        if !verdict.words.is_empty() {
            write!(out, ": {}", verdict.words)?;
        }
    }
    writeln!(out)
}

fn state(state: WhyState) -> &'static str {
    match state {
        WhyState::Quiet => "nothing noted",
        WhyState::Fine => "fine",
        WhyState::NotKnownYet => "not known yet",
        WhyState::Trouble => "TROUBLE",
        WhyState::Bad => "BAD",
    }
}

fn write_event(out: &mut String, event: &WhyEvent) -> std::fmt::Result {
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    write!(out, "    {}", time(event.first))?;
    if event.count > 1 {
        write!(out, " to {}, {} times", time(event.last), event.count)?;
    }
    write!(out, "  {}", event.what.replace('_', " "))?;
    if !event.provider.is_empty() {
        write!(out, " ({})", event.provider)?;
    }
    writeln!(out, ": {}", event.detail)
}
