//! Vectors of the rules, and what holds for every split.

use std::time::Duration;

use contract::{Arm, Bandit, Fallback, Layer, Unit, UnitSource};
use proptest::prelude::*;

use super::*;

fn split(hash: AssignmentHash, weights: &[f64]) -> Split {
    let arms = weights.iter().enumerate().map(|(index, &weight)| Arm {
        name: format!("arm-{index}"),
        version: format!("{}", index + 1),
        weight,
    });
    let salt = match hash {
        AssignmentHash::Xxh3 | AssignmentHash::Md5 => None,
        AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => Some("experiment".to_owned()),
    };
    Split {
        arms: arms.collect(),
        unit: Unit {
            source: UnitSource::Field("user_id".to_owned()),
            fallback: Fallback::Random,
        },
        hash,
        salt,
        coverage: 1.0,
        layer: None,
        override_header: None,
        bandit: None,
    }
}

fn assigner(hash: AssignmentHash, weights: &[f64]) -> Assigner {
    Assigner::new(&split(hash, weights), "model/traffic").unwrap()
}

#[test]
fn md5_assigns_as_the_rule_that_many_have() {
    let (half, three, most) = (&[0.5, 0.5][..], &[0.7, 0.1, 0.2][..], &[0.9, 0.1][..]);
    let rows = [
        ("user_1", [0, 0, 0]),
        ("user_42", [1, 1, 0]),
        ("alice", [1, 2, 0]),
        ("12345", [1, 1, 0]),
        ("é", [0, 0, 0]),
        ("user_3318", [0, 0, 0]),
        ("user_536", [1, 2, 0]),
        ("user_8677", [1, 2, 0]),
        ("user_11007", [1, 2, 1]),
    ];
    let assigners = [half, three, most].map(|weights| assigner(AssignmentHash::Md5, weights));
    let wrong: Vec<_> = rows
        .iter()
        .map(|(unit, expected)| {
            let got = assigners.each_ref().map(|one| one.arm_of(unit).unwrap());
            (unit, expected, got)
        })
        .filter(|(_, expected, got)| *expected != got)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn md5_counts_ten_thousand_users_as_the_rule_does() {
    let cases: [(&[f64], &[usize]); 4] = [
        (&[0.5, 0.5], &[4977, 5023]),
        (&[0.9, 0.1], &[8987, 1013]),
        (&[0.7, 0.1, 0.2], &[6961, 1014, 2025]),
        (&[0.1, 0.2, 0.7], &[945, 2025, 7030]),
    ];
    for (weights, expected) in cases {
        let assigner = assigner(AssignmentHash::Md5, weights);
        let mut counts = vec![0; weights.len()];
        for user in 0..10_000 {
            counts[assigner.arm_of(&format!("user_{user}")).unwrap()] += 1;
        }
        assert_eq!(counts, expected, "{weights:?}");
    }
}

#[test]
fn md5_leaves_arms_without_weight_out_and_gives_what_is_left_to_the_first() {
    let first_is_empty = assigner(AssignmentHash::Md5, &[0.0, 0.5, 0.5]);
    assert_eq!(first_is_empty.arm_ranges.find(0.0), Some(1));
    let below_one = assigner(AssignmentHash::Md5, &[0.4995, 0.5]);
    assert_eq!(below_one.arm_ranges.find(0.9999), Some(0));
}

#[test]
fn coverage_takes_a_part_of_each_range() {
    let mut requested = split(AssignmentHash::GrowthbookV2, &[0.2, 0.3, 0.5]);
    requested.coverage = 0.2;
    let arm_ranges = Assigner::new(&requested, "").unwrap().arm_ranges;
    let rows = [
        (0.0, Some(0)),
        (0.0399, Some(0)),
        (0.0401, None),
        (0.1999, None),
        (0.2, Some(1)),
        (0.2599, Some(1)),
        (0.26, None),
        (0.5, Some(2)),
        (0.5999, Some(2)),
        (0.6, None),
        (0.9999, None),
    ];
    let wrong: Vec<_> = rows
        .iter()
        .filter(|(number, expected)| arm_ranges.find(*number) != *expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn our_own_hash_cuts_between_whole_buckets() {
    let arm_ranges = assigner(AssignmentHash::Xxh3, &[0.1, 0.9]).arm_ranges;
    assert_eq!(arm_ranges.find(99_999.0), Some(0));
    assert_eq!(arm_ranges.find(100_000.0), Some(1));
    assert_eq!(arm_ranges.find(999_999.0), Some(1));
}

#[test]
fn layers_of_one_name_keep_their_users_apart() {
    for hash in AssignmentHash::ALL {
        let of_range = |start, end| {
            let mut requested = split(hash, &[0.5, 0.5]);
            let name = "checkout".to_owned();
            requested.layer = Some(Layer { name, start, end });
            Assigner::new(&requested, "").unwrap()
        };
        let (low, high) = (of_range(0.0, 0.3), of_range(0.3, 1.0));
        let mut n_low = 0;
        for user in 0..1000 {
            let unit = format!("user_{user}");
            let is_low = low.arm_of(&unit).is_some();
            assert_ne!(is_low, high.arm_of(&unit).is_some(), "{hash:?} {unit}");
            n_low += usize::from(is_low);
        }
        assert!((200..400).contains(&n_low), "{hash:?}: {n_low}");
        assert_eq!(low.arm_of_draw(1), None, "a request without a unit");
    }
}

#[test]
fn random_numbers_follow_the_weights() {
    for hash in AssignmentHash::ALL {
        let assigner = assigner(hash, &[0.25, 0.75]);
        let draws = (0..1_000_000_u64).step_by(100);
        let n_first = draws.filter(|&draw| assigner.arm_of_draw(draw) == Some(0));
        assert!((2500..=2501).contains(&n_first.count()), "{hash:?}");
    }
}

/// A split of our own hash with a mistake in it.
fn changed(change: fn(&mut Split)) -> Split {
    let mut requested = split(AssignmentHash::Xxh3, &[0.5, 0.5]);
    change(&mut requested);
    requested
}

fn with_layer(start: f64, end: f64) -> Split {
    let mut requested = split(AssignmentHash::Xxh3, &[0.5, 0.5]);
    let name = "checkout".to_owned();
    requested.layer = Some(Layer { name, start, end });
    requested
}

fn mistakes_in_arms() -> Vec<(&'static str, Split)> {
    let md5 = |weights: &[f64]| split(AssignmentHash::Md5, weights);
    vec![
        ("no arms", md5(&[])),
        ("sum too low", md5(&[0.5, 0.4])),
        ("sum too high", md5(&[0.7, 0.302])),
        ("negative", md5(&[1.5, -0.5])),
        ("not a number", md5(&[f64::NAN, 1.0])),
        ("too fine", md5(&[0.33333, 0.66667])),
        (
            "same name",
            changed(|requested| requested.arms[1].name = "arm-0".to_owned()),
        ),
        (
            "bad name",
            changed(|requested| requested.arms[1].name = "a b".to_owned()),
        ),
        (
            "no version",
            changed(|requested| requested.arms[0].version = "latest".to_owned()),
        ),
    ]
}

fn bandit(change: fn(&mut Split, &mut Bandit)) -> Split {
    let mut requested = split(AssignmentHash::Xxh3, &[0.5, 0.5]);
    let mut bandit = Bandit::default();
    change(&mut requested, &mut bandit);
    requested.bandit = Some(bandit);
    requested
}

fn mistakes_of_bandits() -> Vec<(&'static str, Split)> {
    vec![
        (
            "single arm",
            bandit(|requested, _| {
                requested.arms.truncate(1);
                requested.arms[0].weight = 1.0;
            }),
        ),
        (
            "short period",
            bandit(|_, rule| rule.period = Duration::from_secs(299)),
        ),
        (
            "endless period",
            bandit(|_, rule| rule.period = Duration::MAX),
        ),
        ("no rewards", bandit(|_, rule| rule.min_units = 0)),
        ("no floor", bandit(|_, rule| rule.floor = 0.0)),
        ("negative floor", bandit(|_, rule| rule.floor = -0.01)),
        ("high floor", bandit(|_, rule| rule.floor = 0.6)),
        ("fine floor", bandit(|_, rule| rule.floor = 0.00015)),
        ("no number", bandit(|_, rule| rule.floor = f64::NAN)),
        (
            "starving arm",
            bandit(|requested, _| {
                (requested.arms[0].weight, requested.arms[1].weight) = (1.0, 0.0);
            }),
        ),
    ]
}

fn mistakes_beside_arms() -> Vec<(&'static str, Split)> {
    let source = |source: UnitSource, mut requested: Split| {
        requested.unit.source = source;
        requested
    };
    let path = UnitSource::Field("user..id".to_owned());
    let header = UnitSource::Header("x user".to_owned());
    vec![
        ("coverage", changed(|requested| requested.coverage = 0.0)),
        (
            "coverage of md5",
            changed(|requested| {
                (requested.coverage, requested.hash) = (0.5, AssignmentHash::Md5);
            }),
        ),
        (
            "no seed",
            changed(|requested| requested.hash = AssignmentHash::GrowthbookV2),
        ),
        (
            "no experiment",
            changed(|requested| requested.hash = AssignmentHash::Murmur3),
        ),
        ("empty path", source(path, changed(|_| {}))),
        ("bad header", source(header, changed(|_| {}))),
        (
            "bad override",
            changed(|requested| requested.override_header = Some(String::new())),
        ),
        ("empty layer", with_layer(0.5, 0.5)),
        (
            "layer of nothing",
            source(UnitSource::Random, with_layer(0.0, 0.5)),
        ),
    ]
}

#[test]
fn invalid_split_is_rejected_with_the_failing_key() {
    let mut shown = String::new();
    let mistakes = mistakes_in_arms().into_iter();
    let mistakes = mistakes.chain(mistakes_beside_arms());
    for (what, requested) in mistakes.chain(mistakes_of_bandits()) {
        let error = Assigner::new(&requested, "").unwrap_err();
        shown.push_str(&format!("{what}: {error}\n"));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn bandits_may_go_to_their_limits() {
    for requested in [
        bandit(|_, _| {}),
        bandit(|_, rule| rule.floor = 0.5),
        bandit(|_, rule| (rule.floor, rule.min_units) = (0.0001, 1)),
        bandit(|_, rule| rule.period = Duration::from_secs(30 * 24 * 3600)),
    ] {
        assert!(Assigner::new(&requested, "").is_ok(), "{requested:?}");
    }
}

#[test]
fn weights_that_sum_to_almost_one_are_accepted() {
    for weights in [
        &[0.333, 0.333, 0.333][..],
        &[0.5, 0.501],
        &[0.1, 0.2, 0.7],
        &[1.0],
    ] {
        assigner(AssignmentHash::Md5, weights);
    }
}

proptest! {
    #[test]
    fn a_ramp_never_moves_a_unit_back(unit in ".{1,20}", low in 0..10_000_u32, high in 0..=10_000_u32) {
        let share = |buckets| f64::from(buckets) / 10_000.0;
        let (low, high) = (share(low.min(high)), share(low.max(high)));
        for hash in AssignmentHash::ALL {
            let arm = |weight: f64| assigner(hash, &[weight, 1.0 - weight]).arm_of(&unit);
            if arm(low) == Some(0) {
                prop_assert_eq!(arm(high), Some(0), "{:?} from {} to {}", hash, low, high);
            }
        }
    }

    #[test]
    fn more_coverage_moves_no_unit_between_arms(unit in ".{1,20}", part in 1..100_u32) {
        let weights = [0.2, 0.3, 0.5];
        for hash in [AssignmentHash::Xxh3, AssignmentHash::GrowthbookV2, AssignmentHash::Murmur3] {
            let mut requested = split(hash, &weights);
            let all = Assigner::new(&requested, "s").unwrap().arm_of(&unit);
            requested.coverage = f64::from(part) / 100.0;
            let some = Assigner::new(&requested, "s").unwrap().arm_of(&unit);
            prop_assert!(some.is_none() || some == all, "{:?}: {:?} and {:?}", hash, some, all);
        }
    }

    #[test]
    fn every_unit_has_one_arm_and_keeps_it(unit in ".{1,40}") {
        for hash in AssignmentHash::ALL {
            let arm = assigner(hash, &[0.7, 0.1, 0.2]).arm_of(&unit);
            prop_assert!(arm.is_some_and(|arm| arm < 3));
            prop_assert_eq!(arm, assigner(hash, &[0.7, 0.1, 0.2]).arm_of(&unit));
        }
    }

    /// The rule as others write it, in their words and with their arithmetic.
    #[test]
    fn md5_equals_the_rule_for_any_unit(unit in ".{1,40}", first in 1..10_000_u32) {
        let digest = <md5::Md5 as md5::Digest>::digest(unit.as_bytes());
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let number = u128::from_str_radix(&digits, 16).unwrap() % 10_000;
        let number = f64::from(u32::try_from(number).unwrap()) / 10_000.0;
        let first = f64::from(first) / 10_000.0;
        let expected = usize::from(number > first);
        let arm = assigner(AssignmentHash::Md5, &[first, 1.0 - first]).arm_of(&unit);
        prop_assert_eq!(arm, Some(expected));
    }
}
