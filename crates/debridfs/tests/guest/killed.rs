//! The engine is killed under readers, on a kernel that cannot send requests again: the journal alone brings them back.

use debridfs_guest::Machine;
use serde_json::Value;

use crate::library::{self, MOUNT, count};

#[test]
fn sigkill_goes_unnoticed_on_a_kernel_without_resend() {
    let name = "Film.2024.1080p";
    let kills = count("DEBRIDFS_GUEST_TEST_KILLS", 2);
    let (film, key) = (library::path(name), library::key(0, name));
    // Each kill hits at another moment of what an engine does after its start.
    let script = format!(
        r#"
start
for mode in buffered direct mmap; do
  tail -f /dev/null | verified_reader $mode {MOUNT}/{film} {key} >/run/$mode &
done
sleep 2
for number in $(seq {kills}); do
  kill_engine
  echo "killed $number"
  sleep 0.$((number * 7 % 10))
done
sleep 1
killall tail
for mode in buffered direct mmap; do
  until_true 60 test -s /run/$mode
  echo "$mode $(cat /run/$mode)"
done
"#
    );
    let image = library::image(&library::library(&[(name, 1 << 30)]), &script);
    let output = Machine::run(&image, &library::settings()).expect("a status");
    let text = output.expect_success();
    assert!(text.contains(&format!("killed {kills}\n")), "{text}");
    for mode in ["buffered ", "direct ", "mmap "] {
        let outcome = text.lines().find_map(|line| line.strip_prefix(mode));
        let outcome = outcome.unwrap_or_else(|| panic!("nothing of {mode}: {text}"));
        println!("{kills} kills, {mode}{outcome}");
        let outcome: Value = serde_json::from_str(outcome).expect("JSON");
        assert_eq!(outcome["wrong"], 0, "{mode}{outcome}");
        assert_eq!(outcome["errors"], serde_json::json!([]), "{mode}{outcome}");
        assert!(outcome["reads"].as_u64() > Some(0), "{mode}{outcome}");
    }
}
