//! Two instances that are started at the same moment, so that neither sees the other before both have mounted.

use std::time::Duration;

use crate::support::{Instance, Settings, Simulator, connection, film, until};

#[test]
fn of_two_with_one_state_directory_one_serves_and_the_other_ends_with_the_reason() {
    let simulator = Simulator::start(vec![film("Film.2024", 60 << 20)]);
    let one = Instance::prepare(&simulator, Settings::default());
    let state = one.state().display().to_string();
    let two = Settings {
        env: vec![("DEBRIDFS__STATE_DIR".to_owned(), state.clone())],
        ..Settings::default()
    };
    let two = Instance::prepare(&simulator, two);
    let mut both = [one, two];
    both.iter_mut().for_each(Instance::launch);
    let mut ended = None;
    until("one of them has ended", Duration::from_secs(60), || {
        let mut all = both.iter_mut().enumerate();
        ended = all.find_map(|(number, one)| Some((number, one.has_ended()?)));
        ended.is_some()
    });
    let (number, status) = ended.expect("just seen");
    let [winner, loser] = [&both[1 - number], &both[number]];
    winner.wait_listed();
    let pid = winner.keeper_pid().as_raw_nonzero();
    let mount = winner.mount();
    let said = loser.log();
    let plain = said.split_whitespace().filter(|word| *word != "│");
    let plain = plain.collect::<Vec<_>>().join(" ");
    for words in [
        format!(
            "{state} is in use by another instance: pid {pid}, mounted at {}",
            mount.display()
        ),
        "give this instance a `state_dir` of its own, or stop the other one first".to_owned(),
    ] {
        assert!(plain.contains(&words), "no {words:?} in\n{said}");
    }
    assert_eq!(plain.matches("is in use by another").count(), 1, "{said}");
    assert_eq!(status.code(), Some(5), "{said}");
    assert!(connection(&loser.mount()).is_none());
}
