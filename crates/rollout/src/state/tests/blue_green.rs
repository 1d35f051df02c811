//! Blue-green rollouts, whose candidate is compared with the rates that stable had before.

use super::*;

/// Traffic of a rollout whose candidate fails in this share of a thousand requests.
fn traffic(requests_per_second: u64, candidate: u64) -> Conditions {
    Conditions {
        requests_per_second,
        candidate,
        ..HEALTHY
    }
}

#[test]
fn a_candidate_with_ten_percent_errors_goes_back_and_a_healthy_one_stays() {
    for requests_per_second in [20, 1000] {
        for shadow in ["", ", shadow: {min_pairs: 100}"] {
            let keys = format!("{QUICK}, strategy: blue_green{shadow}");
            for (candidate, expected) in [(5, Phase::Completed), (100, Phase::RolledBack)] {
                let conditions = traffic(requests_per_second, candidate);
                let mut scenario = Scenario::warm(&keys);
                scenario.until(conditions, Phase::is_final);
                assert_eq!(scenario.phase(), expected, "{}", scenario.log());
            }
        }
    }
}

#[test]
fn stable_is_measured_before_the_candidate_gets_a_request() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, strategy: blue_green"));
    assert_eq!(scenario.phase(), Phase::Running(Stage::Baseline));
    assert_eq!(scenario.rollout.traffic().weight, 0.0);
    scenario.run_for(traffic(100, 5), Duration::from_secs(5));
    let missing = scenario.rollout.status().missing;
    let expected = [
        "min_time: 5 s left",
        "baseline: needs 500 more requests to stable, in about 5 s",
    ];
    assert_eq!(missing, expected);
    scenario.until(traffic(100, 5), |phase| {
        phase == Phase::Running(Stage::Soak)
    });
    assert_eq!(scenario.now, Timestamp(11_000));
}

#[test]
fn without_traffic_the_baseline_is_held_and_nothing_is_promoted() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, strategy: blue_green"));
    scenario.run_for(SILENT, Duration::from_secs(24 * 3600));
    assert!(scenario.phase().is_held_for(HoldReason::Unknown));
    assert_eq!(scenario.rollout.traffic().weight, 0.0);
    scenario.until(HEALTHY, Phase::is_final);
    assert_eq!(scenario.phase(), Phase::Completed);
}
