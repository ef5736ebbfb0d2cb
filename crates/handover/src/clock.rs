use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds that the machine has been awake (`CLOCK_MONOTONIC`).
///
/// It is the clock of every time in the journal: keeper and engine, in whatever container, read
/// the same value, and nobody can set it. Time asleep does not count: nobody could answer a request
/// meanwhile, so its deadline stands still as well.
pub fn awake_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    const PRINT: &str = "DEBRIDFS_TEST_PRINT_CLOCK";

    /// A process to which the machine seems to have slept for an hour: its `CLOCK_BOOTTIME` is
    /// ahead, as everybody's is after a suspend. Needs root.
    #[test]
    fn time_asleep_does_not_count() {
        if std::env::var_os(PRINT).is_some() {
            println!("\nawake {}", awake_ns());
            return;
        }
        let before = awake_ns();
        let asleep = Command::new("unshare")
            .args(["--time", "--boottime", "3600"])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--nocapture",
                "--exact",
                "clock::tests::time_asleep_does_not_count",
            ])
            .env(PRINT, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&asleep.stdout).into_owned();
        let line = said.lines().find_map(|line| line.strip_prefix("awake "));
        let there: u64 = line
            .unwrap_or_else(|| panic!("{asleep:?}"))
            .parse()
            .unwrap();
        let apart = Duration::from_nanos(there.abs_diff(before));
        assert!(apart < Duration::from_secs(600), "{apart:?}");
    }
}
