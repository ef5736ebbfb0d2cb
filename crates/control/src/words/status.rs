//! What `debridfs status` prints.

use std::fmt::Write;

use debridfs_base::ByteSize;

use super::providers::account_line;
use crate::{
    CopiesStatus, EngineState, KeyStatus, NfsStatus, ProviderStatus, ReadingStatus, Status,
};

/// Readers that are printed; `--json` has more.
const READERS: usize = 20;

/// A status as `debridfs status` prints it.
pub fn status(status: &Status) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, status);
    out
}

fn write(out: &mut String, status: &Status) -> std::fmt::Result {
    let verdict = match (status.healthy, status.is_grave()) {
        (true, _) => "healthy",
        (false, true) => "TROUBLE",
        (false, false) => "attention",
    };
    writeln!(out, "{verdict:9} debridfs {}", status.version)?;
    for problem in &status.problems {
        writeln!(out, "  ! {problem}")?;
    }
    let pid = |pid: Option<u32>| pid.map_or("none".into(), |pid| format!("pid {pid}"));
    let missing = status.mount.trouble.as_ref();
    writeln!(
        out,
        "mount     {} ({} backend){}",
        status.mount.path.display(),
        status.backend,
        missing.map_or("", |_| ": NOT MOUNTED")
    )?;
    writeln!(
        out,
        "keeper    {}, {} engine restarts",
        pid(status.keeper.pid),
        status.keeper.restarts
    )?;
    let state = match status.engine.state {
        EngineState::Down => "down",
        EngineState::Starting => "starting",
        EngineState::Unmounted => "serving all but the mount",
        EngineState::Serving => "serving",
    };
    write!(out, "engine    {}, {state}", pid(status.engine.pid))?;
    if let Some(resident) = status.engine.resident {
        write!(out, ", {} of memory", ByteSize(resident))?;
    }
    writeln!(out)?;
    if let Some(library) = &status.library {
        writeln!(
            out,
            "library   {} releases ({} bad), {} files, {}",
            library.releases,
            library.bad,
            library.files,
            ByteSize(library.bytes)
        )?;
        if library.unknown > 0 {
            writeln!(
                out,
                "          files known of {} of {} releases",
                library.ready.saturating_sub(library.unknown),
                library.ready
            )?;
        }
        if let Some(age) = library.age_seconds {
            writeln!(out, "          updated {age:.0} s ago")?;
        }
        write_copies(out, &library.copies)?;
        for held in &library.held {
            let names = held.names.join(", ");
            writeln!(
                out,
                "  held    {} releases missing at {}: {names}",
                held.releases, held.provider
            )?;
        }
    }
    for provider in &status.providers {
        write_provider(out, provider)?;
    }
    if let Some(content) = &status.content {
        writeln!(
            out,
            "content   {} of {} buffers, {} fetched",
            ByteSize(content.memory_used),
            ByteSize(content.memory_limit),
            ByteSize(content.fetched)
        )?;
        for readers in content.readers.iter().filter(|known| known.readers > 0) {
            writeln!(
                out,
                "          {} {}: {} read, {} fetched",
                readers.readers,
                readers.class,
                ByteSize(readers.read),
                ByteSize(readers.fetched)
            )?;
        }
        write_reading(out, &content.reading)?;
    }
    let cache = status
        .content
        .as_ref()
        .and_then(|content| content.cache.as_ref());
    if let Some(cache) = cache {
        let unusable = if cache.usable { "" } else { ", CANNOT BE USED" };
        writeln!(
            out,
            "cache     {} of {}, {} of {} for probes, {} hits, {} misses{unusable}",
            ByteSize(cache.bytes),
            ByteSize(cache.limit),
            ByteSize(cache.probe_bytes),
            ByteSize(cache.probe_limit),
            cache.hits,
            cache.misses
        )?;
    }
    if let Some(nfs) = &status.nfs {
        write_nfs(out, nfs)?;
    }
    if let Some(repair) = status.repair.as_ref().filter(|one| !one.stages.is_empty()) {
        let stages = repair.stages.iter();
        let stages: Vec<String> = stages
            .map(|(stage, count)| format!("{count} {stage}"))
            .collect();
        writeln!(
            out,
            "repair    {}; {} of {} treatments this hour; see `debridfs repair ls`",
            stages.join(", "),
            repair.spent,
            repair.per_hour
        )?;
    }
    if let Some(queue) = &status.queue {
        let jobs = queue.jobs.iter().filter(|step| step.jobs > 0);
        let jobs: Vec<String> = jobs
            .map(|step| format!("{} {}", step.jobs, step.step))
            .collect();
        let jobs = match jobs.is_empty() {
            true => "none".to_owned(),
            false => jobs.join(", "),
        };
        writeln!(out, "downloads {jobs}")?;
        if queue.troubled > 0 {
            writeln!(
                out,
                "          {} held up; see `debridfs queue ls`",
                queue.troubled
            )?;
        }
    }
    if let Some(error) = &status.last_error {
        writeln!(out, "last error {}: {}", error.at, error.message)?;
    }
    Ok(())
}

/// Says nothing while every release has one copy and none is refused.
fn write_copies(out: &mut String, copies: &CopiesStatus) -> std::fmt::Result {
    if copies.spared > 0 {
        writeln!(
            out,
            "copies    {}; {} releases have more than one that can serve",
            copies.total, copies.spared
        )?;
    }
    for refused in &copies.lines {
        let copy = &refused.copy;
        write!(
            out,
            "  refused {} {} of {}: {}",
            copy.provider, copy.id, refused.release, copy.health
        )?;
        if let Some(verdict) = &copy.verdict {
            write!(
                out,
                ", {}: {}",
                verdict.said.replace('_', " "),
                verdict.words
            )?;
        }
        writeln!(out)?;
    }
    let more = copies.refused.saturating_sub(copies.lines.len() as u64);
    if more > 0 {
        writeln!(out, "  refused {more} more copies")?;
    }
    Ok(())
}

fn write_nfs(out: &mut String, nfs: &NfsStatus) -> std::fmt::Result {
    let connected = nfs.clients.iter().filter(|client| client.connections > 0);
    write!(out, "nfs       {} clients", connected.count())?;
    if nfs.delayed > 0 {
        write!(out, ", {} requests have to be asked again", nfs.delayed)?;
    }
    writeln!(out)?;
    for export in &nfs.missing {
        writeln!(
            out,
            "          the library has no directory for nfs.export.{export}"
        )?;
    }
    for client in nfs.clients.iter().take(READERS) {
        writeln!(
            out,
            "          {}: {} connections, {} requests, {} sent, {} failed, {} s idle",
            client.address,
            client.connections,
            client.requests,
            ByteSize(client.bytes),
            client.errors,
            client.idle_seconds
        )?;
    }
    Ok(())
}

fn write_reading(out: &mut String, reading: &[ReadingStatus]) -> std::fmt::Result {
    for one in reading.iter().take(READERS) {
        let who = [&*one.front, &*one.client].join(" ");
        let (who, read) = (who.trim_end(), ByteSize(one.read));
        writeln!(
            out,
            "  reading {}: {}, {who}, {read} read",
            one.path, one.class
        )?;
    }
    if reading.len() > READERS {
        writeln!(out, "  reading and {} more", reading.len() - READERS)?;
    }
    Ok(())
}

fn write_provider(out: &mut String, provider: &ProviderStatus) -> std::fmt::Result {
    let health = if provider.healthy { "ok" } else { "FAILING" };
    write!(
        out,
        "provider  {} ({}): {health}, {} of {} calls a minute left, {} made, {} failed",
        provider.name,
        provider.kind,
        provider.budget_left,
        provider.budget_per_minute,
        provider.calls,
        provider.failures
    )?;
    if let Some(seconds) = provider.cooldown_seconds {
        write!(
            out,
            ", cooling down for {seconds:.0} s (`debridfs provider resume` ends it)"
        )?;
    }
    writeln!(out)?;
    if let Some(account) = &provider.account {
        writeln!(out, "  account {}", account_line(account))?;
    }
    for key in &provider.keys {
        write_key(out, key)?;
    }
    Ok(())
}

fn write_key(out: &mut String, key: &KeyStatus) -> std::fmt::Result {
    write!(out, "  key {}   {}", key.number, ByteSize(key.traffic_used))?;
    if let Some(limit) = key.traffic_limit {
        write!(out, " of {}", ByteSize(limit))?;
    }
    write!(out, " fetched today")?;
    for budget in &key.budgets {
        write!(out, ", {budget}")?;
    }
    let resets = |out: &mut String| match key.traffic_resets {
        Some(at) => write!(out, " until {at}"),
        None => Ok(()),
    };
    if key.used_up {
        write!(out, ", USED UP")?;
        resets(out)?;
    } else if key.playback_only {
        write!(out, ", the rest is kept for playback")?;
        resets(out)?;
    }
    if let Some(refused) = &key.refused {
        write!(out, ", refused: {refused}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BudgetStatus;

    #[test]
    fn a_key_says_what_is_used_of_each_limit() {
        let budget = |calls: &str, used, limit, seconds| BudgetStatus {
            calls: calls.into(),
            used,
            limit,
            seconds,
        };
        let key = KeyStatus {
            number: 2,
            traffic_used: 3 << 30,
            traffic_limit: Some(1 << 40),
            budgets: vec![
                budget("all", 7, 300, 60),
                budget("create", 0, 60, 3600),
                budget("link", 1, 12, 40),
            ],
            ..KeyStatus::default()
        };
        let mut line = String::new();
        write_key(&mut line, &key).unwrap();
        let said = "3.0 GiB of 1.0 TiB fetched today, 7 of 300 calls a minute, 0 of 60 create calls an hour, 1 of 12 link calls in 40 s";
        assert_eq!(line, format!("  key 2   {said}\n"));
    }
}
