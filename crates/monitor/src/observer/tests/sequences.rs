//! Any sequence of events: what is counted is what happened, and no counter ever shrinks.

use proptest::prelude::*;

use super::*;

const VERSIONS: usize = 3;
const DIALECTS: [&str; 2] = ["native", "grpc"];

/// An event of one of few versions, dialects and rollouts, as plain data.
#[derive(Clone, Debug)]
enum Operation {
    Changed(usize, VersionState),
    Admitted(usize),
    Finished(usize, Option<Code>, u32),
    Batch(usize, u16, u32),
    Call(usize, Option<Code>, u32),
    Moved(usize),
    Measured(usize, u8, u8),
}

fn code() -> impl Strategy<Value = Option<Code>> {
    prop_oneof![
        Just(None),
        proptest::sample::select(Code::ALL.as_slice()).prop_map(Some)
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let state = proptest::sample::select(vec![
        VersionState::Loading,
        VersionState::Ready,
        VersionState::Unloading,
        VersionState::Unavailable,
    ]);
    let at = 0..VERSIONS;
    prop_oneof![
        (at.clone(), state).prop_map(|(at, state)| Operation::Changed(at, state)),
        at.clone().prop_map(Operation::Admitted),
        (at.clone(), code(), any::<u32>())
            .prop_map(|(at, code, us)| Operation::Finished(at, code, us)),
        (at.clone(), any::<u16>(), any::<u32>())
            .prop_map(|(at, n_rows, us)| Operation::Batch(at, n_rows, us)),
        (0..DIALECTS.len(), code(), any::<u32>())
            .prop_map(|(at, code, us)| Operation::Call(at, code, us)),
        at.clone().prop_map(Operation::Moved),
        (at, any::<u8>(), any::<u8>())
            .prop_map(|(at, agree, differ)| Operation::Measured(at, agree, differ)),
    ]
}

/// A monitor, and what it should have counted.
struct ReferenceModel {
    monitor: Arc<Monitor>,
    model: ModelName,
    /// Admitted and not finished, by version.
    in_flight: [i64; VERSIONS],
    outcomes: BTreeMap<(usize, [&'static str; 2]), u64>,
    calls: BTreeMap<(usize, [&'static str; 2]), u64>,
    n_rows: [u64; VERSIONS],
    pairs: [(u64, u64); VERSIONS],
}

impl ReferenceModel {
    fn new() -> Self {
        Self {
            monitor: Monitor::new("0"),
            model: model("m"),
            in_flight: [0; VERSIONS],
            outcomes: BTreeMap::new(),
            calls: BTreeMap::new(),
            n_rows: [0; VERSIONS],
            pairs: [(0, 0); VERSIONS],
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Changed(at, state) => self.observe(at, |model, version| {
                let load_time = Some(Duration::from_secs(1));
                Event::VersionChanged {
                    model,
                    version,
                    state,
                    load_time,
                }
            }),
            Operation::Admitted(at) => {
                self.in_flight[at] += 1;
                self.observe(at, |model, version| Event::RequestAdmitted {
                    model,
                    version,
                });
            }
            Operation::Finished(at, error, us) => self.finish(at, error, us),
            Operation::Batch(at, n_rows, us) => {
                self.n_rows[at] += u64::from(n_rows);
                self.observe(at, |model, version| Event::BatchExecuted {
                    model,
                    version,
                    n_rows: n_rows.into(),
                    n_requests: 1,
                    compute: Duration::from_micros(us.into()),
                });
            }
            Operation::Call(at, error, us) => {
                *self.calls.entry((at, status(error))).or_default() += 1;
                self.monitor.observe(&Event::CallFinished {
                    dialect: DIALECTS[at],
                    error,
                    latency: Duration::from_micros(us.into()),
                });
            }
            Operation::Moved(at) => self.monitor.observe(&Event::RolloutTransitioned {
                rollout: &format!("r{at}"),
                model: &self.model,
                from: "step",
                to: "rolled_back",
                reason: "worse",
            }),
            Operation::Measured(at, agree, differ) => self.measure(at, agree, differ),
        }
    }

    fn observe(
        &self,
        at: usize,
        event: impl for<'a> FnOnce(&'a ModelName, &'a Version) -> Event<'a>,
    ) {
        let version = version(&(at + 1).to_string());
        self.monitor.observe(&event(&self.model, &version));
    }

    /// A request ends; one that was admitted if there is any.
    fn finish(&mut self, at: usize, error: Option<Code>, us: u32) {
        let was_admitted = self.in_flight[at] > 0;
        self.in_flight[at] -= i64::from(was_admitted);
        *self.outcomes.entry((at, status(error))).or_default() += 1;
        self.observe(at, |model, version| Event::RequestFinished {
            model,
            version,
            was_admitted,
            error,
            latency: Duration::from_micros(us.into()),
            timings: None,
        });
    }

    fn measure(&mut self, at: usize, agree: u8, differ: u8) {
        let (n_agreeing, n_differing) = &mut self.pairs[at];
        *n_agreeing += u64::from(agree);
        *n_differing += u64::from(differ);
        let rollout = format!("r{at}");
        let mut sent = reading(&rollout, &self.model);
        (sent.n_agreeing, sent.n_differing) = (*n_agreeing, *n_differing);
        self.monitor.observe(&Event::RolloutMeasured(&sent));
    }

    fn parsed(&self) -> Parsed {
        parse(&self.monitor.exposition(ExpositionFormat::OpenMetrics))
    }
}

/// The values of the labels `status` and `code`.
fn status(error: Option<Code>) -> [&'static str; 2] {
    error.map_or(["success", ""], |code| ["error", code.as_str()])
}

/// Every sample that may only grow, by its name and labels.
fn growing(parsed: &Parsed) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let is_growing = |name: &str| name.starts_with("lockgate_") || name.starts_with("model_");
    let has_suffix = |name: &str| {
        let suffixes = ["_total", "_bucket", "_count", "_sum"];
        suffixes.iter().any(|suffix| name.ends_with(suffix))
    };
    let samples = parsed.samples.iter();
    samples
        .filter(|(name, ..)| is_growing(name) && has_suffix(name))
        .map(|(name, labels, value)| ((name.clone(), labels.clone()), *value))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_counted_only_grows_and_never_leaves(
        operations in proptest::collection::vec(operation(), 0..24),
    ) {
        let mut reference = ReferenceModel::new();
        let mut before = growing(&reference.parsed());
        for operation in &operations {
            reference.apply(operation);
            let now = growing(&reference.parsed());
            for (series, value) in &before {
                let after = now.get(series);
                prop_assert!(
                    after.is_some_and(|after| after >= value),
                    "{:?}: {} became {:?} by {:?}", series, value, after, operation
                );
            }
            before = now;
        }
    }

    #[test]
    fn what_is_counted_is_what_happened(
        operations in proptest::collection::vec(operation(), 0..60),
    ) {
        let mut reference = ReferenceModel::new();
        operations.iter().for_each(|operation| reference.apply(operation));
        let parsed = reference.parsed();
        for ((at, status), count) in &reference.outcomes {
            let version = (at + 1).to_string();
            let labels = [
                ("model", "m"),
                ("model_version", version.as_str()),
                ("status", status[0]),
                ("code", status[1]),
            ];
            let found = parsed.value("model_predictions_total", &labels);
            prop_assert_eq!(found, Some(*count as f64), "{:?}", labels);
        }
        for ((at, status), count) in &reference.calls {
            let labels = [
                ("dialect", DIALECTS[*at]),
                ("status", status[0]),
                ("code", status[1]),
            ];
            prop_assert_eq!(parsed.value("lockgate_calls_total", &labels), Some(*count as f64));
        }
        for at in 0..VERSIONS {
            let version = (at + 1).to_string();
            let labels = [("model", "m"), ("model_version", version.as_str())];
            if let Some(found) = parsed.value("lockgate_in_flight_requests", &labels) {
                prop_assert_eq!(found, reference.in_flight[at] as f64);
            }
            if let Some(found) = parsed.value("lockgate_batch_rows_sum", &labels) {
                prop_assert_eq!(found, reference.n_rows[at] as f64);
            }
            let rollout = format!("r{at}");
            let labels = [("model", "m"), ("rollout", rollout.as_str()), ("agree", "false")];
            if let Some(found) = parsed.value("lockgate_shadow_pairs_total", &labels) {
                prop_assert_eq!(found, reference.pairs[at].1 as f64);
            }
        }
    }

    #[test]
    fn a_histogram_ends_with_the_count_of_all_its_values(
        operations in proptest::collection::vec(operation(), 0..60),
    ) {
        let mut reference = ReferenceModel::new();
        operations.iter().for_each(|operation| reference.apply(operation));
        let parsed = reference.parsed();
        for (name, labels, value) in &parsed.samples {
            let Some(family) = name.strip_suffix("_count") else { continue };
            let mut last = labels.clone();
            last.insert("le".to_owned(), "+Inf".to_owned());
            let labels: Vec<_> = last.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let found = parsed.value(&format!("{family}_bucket"), &labels);
            prop_assert_eq!(found, Some(*value), "{}", family);
        }
    }
}
