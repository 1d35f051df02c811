//! Vectors of replicas become totals, also when some are lost, repeated or out of order.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use stats::arm_totals::ArmTotals;
use stats::histogram::AtomicHistogram;
use stats::means::difference::Moments;

use super::*;
use crate::config::RolloutConfig;
use crate::driver::Observations;
use crate::driver::blocks::blocks;
use crate::driver::epoch_units::EpochUnits;
use crate::evidence::Evidence;
use crate::timestamp::Timestamp;

const METRICS: &str = "metrics: [{name: errors, event: error, not_worse_than: {ratio: 2.0, abs: 0.01}}, \
                       {name: slow, event: latency_over, at: stable_p90, span: infer, \
                       not_worse_than: {ratio: 2.0, abs: 0.05}}, \
                       {name: classes, event: output_bin, tolerance_js: 0.1}, \
                       {name: reward, event: feedback}]";

fn config() -> RolloutConfig {
    let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2, {METRICS}}}");
    RolloutConfig::parse(&text).unwrap()
}

/// A request of one arm: its time in milliseconds, whether it failed, and its reward.
#[derive(Clone, Debug)]
struct Request {
    is_candidate: bool,
    millis: u64,
    is_error: bool,
    reward: f64,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (any::<bool>(), 1_u64..200, 0_u8..10, 0_u8..5);
    let request = request.prop_map(|(is_candidate, millis, luck, stars)| Request {
        is_candidate,
        millis,
        is_error: luck == 0,
        reward: f64::from(stars),
    });
    prop::collection::vec(request, 0..60)
}

/// One server that counts: the totals of stable and of the candidate.
#[derive(Default)]
struct Counting([ArmTotals; 2]);

impl Counting {
    fn count(&mut self, request: &Request) {
        let time = |millis| {
            let histogram = AtomicHistogram::default();
            histogram.add(Duration::from_millis(millis));
            histogram.read()
        };
        let [total, queue, infer] = [request.millis, 0, request.millis].map(time);
        let mut outputs = vec![0; 3];
        outputs[usize::try_from(request.millis % 3).unwrap()] = 1;
        let failed = ArmTotals {
            n_errors: 1,
            ..ArmTotals::default()
        };
        let answered = ArmTotals {
            n_answered: 1,
            latencies: [total, queue, infer],
            ..ArmTotals::default()
        };
        let one = match request.is_error {
            true => failed,
            false => answered,
        };
        self.0[usize::from(request.is_candidate)].add(&ArmTotals {
            outputs,
            rewards: Moments {
                n: 1,
                sum: request.reward,
                sum_squares: request.reward * request.reward,
            },
            ..one
        });
    }

    fn totals(&self) -> Arms<ArmTotals> {
        let [stable, candidate] = self.0.clone();
        Arms { stable, candidate }
    }

    fn counters(&self) -> ReplicaCounters {
        ReplicaCounters::new(1, 0, &self.totals())
    }
}

fn counters(n: usize, generation: u64, error_run: u64) -> ReplicaCounters {
    let mut counting = Counting::default();
    for millis in 0..n {
        counting.count(&Request {
            is_candidate: true,
            millis: u64::try_from(millis).unwrap(),
            is_error: false,
            reward: 1.0,
        });
    }
    ReplicaCounters::new(generation, error_run, &counting.totals())
}

/// Evidence since the start, block by block.
fn evidence(samples: &[Arms<ArmTotals>]) -> Evidence {
    let config = config();
    let mut evidence = Evidence::new(&config);
    let thresholds = BTreeMap::from([("slow".to_owned(), Duration::from_millis(114))]);
    let mut last = Arms::<ArmTotals>::default();
    for totals in samples {
        let requests = Arms {
            stable: totals.stable.since(&last.stable),
            candidate: totals.candidate.since(&last.candidate),
        };
        last = totals.clone();
        let observations = Observations {
            weight: 0.5,
            requests,
            ..Observations::default()
        };
        let mut units = EpochUnits::default();
        for block in blocks(&config, &thresholds, &mut units, vec![observations]) {
            evidence.add(&config, &block, Timestamp(0));
        }
    }
    evidence
}

/// Every score of a report.
fn scores(evidence: &Evidence) -> Vec<f64> {
    let report = evidence.report(&config());
    let metrics = report.metrics.iter();
    metrics
        .flat_map(|metric| {
            let not_worse = metric.ln_not_worse.unwrap_or_default();
            [metric.ln_worse_start, metric.ln_worse_step, not_worse]
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn three_replicas_give_the_evidence_of_one_server_that_saw_everything(
        blocks in prop::collection::vec(prop::array::uniform3(requests()), 1..12),
    ) {
        let (mut one, mut three) = (Counting::default(), <[Counting; 3]>::default());
        let mut replicas = Replicas::default();
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for block in &blocks {
            for (replica, requests) in block.iter().enumerate() {
                for request in requests {
                    one.count(request);
                    three[replica].count(request);
                }
            }
            alone.push(one.totals());
            for (name, replica) in ["a", "b"].iter().zip(&three) {
                let text = replica.counters().document().unwrap();
                replicas.update(name, ReplicaCounters::read(text.as_str()).unwrap()).unwrap();
            }
            // The third is the leader itself.
            let mut totals = three[2].totals();
            let more = replicas.totals();
            totals.stable.add(&more.stable);
            totals.candidate.add(&more.candidate);
            together.push(totals);
        }
        for (alone, together) in alone.iter().zip(&together) {
            prop_assert_eq!(&alone.stable, &together.stable);
            prop_assert_eq!(&alone.candidate, &together.candidate);
        }
        let (alone, together) = (evidence(&alone), evidence(&together));
        for (a, b) in scores(&alone).into_iter().zip(scores(&together)) {
            prop_assert!((a - b).abs() < 1e-9, "{} {}", a, b);
        }
        prop_assert_eq!(alone.verdict(&config()), together.verdict(&config()));
    }

    #[test]
    fn the_order_of_replicas_and_repeats_change_nothing(
        sizes in prop::collection::vec(0_usize..40, 1..6),
        order in prop::collection::vec(0_usize..6, 0..20),
    ) {
        let named = |index: usize| (format!("replica-{index}"), counters(sizes[index], 1, 0));
        let mut straight = Replicas::default();
        for index in 0..sizes.len() {
            let (name, counters) = named(index);
            straight.update(&name, counters).unwrap();
        }
        let mut shuffled = Replicas::default();
        let rest = (0..sizes.len()).rev();
        for index in order.into_iter().filter(|index| *index < sizes.len()).chain(rest) {
            let (name, counters) = named(index);
            shuffled.update(&name, counters).unwrap();
        }
        prop_assert_eq!(&straight, &shuffled);
        prop_assert_eq!(straight.totals().candidate, shuffled.totals().candidate);
    }

    #[test]
    fn counters_survive_a_round_trip_and_older_ones_are_refused(
        earlier in 0_usize..50, more in 1_usize..50,
    ) {
        let (older, newer) = (counters(earlier, 1, 9), counters(earlier + more, 2, 0));
        let text = newer.document().unwrap();
        prop_assert_eq!(&ReplicaCounters::read(text.as_str()).unwrap(), &newer);
        let mut replicas = Replicas::default();
        replicas.update("a", older.clone()).unwrap();
        replicas.update("a", newer).unwrap();
        let before = replicas.clone();
        let refused = replicas.update("a", older).unwrap_err();
        prop_assert!(refused.message().contains("never decrease"), "{}", refused);
        prop_assert_eq!(replicas, before);
    }

    #[test]
    fn no_text_breaks_the_reader(text in ".{0,80}") {
        drop(ReplicaCounters::read(&text));
    }
}

const SAMPLE: &str = r#"{"format":1,"generation":4,"error_run":2,"stable":{"errors":1,"nan_outputs":0,"total":{"26":3,"27":1},"queue":{"0":4},"infer":{"25":4},"outputs":[1,3],"rewards":{"n":2,"sum":1.0,"sum_squares":1.0}},"candidate":{"errors":0,"nan_outputs":0,"total":{},"queue":{},"infer":{},"outputs":[],"rewards":{"n":0,"sum":0.0,"sum_squares":0.0}}}"#;

#[test]
fn the_first_format_is_read_and_written_as_it_was() {
    let counters = ReplicaCounters::read(SAMPLE).unwrap();
    let totals = counters.totals();
    assert_eq!((totals.stable.n_answered, totals.stable.n_errors), (4, 1));
    assert_eq!(totals.stable.outputs, [1, 3]);
    assert_eq!(counters.document().unwrap().as_str(), SAMPLE);
}

/// Replacements in the sample, each with the expected message.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "\"format\":1",
        "\"format\":2",
        "`format`: expected 1, got 2",
    ),
    (
        "\"errors\":1",
        "\"errors\":-1",
        "`stable.errors`: invalid value",
    ),
    (
        "\"errors\":1",
        "\"errors\":1.5",
        "`stable.errors`: invalid type",
    ),
    ("\"errors\":1", "\"errors\":NaN", "`stable.errors`: "),
    (
        "\"errors\":1",
        "\"errors\":9007199254740993",
        "`stable.errors`: expected at most 9007199254740992",
    ),
    (
        "\"27\":1",
        "\"160\":1",
        "`stable.total`: the number of a bucket",
    ),
    ("\"27\":1", "\"300\":1", "`stable.total"),
    ("\"27\":1", "\"x\":1", "`stable.total"),
    (
        "[1,3]",
        "[1,3,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]",
        "`stable.outputs`: expected at most 32 bins, got 33",
    ),
    (
        "\"sum\":1.0",
        "\"sum\":9.0",
        "`stable.rewards`: no 2 numbers have the sum 9",
    ),
    (
        "\"sum\":1.0",
        "\"sum\":1e999",
        "`stable.rewards.sum`: number out of range",
    ),
    (
        "\"sum_squares\":0.0",
        "\"sum_squares\":1.0",
        "`candidate.rewards`: no 0 numbers",
    ),
    (
        "\"queue\":{\"0\":4},",
        "",
        "`stable`: missing field `queue`",
    ),
    (
        "\"generation\"",
        "\"mood\":1,\"generation\"",
        "unknown field `mood`",
    ),
];

#[test]
fn impossible_counters_are_refused_with_their_path() {
    let wrong: Vec<_> = MISTAKES
        .iter()
        .map(|(from, to, expected)| {
            let error = ReplicaCounters::read(&SAMPLE.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.code(), contract::Code::InvalidRequest);
            (error.message().to_owned(), expected)
        })
        .filter(|(message, expected)| !message.contains(**expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let long = format!("{SAMPLE}{}", " ".repeat(64 * 1024));
    assert!(
        ReplicaCounters::read(&long)
            .unwrap_err()
            .message()
            .contains("at most 65536 bytes")
    );
    assert!(
        ReplicaCounters::read(&format!("{SAMPLE}1")).is_err(),
        "it goes on"
    );
}

#[test]
fn a_count_that_decreases_is_refused_with_its_path() {
    let known = ReplicaCounters::read(SAMPLE).unwrap();
    let rows = [
        (
            "\"errors\":1",
            "\"errors\":0",
            Some("`stable.errors`: it was 1 and is now 0"),
        ),
        (
            "\"26\":3",
            "\"26\":2",
            Some("`stable.total.26`: it was 3 and is now 2"),
        ),
        (
            "\"27\":1",
            "\"28\":1",
            Some("`stable.total.27`: it was 1 and is now 0"),
        ),
        (
            "[1,3]",
            "[1]",
            Some("`stable.outputs[1]`: it was 3 and is now 0"),
        ),
        (
            "\"generation\":4",
            "\"generation\":3",
            Some("`generation`: it was 4"),
        ),
        (
            "\"sum\":1.0,\"sum_squares\":1.0",
            "\"sum\":0.5,\"sum_squares\":0.5",
            Some("`stable.rewards.sum_squares`: it was 1 and is now 0.5"),
        ),
        ("\"error_run\":2", "\"error_run\":0", None),
        ("\"26\":3", "\"26\":4", None),
    ];
    for (from, to, expected) in rows {
        let next = ReplicaCounters::read(&SAMPLE.replacen(from, to, 1)).unwrap();
        let refused = next.check_not_decreased(&known).err();
        let message = refused.map(|error| error.message().to_owned());
        match expected {
            None => assert_eq!(message, None, "{to}"),
            Some(expected) => assert!(message.as_ref().unwrap().contains(expected), "{message:?}"),
        }
    }
}

#[test]
fn a_run_of_errors_counts_in_its_generation_alone() {
    let mut replicas = Replicas::default();
    replicas.update("a", counters(1, 3, 7)).unwrap();
    replicas.update("b", counters(1, 2, 9)).unwrap();
    let runs = [1, 2, 3].map(|generation| replicas.error_run(generation));
    assert_eq!(runs, [0, 9, 7]);
}

#[test]
fn the_number_and_the_names_of_replicas_are_limited() {
    let mut replicas = Replicas::default();
    for index in 0..MAX_REPLICAS {
        assert_eq!(
            replicas
                .update(&format!("r{index}"), counters(1, 1, 0))
                .unwrap(),
            index + 1
        );
    }
    let refused = replicas.update("one-more", counters(1, 1, 0)).unwrap_err();
    assert_eq!(refused.code(), contract::Code::Conflict);
    replicas.update("r0", counters(2, 1, 0)).unwrap();
    for name in ["", "a b", "a/b", "\u{e9}", &"x".repeat(65)] {
        let refused = replicas.update(name, counters(1, 1, 0)).unwrap_err();
        assert!(refused.message().starts_with("`replica`"), "{refused}");
    }
}
