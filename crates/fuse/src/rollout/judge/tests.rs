//! Each limit, with its minimum, its hysteresis and the excuse of the old backend.

use super::*;

fn side(requests: u64, errors: u64) -> SideCounts {
    SideCounts {
        requests,
        errors,
        ..SideCounts::default()
    }
}

fn slow(requests: u64, slow: u64, half_slow: u64) -> SideCounts {
    SideCounts {
        requests,
        slow,
        half_slow,
        ..SideCounts::default()
    }
}

fn sample(primary: SideCounts, canary: SideCounts) -> Sample {
    Sample {
        primary,
        canary,
        ..Sample::default()
    }
}

/// One look a second at the same sample; the fault and at which look it came, within ten.
fn judged(sample: Sample) -> Option<(usize, Fault)> {
    let mut judge = Judge::new(RolloutSettings::default());
    (1..=10).find_map(|second| {
        let fault = judge.look(Duration::from_secs(second as u64), sample)?;
        Some((second, fault))
    })
}

#[test]
fn errors_above_the_limit_fire_at_the_third_look() {
    let bad = sample(side(1000, 0), side(1000, 11));
    assert!(matches!(judged(bad), Some((3, Fault::Errors { .. }))));
    assert_eq!(judged(sample(side(1000, 0), side(1000, 10))), None);
}

#[test]
fn the_old_backend_excuses_what_it_does_half_as_badly() {
    let both = sample(side(1000, 5), side(1000, 500));
    assert_eq!(judged(both), None);
    let less = sample(side(1000, 4), side(1000, 11));
    assert!(judged(less).is_some());
    // One request that failed is no excuse.
    let few = sample(side(1, 1), side(1000, 500));
    let mut judge = Judge::new(RolloutSettings::default());
    let fired = (0..3).find_map(|second| judge.look(Duration::from_secs(second), few));
    assert!(fired.is_some());
}

#[test]
fn few_samples_judge_nothing() {
    let mut judge = Judge::new(RolloutSettings::default());
    // All 9 looks together have 99 requests, of which all failed.
    let few = sample(side(0, 0), side(11, 11));
    for second in 0..9 {
        assert_eq!(judge.look(Duration::from_secs(second), few), None);
    }
    assert!(judge.is_calm());
    let at = |second| Duration::from_secs(second);
    assert_eq!(judge.look(at(9), few), None);
    assert_eq!(judge.look(at(10), few), None);
    assert!(judge.look(at(11), few).is_some());
}

#[test]
fn a_slow_hundredth_fires_unless_the_old_one_is_half_as_slow() {
    let bad = sample(slow(1000, 0, 10), slow(1000, 11, 11));
    assert!(matches!(judged(bad), Some((3, Fault::Slow { .. }))));
    assert_eq!(judged(sample(slow(1000, 0, 0), slow(1000, 10, 500))), None);
    assert_eq!(
        judged(sample(slow(1000, 0, 11), slow(1000, 900, 900))),
        None
    );
}

#[test]
fn one_divergence_in_five_hundred_fires() {
    let differ = |compared, diverged| Sample {
        compared,
        diverged,
        ..sample(side(1000, 0), side(1000, 0))
    };
    assert!(matches!(
        judged(differ(500, 1)),
        Some((3, Fault::Diverged { .. }))
    ));
    assert_eq!(judged(differ(1000, 1)), None);
    assert_eq!(judged(differ(9, 9)), None, "not a hundred in ten looks");
}

#[test]
fn what_is_over_is_forgotten_and_what_lingers_is_not() {
    let settings = RolloutSettings {
        window: Duration::from_secs(1),
        ..RolloutSettings::default()
    };
    let (bad, lingering, good) = (
        sample(side(1000, 0), side(1000, 20)),
        sample(side(1000, 0), side(1000, 9)),
        sample(side(1000, 0), side(1000, 0)),
    );
    let fired = |samples: &[Sample]| {
        let mut judge = Judge::new(settings.clone());
        let looks = samples.iter().zip(0..);
        looks
            .map(|(sample, second)| judge.look(Duration::from_secs(second), *sample))
            .any(|fault| fault.is_some())
    };
    assert!(fired(&[bad, bad, bad]));
    assert!(!fired(&[bad, bad, good, bad, bad, good, bad, bad]));
    assert!(fired(&[bad, bad, lingering, lingering, bad]));
}

#[test]
fn the_same_requests_are_not_counted_at_two_looks() {
    let mut judge = Judge::new(RolloutSettings::default());
    let bad = sample(side(1000, 0), side(1000, 500));
    assert_eq!(judge.look(Duration::ZERO, bad), None);
    for second in 1..100 {
        let nothing = Sample::default();
        assert_eq!(judge.look(Duration::from_secs(second), nothing), None);
    }
    assert!(!judge.is_calm());
}

#[test]
fn what_left_the_window_is_not_judged() {
    let mut judge = Judge::new(RolloutSettings::default());
    judge.look(Duration::ZERO, sample(side(0, 0), side(1000, 500)));
    judge.look(Duration::from_secs(299), sample(side(5, 0), side(7, 0)));
    assert_eq!(judge.window().canary.requests, 1007);
    judge.look(Duration::from_secs(300), Sample::default());
    assert_eq!(judge.window(), sample(side(5, 0), side(7, 0)));
}
