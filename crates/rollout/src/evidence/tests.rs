//! Verdicts from counts, and the report about them.

use stats::means::difference::Moments;
use stats::output_bins::Bin;
use stats::{ArmCounts, Counts};

use super::*;
use crate::timestamp::Timestamp;

const BOTH: &str = "{name: errors, event: error, not_worse_than: {ratio: 2.0, abs: 0.005}}";

const RATIO: &str = "{name: errors, event: error, not_worse_than: {ratio: 2.0}}";
const DIFFERENCE: &str = "{name: errors, event: error, not_worse_than: {abs: 0.005}}";
const SHADOW: &str = "{name: differs, event: shadow_differs, max_rate: 0.02}";
const TOLERANT: &str = "{name: errors, event: error, worse_than: 20, not_worse_than: {abs: 0.05}}";

fn config(metrics: &str) -> RolloutConfig {
    RolloutConfig::parse(&format!(
        "rollout: {{id: a, model: m, stable: 1, candidate: 2, shadow: {{}}, metrics: [{metrics}]}}"
    ))
    .unwrap()
}

fn arms(stable: (u64, u64), candidate: (u64, u64)) -> MetricBlock {
    let counts = |(events, n)| Counts { n, events };
    MetricBlock::of_arms(ArmCounts {
        stable: counts(stable),
        candidate: counts(candidate),
    })
}

/// Returns a block at the weight that the counts of its first metric have.
fn block(metrics: &[MetricBlock]) -> Block {
    let mut weights = metrics.iter().filter_map(|metric| match metric {
        MetricBlock::Share { trials, .. } => Some(trials.candidate_share()),
        MetricBlock::Bins(bins) => {
            let sum = |count: fn(&Bin) -> u64| bins.iter().map(count).sum::<u64>() as f64;
            let candidate = sum(|bin| bin.candidate);
            Some(candidate / (candidate + sum(|bin| bin.stable)))
        }
        MetricBlock::Nothing | MetricBlock::Differing(_) | MetricBlock::Rewards { .. } => None,
    });
    Block {
        weight: weights.next().unwrap_or_default(),
        metrics: metrics.to_vec(),
        ..Block::default()
    }
}

fn add(evidence: &mut Evidence, config: &RolloutConfig, metrics: &[MetricBlock]) {
    evidence.add(config, &block(metrics), Timestamp(0));
}

fn evidence(config: &RolloutConfig, metrics: &[MetricBlock]) -> Evidence {
    let mut evidence = Evidence::new(config);
    add(&mut evidence, config, metrics);
    evidence
}

#[test]
fn the_report_has_the_numbers_of_the_reference() {
    let config = config(BOTH);
    let mut evidence = Evidence::new(&config);
    let counts = Block {
        units: Arms {
            stable: 9000,
            candidate: 1000,
        },
        ..block(&[arms((45, 9000), (2, 1000))])
    };
    evidence.add(&config, &counts, Timestamp(0));
    insta::assert_json_snapshot!(rounded(
        serde_json::to_value(evidence.report(&config)).unwrap()
    ));
    let missing = missing(&evidence.report(&config), None);
    assert_eq!(
        missing,
        ["errors: needs about 61 more requests to the candidate"]
    );
}

/// Numbers with five digits behind the point, as a reader would quote them.
fn rounded(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap();
            Value::from((number * 1e5).round() / 1e5)
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, rounded(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Metric, block and the verdict that follows.
type Row = (&'static str, &'static str, MetricBlock, Verdict);

fn share_rows() -> Vec<Row> {
    let (unknown, not_worse, worse) = (Verdict::Unknown, Verdict::NotWorse, Verdict::Worse);
    vec![
        (
            "a broken candidate",
            BOTH,
            arms((5, 1000), (50, 1000)),
            worse,
        ),
        (
            "a broken stable",
            BOTH,
            arms((300, 1000), (3, 1000)),
            not_worse,
        ),
        ("few requests", BOTH, arms((1, 100), (0, 20)), unknown),
        ("flawless", BOTH, arms((0, 90_000), (0, 10_000)), not_worse),
        (
            "flawless, ratio",
            RATIO,
            arms((0, 90_000), (0, 10_000)),
            unknown,
        ),
        (
            "equal, ratio",
            RATIO,
            arms((450, 90_000), (50, 10_000)),
            not_worse,
        ),
        (
            "equal, difference",
            DIFFERENCE,
            arms((450, 90_000), (50, 10_000)),
            not_worse,
        ),
        (
            "only a candidate",
            BOTH,
            arms((0, 0), (0, 10_000)),
            not_worse,
        ),
        (
            "only a bad candidate",
            BOTH,
            arms((0, 0), (100, 10_000)),
            unknown,
        ),
        ("only stable", BOTH, arms((0, 10_000), (0, 0)), unknown),
        (
            "within what is allowed",
            TOLERANT,
            arms((5, 1000), (20, 1000)),
            not_worse,
        ),
        (
            "slow 7 of 7 and 0 of 3",
            BOTH,
            arms((0, 3), (7, 7)),
            unknown,
        ),
    ]
}

fn shadow_rows() -> Vec<Row> {
    let differing = |events, n| MetricBlock::Differing(Counts { n, events });
    vec![
        ("nothing", BOTH, MetricBlock::Nothing, Verdict::Unknown),
        ("pairs agree", SHADOW, differing(2, 500), Verdict::NotWorse),
        ("pairs are few", SHADOW, differing(5, 500), Verdict::Unknown),
        (
            "pairs differ a little",
            SHADOW,
            differing(20, 500),
            Verdict::Unknown,
        ),
        ("pairs differ", SHADOW, differing(30, 500), Verdict::Worse),
        (
            "a block of another kind",
            BOTH,
            differing(30, 500),
            Verdict::Unknown,
        ),
    ]
}

#[test]
fn verdicts_follow_from_counts() {
    let rows = share_rows().into_iter().chain(shadow_rows());
    let failing: Vec<_> = rows
        .filter_map(|(name, metric, block, expected)| {
            let config = config(metric);
            let verdict = evidence(&config, &[block]).verdict(&config);
            (verdict != expected).then(|| format!("{name}: {verdict:?}, expected {expected:?}"))
        })
        .collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

#[test]
fn pairs_tell_worse_but_not_how_often() {
    let config = config(BOTH);
    let pairs = |candidate_alone| MetricBlock::Share {
        trials: ArmCounts::default(),
        events: Arms::default(),
        pairs: Pairs {
            n: 10_000,
            stable_alone: 0,
            candidate_alone,
        },
    };
    assert_eq!(
        evidence(&config, &[pairs(60)]).verdict(&config),
        Verdict::Worse
    );
    assert_eq!(
        evidence(&config, &[pairs(0)]).verdict(&config),
        Verdict::Unknown
    );
}

#[test]
fn every_blocking_metric_has_its_share_of_alpha() {
    let second =
        "{name: slow, event: latency_over, at: stable_p99, not_worse_than: {abs: 0.01}, weight: 3}";
    let config = config(&format!("{BOTH}, {second}"));
    let bad = evidence(
        &config,
        &[arms((5, 1000), (60, 1000)), arms((10, 1000), (10, 1000))],
    );
    let report = bad.report(&config);
    let limits = [0, 1].map(|metric: usize| report.metrics[metric].ln_worse_start_limit);
    let whole = 2000_f64.ln();
    assert!((limits[0] - whole - 4_f64.ln()).abs() < 1e-9, "{limits:?}");
    assert!(
        (limits[1] - whole - (4_f64 / 3.0).ln()).abs() < 1e-9,
        "{limits:?}"
    );
    let metric = bad.worse(&config).map(|worse| worse.metric);
    assert_eq!(metric, Some(0));
}

#[test]
fn a_long_healthy_time_does_not_hide_a_break_in_the_step() {
    let config = config(BOTH);
    let mut evidence = Evidence::new(&config);
    add(
        &mut evidence,
        &config,
        &[arms((5000, 990_000), (50, 10_000))],
    );
    evidence.start_step(&config);
    add(&mut evidence, &config, &[arms((5, 1000), (25, 1000))]);
    let report = evidence.report(&config);
    let errors = &report.metrics[0];
    assert!(
        errors.ln_worse_start < errors.ln_worse_step - 3.0,
        "{report:?}"
    );
    add(&mut evidence, &config, &[arms((1, 200), (40, 200))]);
    let window = evidence.worse(&config).map(|worse| worse.window);
    assert_eq!(window, Some(Window::Step));
}

#[test]
fn a_metric_that_only_holds_never_rolls_back() {
    let bins = "{name: outputs, event: output_bin, tolerance_js: 0.1}";
    let slow = "{name: slow, event: latency_over, at: stable_p99, action: hold}";
    let config = config(&format!("{BOTH}, {bins}, {slow}"));
    let bin = |stable, candidate| Bin { stable, candidate };
    let differing = MetricBlock::Bins(vec![bin(240, 60), bin(380, 20), bin(280, 20)]);
    let blocks = [MetricBlock::Nothing, differing, MetricBlock::Nothing];
    // The first block only shows which bins stable uses.
    let mut found = evidence(&config, &blocks);
    assert_eq!(found.holding_metric(&config), None);
    add(&mut found, &config, &blocks);
    assert_eq!(found.holding_metric(&config), Some(1));
    assert_eq!(found.verdict(&config), Verdict::Unknown);
    found.acknowledge(&config);
    assert_eq!(found.holding_metric(&config), None);

    let small = MetricBlock::Bins(vec![bin(500_000, 44_000), bin(500_000, 56_000)]);
    let blocks = [MetricBlock::Nothing, small];
    let mut found = evidence(&config, &blocks);
    add(&mut found, &config, &blocks);
    assert!(found.metrics[1].ln_worse(Window::Start) > 20.0);
    assert_eq!(
        found.holding_metric(&config),
        None,
        "a difference within the tolerance"
    );

    let nothing = MetricBlock::Nothing;
    let found = evidence(
        &config,
        &[nothing.clone(), nothing, arms((10, 1000), (60, 1000))],
    );
    assert_eq!(found.holding_metric(&config), Some(2));
    assert_eq!(found.worse(&config), None);
}

#[test]
fn rewards_are_only_shown() {
    let reward = "{name: reward, event: feedback}";
    let config = config(&format!("{BOTH}, {reward}"));
    let moments = |n, sum| Moments {
        n,
        sum,
        sum_squares: sum,
    };
    let rewards = MetricBlock::Rewards {
        stable: moments(10_000, 5000.0),
        candidate: moments(10_000, 1000.0),
    };
    let found = evidence(&config, &[MetricBlock::Nothing, rewards]);
    assert_eq!(found.verdict(&config), Verdict::Unknown);
    let effect = found.report(&config).metrics[1].effect.unwrap();
    assert!(
        effect.lower < -0.4 && effect.upper > -0.4 && effect.upper < -0.3,
        "{effect:?}"
    );
}

#[test]
fn a_soak_compares_with_what_stable_had() {
    let config = config(BOTH);
    let before = evidence(&config, &[arms((45, 9000), (5, 1000))]);
    let tick = |candidate| [block(&[arms((0, 0), candidate)])];
    let mut healthy = Soak::new(&config, &before, Timestamp(0));
    let mut broken = healthy.clone();
    for second in 1..=1800 {
        healthy.add(
            &tick((u64::from(second % 2 == 0), 100)),
            Timestamp(second * 1000),
        );
        broken.add(
            &tick((if second > 1700 { 5 } else { 0 }, 100)),
            Timestamp(second * 1000),
        );
    }
    assert!((Soak::limit(&config) - 12.100713).abs() < 1e-6);
    assert!(!healthy.is_worse(&config), "{}", healthy.ln_d(&config));
    assert!(broken.is_worse(&config), "{}", broken.ln_d(&config));
}

#[test]
fn a_soak_without_a_rate_of_stable_watches_nothing() {
    let config = config(BOTH);
    let mut soak = Soak::new(&config, &Evidence::new(&config), Timestamp(0));
    soak.add(&[block(&[arms((0, 0), (100, 100))])], Timestamp(20_000));
    assert!(!soak.is_worse(&config));
}
