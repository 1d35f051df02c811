use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use contract::{
    AdmissionLevel, Code, ExecutionTarget, ModelName, RolloutRate, RolloutReading, RolloutScore,
    Scheduling, SchedulingReading, Timings, Version,
};

use super::*;
use crate::metrics::{Kind, Metric};

mod rollouts;
mod sequences;

type Labels<'a> = &'a [(&'a str, &'a str)];

/// One parsed line: the name, the labels and the value.
type Sample = (String, BTreeMap<String, String>, f64);

/// The exposition by metric name: its type and its samples.
#[derive(Debug, Default)]
struct Parsed {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Parsed {
    fn value(&self, name: &str, labels: Labels<'_>) -> Option<f64> {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut found = self
            .samples
            .iter()
            .filter(|(n, l, _)| n == name && *l == labels);
        let value = found.next().map(|sample| sample.2);
        assert!(found.next().is_none(), "two samples of {name} {labels:?}");
        value
    }
}

/// A strict reader of OpenMetrics text, for what we write.
fn parse(text: &str) -> Parsed {
    let body = text.strip_suffix("# EOF\n").expect("an end mark");
    let mut parsed = Parsed::default();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let twice = parsed.types.insert(name.to_owned(), kind.to_owned());
            assert!(twice.is_none(), "{name} has two types");
            assert_eq!(current, name, "the help of {name} comes first");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            name.clone_into(&mut current);
        } else {
            let sample = parse_sample(line);
            assert!(sample.0.starts_with(&current), "{line} is not of {current}");
            parsed.samples.push(sample);
        }
    }
    parsed
}

fn parse_sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(name_end);
    assert!(
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
        "{name}"
    );
    let mut labels = BTreeMap::new();
    if let Some(after) = rest.strip_prefix('{') {
        rest = after;
        loop {
            let (key, after) = rest.split_once("=\"").unwrap();
            let (value, after) = parse_label_value(after);
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').unwrap();
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    (name.to_owned(), labels, value.parse().unwrap())
}

fn parse_label_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, text.get(at + 1..).unwrap()),
            '\\' => match chars.next().unwrap().1 {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                c => panic!("no escape: {c}"),
            },
            c => value.push(c),
        }
    }
    panic!("a label value without end: {text}")
}

fn model(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn finished<'a>(model: &'a ModelName, version: &'a Version, error: Option<Code>) -> Event<'a> {
    Event::RequestFinished {
        model,
        version,
        was_admitted: error.is_none(),
        error,
        latency: Duration::from_millis(3),
        timings: error.is_none().then(|| Timings {
            queue: Duration::from_micros(200),
            ..Timings::default()
        }),
    }
}

fn reading<'a>(rollout: &'a str, model: &'a ModelName) -> RolloutReading<'a> {
    let score = |kind, value, limit| RolloutScore {
        metric: "errors",
        kind,
        value,
        limit,
    };
    let rate = |arm, value, interval| RolloutRate {
        metric: "errors",
        arm,
        value,
        interval,
    };
    RolloutReading {
        rollout,
        model,
        state: "step",
        weights: [("stable", 0.9), ("candidate", 0.1)],
        scores: vec![
            score("worse_start", -2.5, 7.5),
            score("worse_step", f64::NEG_INFINITY, 9.25),
            score("not_worse", f64::NAN, 3.5),
        ],
        rates: vec![
            rate("stable", Some(0.005), Some((0.0025, 0.0075))),
            rate("candidate", None, None),
        ],
        mismatch: -1.5,
        n_agreeing: 90,
        n_differing: 3,
        dropped: vec![("budget", 7)],
        n_without_unit: 2,
    }
}

/// A rollout that takes one step, and goes back.
fn run_rollout(monitor: &Monitor, model: &ModelName, rollout: &str) {
    let transition = |from, to, reason| {
        monitor.observe(&Event::RolloutTransitioned {
            rollout,
            model,
            from,
            to,
            reason,
        });
    };
    transition("warmup", "step", "warmed_up");
    monitor.observe(&Event::RolloutMeasured(&reading(rollout, model)));
    transition("step", "rolled_back", "worse");
    let outcome = "delivered";
    monitor.observe(&Event::RolloutNotified { model, outcome });
    for is_reachable in [true, false] {
        monitor.observe(&Event::SharedStateChecked { is_reachable });
    }
}

/// Reports the scheduling of these versions; one that admits no request has not run yet.
fn measure(monitor: &Monitor, versions: &[(&ModelName, &Version, AdmissionLevel)]) {
    let scheduling = |admission_level| Scheduling {
        execution_target: ExecutionTarget::Pool,
        execution_target_reason: String::new(),
        curve: Vec::new(),
        efficient_rows: 1,
        batch_rows: 1,
        hold: Duration::ZERO,
        max_queue_rows: 1,
        n_queued_rows: 0,
        predicted_wait: (admission_level != AdmissionLevel::Closed)
            .then_some(Duration::from_millis(25)),
        admission_level,
    };
    let known: Vec<_> = versions
        .iter()
        .map(|&(model, version, level)| (model, version, scheduling(level)))
        .collect();
    let readings: Vec<_> = known
        .iter()
        .map(|(model, version, scheduling)| SchedulingReading {
            model,
            version,
            scheduling,
        })
        .collect();
    monitor.observe(&Event::SchedulingMeasured(&readings));
}

/// A monitor that has seen one of everything.
fn busy_monitor() -> Arc<Monitor> {
    let monitor = Monitor::with_log_counter("1.2.3", Arc::new(AtomicU64::new(7)));
    let (model, version) = (&model("digits"), &version("2"));
    monitor.observe(&Event::VersionChanged {
        model,
        version,
        state: VersionState::Ready,
        load_time: Some(Duration::from_millis(1500)),
    });
    monitor.observe(&Event::RequestAdmitted { model, version });
    monitor.observe(&Event::RequestAdmitted { model, version });
    monitor.observe(&finished(model, version, None));
    monitor.observe(&finished(model, version, Some(Code::QueueFull)));
    monitor.observe(&Event::BatchExecuted {
        model,
        version,
        n_rows: 5,
        n_requests: 2,
        compute: Duration::from_millis(2),
    });
    monitor.observe(&Event::CallFinished {
        dialect: "native",
        error: Some(Code::RouteNotFound),
        latency: Duration::from_millis(1),
    });
    run_rollout(&monitor, model, "digits-2");
    measure(&monitor, &[(model, version, AdmissionLevel::Priority(3))]);
    monitor
}

#[test]
fn events_become_the_documented_series() {
    let parsed = parse(&busy_monitor().exposition(ExpositionFormat::OpenMetrics));
    let of = |extra: &[(&'static str, &'static str)]| {
        [&[("model", "digits"), ("model_version", "2")], extra].concat()
    };
    let success = of(&[("status", "success"), ("code", "")]);
    let queue_full = of(&[("status", "error"), ("code", "queue_full")]);
    let five_ms = of(&[("le", "0.005")]);
    let eight_rows = of(&[("le", "8.0")]);
    let above = of(&[("le", "+Inf")]);
    let version = of(&[]);
    let native = [("dialect", "native")];
    let not_found = [
        ("dialect", "native"),
        ("status", "error"),
        ("code", "route_not_found"),
    ];
    let expected: [(&str, Labels<'_>, f64); 19] = [
        ("model_predictions_total", &success, 1.0),
        ("model_predictions_total", &queue_full, 1.0),
        ("model_prediction_latency_seconds_count", &version, 1.0),
        ("model_prediction_latency_seconds_sum", &version, 0.003),
        ("model_prediction_latency_seconds_bucket", &five_ms, 1.0),
        ("model_loaded", &version, 1.0),
        ("lockgate_queue_seconds_sum", &version, 0.0002),
        ("lockgate_batch_rows_bucket", &eight_rows, 1.0),
        ("lockgate_batch_rows_bucket", &above, 1.0),
        ("lockgate_batch_compute_seconds_sum", &version, 0.002),
        ("lockgate_in_flight_requests", &version, 1.0),
        ("lockgate_model_load_seconds", &version, 1.5),
        ("lockgate_predicted_wait_seconds", &version, 0.025),
        ("lockgate_admission_level", &version, 3.0),
        ("lockgate_calls_total", &not_found, 1.0),
        ("lockgate_call_latency_seconds_count", &native, 1.0),
        ("lockgate_shared_state_up", &[], 0.0),
        ("lockgate_log_lines_dropped_total", &[], 7.0),
        ("lockgate_build_info", &[("version", "1.2.3")], 1.0),
    ];
    let failed: Vec<_> = expected
        .iter()
        .filter(|(name, labels, value)| parsed.value(name, labels) != Some(*value))
        .map(|(name, labels, value)| (name, labels, value, parsed.value(name, labels)))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// The rows that the exposition of a busy monitor does not have like this.
fn wrong_rows<'a>(rows: &[(&'a str, Labels<'a>, Option<f64>)]) -> Vec<String> {
    let parsed = parse(&busy_monitor().exposition(ExpositionFormat::OpenMetrics));
    let owner = [("model", "digits"), ("rollout", "digits-2")];
    let mut wrong = Vec::new();
    for (name, labels, expected) in rows {
        let found = parsed.value(name, &[&owner, *labels].concat());
        if found != *expected {
            wrong.push(format!("{name} {labels:?}: {found:?}, not {expected:?}"));
        }
    }
    wrong
}

#[test]
fn a_rollout_shows_where_it_stands_and_how_it_came_there() {
    let moved = [("from", "step"), ("to", "rolled_back"), ("reason", "worse")];
    let rows: [(&str, Labels<'_>, _); 9] = [
        ("lockgate_rollout_state", &[("state", "step")], Some(0.0)),
        (
            "lockgate_rollout_state",
            &[("state", "rolled_back")],
            Some(1.0),
        ),
        (
            "lockgate_rollout_weight_ratio",
            &[("arm", "candidate")],
            Some(0.1),
        ),
        ("lockgate_rollout_transitions_total", &moved, Some(1.0)),
        (
            "lockgate_shadow_pairs_total",
            &[("agree", "true")],
            Some(90.0),
        ),
        (
            "lockgate_shadow_pairs_total",
            &[("agree", "false")],
            Some(3.0),
        ),
        (
            "lockgate_shadow_dropped_total",
            &[("reason", "budget")],
            Some(7.0),
        ),
        ("lockgate_srm_log_evidence", &[], Some(-1.5)),
        ("lockgate_assign_fallback_total", &[], Some(2.0)),
    ];
    assert_eq!(wrong_rows(&rows), [""; 0]);
}

#[test]
fn a_score_stands_beside_its_limit_and_what_is_no_number_is_left_out() {
    let kind = |kind| [("metric", "errors"), ("kind", kind)];
    let arm = |arm| [("metric", "errors"), ("arm", arm)];
    let side = |side| [("metric", "errors"), ("arm", "stable"), ("side", side)];
    let (evidence, limit) = (
        "lockgate_rollout_log_evidence",
        "lockgate_rollout_evidence_limit",
    );
    let (value, bound) = (
        "lockgate_rollout_metric_value",
        "lockgate_rollout_metric_bound",
    );
    let rows: [(&str, Labels<'_>, _); 9] = [
        (evidence, &kind("worse_start"), Some(-2.5)),
        (evidence, &kind("worse_step"), None),
        (evidence, &kind("not_worse"), None),
        (limit, &kind("worse_start"), Some(7.5)),
        (limit, &kind("not_worse"), Some(3.5)),
        (value, &arm("stable"), Some(0.005)),
        (value, &arm("candidate"), None),
        (bound, &side("lower"), Some(0.0025)),
        (bound, &side("upper"), Some(0.0075)),
    ];
    assert_eq!(wrong_rows(&rows), [""; 0]);
}

#[test]
fn the_oldest_rollout_that_has_ended_makes_room() {
    let monitor = Monitor::new("0");
    let model = model("m");
    monitor.observe(&Event::RolloutMeasured(&reading("running", &model)));
    for number in 0..100 {
        run_rollout(&monitor, &model, &format!("ended-{number}"));
    }
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let named: BTreeSet<_> = parsed
        .samples
        .iter()
        .filter_map(|(_, labels, _)| labels.get("rollout").map(String::as_str))
        .collect();
    assert_eq!(named.len(), 100);
    assert!(named.contains("running") && named.contains("ended-99"));
    assert!(!named.contains("ended-0"));
    let all = [("model", "m"), ("reason", "worse")];
    let rollbacks = parsed.value("lockgate_rollout_rollbacks_total", &all);
    assert_eq!(rollbacks, Some(100.0));
}

#[test]
fn runs_that_were_ended_and_instances_that_are_stuck_are_counted() {
    let monitor = Monitor::new("0");
    let (model, version) = (&ModelName::new("m").unwrap(), &Version::new("1").unwrap());
    for reason in ["deadline", "limit", "deadline"] {
        monitor.observe(&Event::RunTerminated {
            model,
            version,
            reason,
        });
    }
    for n_stuck in [1, 2, 1] {
        monitor.observe(&Event::InstancesStuck {
            model,
            version,
            n_stuck,
        });
    }
    let body = monitor.exposition(ExpositionFormat::OpenMetrics);
    let labels = "model=\"m\",model_version=\"1\"";
    for line in [
        format!("lockgate_runs_terminated_total{{{labels},reason=\"deadline\"}} 2\n"),
        format!("lockgate_runs_terminated_total{{{labels},reason=\"limit\"}} 1\n"),
        format!("lockgate_runs_terminated_total{{{labels},reason=\"shutdown\"}} 0\n"),
        format!("lockgate_stuck_instances{{{labels}}} 1.0\n"),
    ] {
        assert!(body.contains(&line), "{line} is missing in\n{body}");
    }
}

#[test]
fn the_text_format_has_the_same_samples_and_names_counters_by_their_samples() {
    let monitor = busy_monitor();
    let [text, open_metrics] = [ExpositionFormat::Text, ExpositionFormat::OpenMetrics]
        .map(|format| monitor.exposition(format));
    let samples = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        // These change between two calls.
        let stable = lines.filter(|line| !line.starts_with("process_"));
        stable.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(samples(&text), samples(&open_metrics));
    assert!(!text.contains("# EOF"));
    for metric in Metric::ALL {
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = metric.name();
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
}

#[test]
fn the_exposition_has_the_names_and_labels_of_the_enum_and_no_others() {
    let parsed = parse(&busy_monitor().exposition(ExpositionFormat::OpenMetrics));
    let mut unknown: BTreeSet<_> = parsed
        .samples
        .iter()
        .map(|(name, _, _)| name.clone())
        .collect();
    for metric in Metric::ALL {
        let (family, kind, suffixes): (_, _, &[&str]) = match metric.kind() {
            Kind::Counter => (
                metric.name().strip_suffix("_total").unwrap(),
                "counter",
                &["_total"],
            ),
            Kind::Gauge => (metric.name(), "gauge", &[""]),
            Kind::Histogram => (metric.name(), "histogram", &["_bucket", "_count", "_sum"]),
        };
        assert_eq!(
            parsed.types.get(family).map(String::as_str),
            Some(kind),
            "{family}"
        );
        let keys: BTreeSet<_> = metric.labels().iter().map(|label| label.as_str()).collect();
        for suffix in suffixes {
            let name = format!("{family}{suffix}");
            assert!(unknown.remove(&name), "{name} is missing");
            for (_, labels, _) in parsed.samples.iter().filter(|sample| sample.0 == name) {
                let seen: BTreeSet<_> = labels
                    .keys()
                    .map(String::as_str)
                    .filter(|k| *k != "le")
                    .collect();
                assert_eq!(seen, keys, "{name}");
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(parsed.types.len(), Metric::ALL.len());
}

#[test]
fn buckets_grow_to_the_count() {
    let parsed = parse(&busy_monitor().exposition(ExpositionFormat::OpenMetrics));
    let buckets: Vec<_> = parsed
        .samples
        .iter()
        .filter(|(name, _, _)| name == "lockgate_batch_rows_bucket")
        .map(|(_, labels, value)| (labels["le"].clone(), *value))
        .collect();
    assert!(
        buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
        "{buckets:?}"
    );
    assert_eq!(buckets.last().unwrap(), &("+Inf".to_owned(), 1.0));
}

#[test]
fn label_values_are_escaped() {
    let monitor = Monitor::new("a\\b\n");
    let (model, version) = (model("say-\"hi\""), version("1"));
    monitor.observe(&finished(&model, &version, None));
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let labels = [
        ("model", "say-\"hi\""),
        ("model_version", "1"),
        ("status", "success"),
        ("code", ""),
    ];
    assert_eq!(parsed.value("model_predictions_total", &labels), Some(1.0));
    assert_eq!(
        parsed.value("lockgate_build_info", &[("version", "a\\b\n")]),
        Some(1.0)
    );
}

#[test]
fn a_removed_version_leaves_no_series() {
    let monitor = busy_monitor();
    let (model, gone, kept) = (model("digits"), version("2"), version("3"));
    monitor.observe(&finished(&model, &kept, None));
    monitor.observe(&Event::VersionRemoved {
        model: &model,
        version: &gone,
    });
    measure(&monitor, &[]);
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let versions: BTreeSet<_> = parsed
        .samples
        .iter()
        .filter_map(|(_, labels, _)| labels.get("model_version").cloned())
        .collect();
    assert_eq!(versions, BTreeSet::from(["3".to_owned()]));
}

#[test]
fn a_version_that_unloads_is_not_loaded() {
    let monitor = busy_monitor();
    let (model, version) = (model("digits"), version("2"));
    monitor.observe(&Event::VersionChanged {
        model: &model,
        version: &version,
        state: VersionState::Unloading,
        load_time: None,
    });
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let labels = [("model", "digits"), ("model_version", "2")];
    assert_eq!(parsed.value("model_loaded", &labels), Some(0.0));
    assert_eq!(
        parsed.value("lockgate_model_load_seconds", &labels),
        Some(1.5)
    );
}

#[test]
fn a_version_that_is_measured_no_more_has_no_wait_and_no_level() {
    let monitor = busy_monitor();
    let (model, version) = (model("digits"), version("3"));
    measure(&monitor, &[(&model, &version, AdmissionLevel::Closed)]);
    let body = monitor.exposition(ExpositionFormat::OpenMetrics);
    let metrics = ["lockgate_predicted_wait", "lockgate_admission"];
    let is_sample = |line: &&str| metrics.iter().any(|metric| line.starts_with(metric));
    let lines: Vec<_> = body.lines().filter(is_sample).collect();
    let expected = r#"lockgate_admission_level{model="digits",model_version="3"} -1.0"#;
    assert_eq!(lines, [expected]);
}

#[test]
fn a_burst_from_many_threads_loses_no_count() {
    const THREADS: usize = 8;
    const EVENTS: usize = 5_000;
    let monitor = Monitor::new("0");
    let model = model("m");
    let versions: Vec<_> = (1..=4).map(|n| version(&n.to_string())).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..EVENTS {
                    let version = &versions[n % versions.len()];
                    monitor.observe(&Event::RequestAdmitted {
                        model: &model,
                        version,
                    });
                    monitor.observe(&finished(&model, version, None));
                }
            });
        }
    });
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let total = |name: &str| -> f64 {
        parsed
            .samples
            .iter()
            .filter(|sample| sample.0 == name)
            .map(|sample| sample.2)
            .sum()
    };
    let expected = (THREADS * EVENTS) as f64;
    assert_eq!(total("model_predictions_total"), expected);
    assert_eq!(total("model_prediction_latency_seconds_count"), expected);
    assert_eq!(total("lockgate_in_flight_requests"), 0.0);
}

#[test]
fn figures_of_the_process_are_those_of_this_process() {
    let parsed = parse(&Monitor::new("0").exposition(ExpositionFormat::OpenMetrics));
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        assert!(parsed.value(name, &[]).unwrap() > 0.0, "{name}");
    }
    assert!(parsed.value("process_cpu_seconds_total", &[]).is_some());
}
