//! Container runtimes that are known to lose propagation without any error.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::check::Check;

/// Printing a version takes no longer.
const LIMIT: Duration = Duration::from_secs(5);
/// Where k3s and RKE2 keep their own.
const BUNDLED: [&str; 2] = [
    "/var/lib/rancher/k3s/data/current/bin",
    "/var/lib/rancher/rke2/bin",
];

type Version = (u32, u32, u32);

/// A range of versions, the last one included, and what is wrong with them.
struct Known {
    program: &'static str,
    first: Version,
    last: Version,
    fault: &'static str,
}

/// Which of the 1.3 to 1.5 releases have the fix is not told apart: it came to their branches late
/// (2026-09), and a package may have it or not. The test tells for sure.
const KNOWN: [Known; 3] = [
    Known {
        program: "runc",
        first: (1, 4, 2),
        last: (1, 4, 2),
        fault: "makes rshared volumes private (Bidirectional does nothing; runc issue 5390)",
    },
    Known {
        program: "runc",
        first: (1, 3, 0),
        last: (1, 5, u32::MAX),
        fault: "may make rslave volumes private (HostToContainer sees no later mount; runc issue 5192)",
    },
    Known {
        program: "crun",
        first: (1, 29, 0),
        last: (1, 29, u32::MAX),
        fault: "makes only the topmost mount of an rslave volume a slave (crun issue 2197)",
    },
];

/// Asks every runtime that is found for its version.
pub async fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    for program in ["runc", "crun"] {
        for file in found(program) {
            let said = said(&file).await;
            checks.push(judged(program, &file, said.as_deref()));
        }
    }
    checks
}

fn found(program: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(BUNDLED.map(PathBuf::from))
        .map(|dir| dir.join(program))
        .filter(|file| file.is_file())
        .filter_map(|file| file.canonicalize().ok())
        .collect();
    files.sort();
    files.dedup();
    files
}

async fn said(file: &Path) -> Option<String> {
    let output = Command::new(file)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, output).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn judged(program: &str, file: &Path, said: Option<&str>) -> Check {
    let shown = file.display();
    let Some(version) = said.and_then(version) else {
        let fix = format!("`{shown} --version` should print it");
        return Check::warning(program, format!("{shown} tells no version"), fix);
    };
    let text = format!("{shown} {}.{}.{}", version.0, version.1, version.2);
    let faults: Vec<&str> = KNOWN
        .iter()
        .filter(|known| known.program == program)
        .filter(|known| (known.first..=known.last).contains(&version))
        .map(|known| known.fault)
        .collect();
    if faults.is_empty() {
        return Check::ok(program, text);
    }
    Check::warning(
        program,
        format!("{text} {}", faults.join("; ")),
        "check whether it happens here: run the parts of `debridfs propagation-test` in containers; if so, update it or use another version",
    )
}

/// From `runc version 1.1.5+ds1` or `crun version 1.8.1`.
fn version(said: &str) -> Option<Version> {
    let word = said.lines().next()?.split_whitespace().nth(2)?;
    let mut numbers = word.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    Some((number()?, number()?, number().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn versions_that_lose_propagation() {
        let check = |program: &str, said: &str| judged(program, Path::new("/x"), Some(said));
        let outcome = |program: &str, said: &str| check(program, said).outcome;
        assert_eq!(
            outcome("runc", "runc version 1.1.5+ds1\nspec: 1.0"),
            Outcome::Ok
        );
        assert_eq!(outcome("runc", "runc version 1.3.4"), Outcome::Warning);
        let both = check("runc", "runc version 1.4.2\n").seen;
        assert!(both.contains("5390") && both.contains("5192"), "{both}");
        assert!(
            !check("runc", "runc version 1.5.0-rc.1")
                .seen
                .contains("5390")
        );
        assert_eq!(outcome("runc", "runc version 1.6.0"), Outcome::Ok);
        assert_eq!(outcome("crun", "crun version 1.28\ncommit"), Outcome::Ok);
        assert_eq!(outcome("crun", "crun version 1.29.1"), Outcome::Warning);
        assert_eq!(
            judged("runc", Path::new("/x"), None).outcome,
            Outcome::Warning
        );
    }
}
