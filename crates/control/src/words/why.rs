//! What `debridfs why` prints.

use std::fmt::Write;

use debridfs_base::ByteSize;

use crate::{CopyLine, WhyEvent, WhyReport, WhyState};

/// A report as `debridfs why` prints it.
pub fn why(report: &WhyReport) -> String {
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
