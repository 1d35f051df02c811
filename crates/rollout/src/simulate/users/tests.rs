use stats::sprt::Sprt;
use stats::units::CountedUnits;

use super::*;

const ALWAYS: EventPattern = EventPattern {
    user_share: 0.01,
    every: 1,
    base_rate: 0.001,
};

fn population(n_users: u32, zipf_exponent: f64, pattern: EventPattern) -> Population {
    seeded_population(n_users, zipf_exponent, pattern, 1)
}

fn seeded_population(
    n_users: u32,
    zipf_exponent: f64,
    pattern: EventPattern,
    seed: u64,
) -> Population {
    let assumptions = UserAssumptions {
        n_users,
        zipf_exponent,
    };
    let patterns = ArmPatterns {
        stable: pattern,
        candidate: pattern,
    };
    Population::new(assumptions, &[patterns], seed).unwrap()
}

/// Draws the requests of a run with seed 2, each at the weight and in the epoch of its number.
fn draw(
    population: &Population,
    of_request: impl Fn(u64) -> (f64, Option<u64>),
) -> Vec<Observation> {
    let mut requests = Requests::new(population, 2);
    let numbers = 0..20_000;
    let all = numbers.map(|number| {
        let (weight, epoch) = of_request(number);
        requests.draw(weight, epoch)
    });
    all.collect()
}

/// Returns the arms of each user in the order of its requests.
fn arms_by_user(observations: &[Observation]) -> Vec<Vec<bool>> {
    let mut sorted: Vec<_> = observations.iter().collect();
    sorted.sort_by_key(|observation| observation.fingerprint);
    let users = sorted.chunk_by(|a, b| a.fingerprint == b.fingerprint);
    let arms = users.map(|user| {
        user.iter()
            .map(|observation| observation.is_candidate)
            .collect()
    });
    arms.collect()
}

fn n_moves(observations: &[Observation], from: bool) -> usize {
    let users = arms_by_user(observations);
    let pairs = users.iter().flat_map(|arms| arms.windows(2));
    pairs
        .filter(|pair| pair[0] == from && pair[1] != from)
        .count()
}

#[test]
fn users_stay_in_their_arm_and_move_only_towards_a_candidate_that_grows() {
    let population = population(500, 1.0, ALWAYS);
    let constant = draw(&population, |_| (0.3, Some(0)));
    assert_eq!(
        (n_moves(&constant, false), n_moves(&constant, true)),
        (0, 0)
    );
    let growing = draw(&population, |number| (number as f64 / 20_000.0, Some(0)));
    assert_eq!(n_moves(&growing, true), 0);
    assert!(n_moves(&growing, false) > 100);
}

#[test]
fn a_new_epoch_assigns_users_anew() {
    let population = population(500, 0.0, ALWAYS);
    let observations = draw(&population, |number| (0.5, Some(number / 10_000)));
    let n_users = arms_by_user(&observations).len() as f64;
    let n_moved = n_moves(&observations, true) + n_moves(&observations, false);
    let share = n_moved as f64 / n_users;
    assert!(
        (0.4..0.6).contains(&share),
        "{share} of the users have moved"
    );
    let by_request = draw(&population, |_| (0.5, None));
    assert!(n_moves(&by_request, true) > 4000);
}

#[test]
fn the_first_user_of_a_zipf_distribution_sends_its_share() {
    let observations = draw(&population(200, 1.0, ALWAYS), |_| (0.5, None));
    let users = arms_by_user(&observations);
    let most = users.iter().map(Vec::len).max().unwrap() as f64;
    // 1 of 1 + 1/2 + ... + 1/200.
    let expected = 20_000.0 / 5.878;
    assert!((most / expected - 1.0).abs() < 0.05, "{most} of {expected}");
}

#[test]
fn events_belong_to_users_as_often_as_the_pattern_says() {
    let every_fifth = EventPattern {
        user_share: 0.1,
        every: 5,
        base_rate: 0.0,
    };
    let observations = draw(&population(100, 0.0, every_fifth), |_| (0.5, None));
    let events = observations
        .iter()
        .filter(|observation| observation.events[0]);
    let events: Vec<_> = events.cloned().collect();
    let n_users = arms_by_user(&events).len();
    assert_eq!(n_users, 10);
    let expected = 20_000.0 * 0.1 / 5.0;
    let deviation = (events.len() as f64 - expected).abs();
    assert!(
        deviation < 4.0 * expected.sqrt(),
        "{} of {expected}",
        events.len()
    );
}

#[test]
fn both_arms_may_have_different_patterns() {
    let assumptions = UserAssumptions {
        n_users: 100,
        zipf_exponent: 0.0,
    };
    let patterns = ArmPatterns {
        stable: EventPattern::default(),
        candidate: EventPattern {
            base_rate: 1.0,
            ..EventPattern::default()
        },
    };
    let population = Population::new(assumptions, &[patterns], 1).unwrap();
    let observations = draw(&population, |_| (0.3, Some(0)));
    assert!(
        observations
            .iter()
            .all(|seen| seen.events == [seen.is_candidate])
    );
}

#[test]
fn the_same_seed_gives_the_same_requests() {
    let population = population(100, 1.0, ALWAYS);
    let by_epoch = |_| (0.3, Some(0));
    assert_eq!(draw(&population, by_epoch), draw(&population, by_epoch));
}

#[test]
fn assumptions_without_users_or_with_a_broken_exponent_are_refused() {
    for (n_users, zipf_exponent) in [(0, 1.0), (10, f64::NAN)] {
        let assumptions = UserAssumptions {
            n_users,
            zipf_exponent,
        };
        assert!(Population::new(assumptions, &[], 1).is_none());
    }
}

/// Plays five minutes of a healthy rollout, in which 1 % of the users always fail; returns whether
/// the events that `counts` chooses say "worse" at 5 %.
fn is_rolled_back(run: u64, counts: impl Fn(&mut CountedUnits, u64) -> bool) -> bool {
    let population = seeded_population(500, 1.0, ALWAYS, run);
    let mut requests = Requests::new(&population, run);
    let mut counted = CountedUnits::default();
    let mut evidence = Sprt::default();
    (0..30_000).any(|number| {
        let weight = if number < 15_000 { 0.05 } else { 0.2 };
        let request = requests.draw(weight, Some(0));
        if request.events == [false] || !counts(&mut counted, request.fingerprint) {
            return false;
        }
        let candidate = u64::from(request.is_candidate);
        evidence.add(&Sprt::of_events(candidate, 1 - candidate, weight, 1.0));
        evidence.ln_e() >= 20.0_f64.ln()
    })
}

#[test]
fn first_events_of_users_do_not_roll_back_a_healthy_candidate_as_all_events_do() {
    let share = |counts: &dyn Fn(&mut CountedUnits, u64) -> bool| {
        let runs = (0..60).filter(|&run| is_rolled_back(run, counts));
        runs.count() as f64 / 60.0
    };
    let first = share(&|counted, fingerprint| counted.insert(fingerprint));
    let all = share(&|_, _| true);
    let most = 0.05 + 3.0 * (0.05_f64 * 0.95 / 60.0).sqrt();
    assert!(first <= most && all > 2.0 * most, "{first} {all}");
}
