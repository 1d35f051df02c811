use super::*;
use crate::tests::simulation::{Sampler, check_within_15_percent, median_and_p90};

const ALPHA: f64 = 0.001;
const WEIGHT: f64 = 0.05;
const REQUESTS_PER_SECOND: u64 = 220;
const STABLE_RATE: f64 = 0.005;

/// Evidence that a candidate with all of these events is worse.
fn worse(n_events: u64) -> Sprt {
    Sprt::of_events(n_events, 0, WEIGHT, 1.0)
}

fn at(starts: u32) -> Duration {
    DISTANCE * starts
}

fn add(restarted: &mut RestartedSprt, arms: ArmCounts, now: Duration) -> Sprt {
    let (candidate, stable) = (arms.candidate.events, arms.stable.events);
    let evidence = Sprt::of_events(candidate, stable, WEIGHT, 1.0);
    restarted.add(&evidence, arms, now);
    evidence
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn every_start_has_its_weight_and_the_rest_counts_one() {
    let mut restarted = RestartedSprt::default();
    assert_eq!(restarted.ln_e(), 0.0);
    let arms = ArmCounts::default();
    restarted.add(&worse(3), arms, at(0));
    let first = worse(3).ln_e().exp();
    assert!(is_close(restarted.ln_e(), (first / 2.0 + 0.5).ln()));
    restarted.add(&worse(2), arms, at(1));
    let (first, second) = (worse(5).ln_e().exp(), worse(2).ln_e().exp());
    let expected = first / 2.0 + second / 6.0 + 1.0 / 3.0;
    assert!(is_close(restarted.ln_e(), expected.ln()));
}

#[test]
fn a_gap_starts_one_process() {
    let mut restarted = RestartedSprt::default();
    for now in [at(0), at(0) + Duration::from_secs(1), at(40), at(40)] {
        restarted.add(&worse(0), ArmCounts::default(), now);
    }
    assert_eq!(restarted.starts.len(), 2);
}

#[test]
fn a_full_set_of_starts_is_thinned_and_dropped_weights_never_return() {
    let mut restarted = RestartedSprt::default();
    for start in 0..1200 {
        restarted.add(&worse(0), ArmCounts::default(), at(start));
        assert!(restarted.starts.len() <= MAX_STARTS);
    }
    let numbers: Vec<_> = restarted.starts.iter().map(|start| start.number).collect();
    assert_eq!(numbers[..3], [1, 5, 9], "thinned twice");
    assert_eq!(restarted.distance, DISTANCE * 4);
    let dropped = 1.0 / 6.0 + 1.0 / 12.0 + 1.0 / 20.0;
    assert!(restarted.ln_e() < (1.0_f64 - dropped).ln());
    restarted.add(&worse(100), ArmCounts::default(), at(1200));
    assert!(restarted.ln_e() > 100.0, "and it still finds a break");
}

#[test]
fn the_leading_counts_are_those_since_the_break() {
    let mut restarted = RestartedSprt::default();
    assert_eq!(restarted.leading(), ArmCounts::default());
    let mut sampler = Sampler::new(1);
    for start in 0..100 {
        let arms = sampler.arms(600 * REQUESTS_PER_SECOND, WEIGHT, [STABLE_RATE; 2]);
        add(&mut restarted, arms, at(start));
    }
    let broken = sampler.arms(10_000, WEIGHT, [STABLE_RATE, 0.2]);
    add(&mut restarted, broken, at(100));
    assert_eq!(restarted.leading(), broken);
}

#[test]
fn stored_evidence_goes_on_as_if_nothing_had_happened() {
    let mut restarted = RestartedSprt::default();
    restarted.add(&worse(1), ArmCounts::default(), at(0));
    let text = serde_json::to_string(&restarted).unwrap();
    let mut restored: RestartedSprt = serde_json::from_str(&text).unwrap();
    for evidence in [&mut restarted, &mut restored] {
        evidence.add(&worse(2), ArmCounts::default(), at(1));
    }
    assert_eq!(restored, restarted);
}

/// Seconds until a tenfold error rate after a quiet time is found, with the window of the step
/// beside the restarts as in a rollout of three steps.
fn seconds_to_detection(quiet: Duration, seed: u64) -> u64 {
    let mut sampler = Sampler::new(seed);
    let (mut restarted, mut step) = (RestartedSprt::default(), Sprt::default());
    let mut now = Duration::ZERO;
    while now < quiet {
        let n = REQUESTS_PER_SECOND * DISTANCE.as_secs();
        let arms = sampler.arms(n, WEIGHT, [STABLE_RATE; 2]);
        step.add(&add(&mut restarted, arms, now));
        now += DISTANCE;
    }
    let limits = ((2.0 / ALPHA).ln(), (6.0 / ALPHA).ln());
    loop {
        let arms = sampler.arms(
            REQUESTS_PER_SECOND,
            WEIGHT,
            [STABLE_RATE, 10.0 * STABLE_RATE],
        );
        step.add(&add(&mut restarted, arms, now));
        now += Duration::from_secs(1);
        if restarted.ln_e() >= limits.0 || step.ln_e() >= limits.1 {
            return (now - quiet).as_secs();
        }
    }
}

#[test]
fn a_break_is_found_as_fast_as_the_reference_promises_however_long_it_was_quiet() {
    let mut rows = Vec::new();
    for (hours, n_runs, expected) in [
        (0, 500, [14.0, 27.0]),
        (1, 500, [22.0, 31.0]),
        (24, 120, [31.0, 50.0]),
        (72, 60, [31.0, 54.0]),
    ] {
        let quiet = Duration::from_hours(hours);
        let seconds = (0..n_runs).map(|seed| seconds_to_detection(quiet, seed));
        let measured = median_and_p90(seconds.collect());
        for (name, measured, expected) in [
            ("median", measured[0], expected[0]),
            ("90th percentile", measured[1], expected[1]),
        ] {
            rows.push((format!("{name} after {hours} h"), measured, expected));
        }
    }
    check_within_15_percent(&rows);
}

#[test]
fn restarts_seldom_raise_a_false_alarm() {
    let (alpha, n_runs) = (0.05, 1000);
    let raises_alarm = |seed: &u64| {
        let mut sampler = Sampler::new(*seed);
        let mut restarted = RestartedSprt::default();
        (0..100).any(|block| {
            let arms = sampler.arms(20_000, WEIGHT, [STABLE_RATE; 2]);
            add(&mut restarted, arms, DISTANCE * block / 4);
            restarted.ln_e() >= -f64::ln(alpha)
        })
    };
    let n_alarms = (0..n_runs).filter(raises_alarm).count() as f64;
    let most = alpha + 3.0 * (alpha * (1.0 - alpha) / n_runs as f64).sqrt();
    assert!(n_alarms / n_runs as f64 <= most, "{n_alarms} of {n_runs}");
}
