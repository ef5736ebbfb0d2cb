//! Doing what checks propose, once the user allows it.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::check::Check;
use crate::repair::Repair;

/// Does what is safe and allowed; what was done, and how it went.
pub fn mend(checks: &[Check], yes: bool) -> Vec<String> {
    let mut done: Vec<(&Repair, String)> = Vec::new();
    for repair in checks.iter().filter_map(|check| check.repair.as_ref()) {
        if done.iter().any(|(other, _)| *other == repair) || !allowed(repair, yes) {
            continue;
        }
        // The text first: once it is done, less would be needed.
        let commands = repair.commands();
        let said = match repair.apply() {
            Ok(()) => format!("{commands}: done, until the next boot"),
            Err(error) => format!("{commands}: {error}"),
        };
        eprintln!("{said}");
        done.push((repair, said));
    }
    done.into_iter().map(|(_, said)| said).collect()
}

/// Whether it may be done: said beforehand, or answered now.
fn allowed(repair: &Repair, yes: bool) -> bool {
    let mut terminal = io::stderr();
    if yes {
        let _ = writeln!(terminal, "+ {}", repair.commands());
        return true;
    }
    if !io::stdin().is_terminal() {
        let _ = writeln!(
            terminal,
            "would run: {} (no terminal to ask on; --yes allows it)",
            repair.commands()
        );
        return false;
    }
    let _ = write!(terminal, "run {}? [y/N] ", repair.commands());
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_where_nobody_can_be_asked() {
        // Were it tried, it would fail.
        let check = Check {
            repair: Some(Repair::Share("/nonexistent/dir".into())),
            ..Check::failed("propagation", "private", "share it")
        };
        let checks = [check.clone(), check];
        assert_eq!(mend(&checks, false), [""; 0]);
        let done = mend(&checks, true);
        assert_eq!(done.len(), 1, "the same is done once");
        assert!(
            done[0].contains("--make-rshared /nonexistent/dir: "),
            "{done:?}"
        );
    }
}
