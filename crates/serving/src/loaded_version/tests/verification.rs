//! Verification of joined requests while a version serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::testing::RecordingObserver;
use contract::{Result, Session, Tensor};
use futures_util::future::join_all;

use super::version::{info, request, settings, tensor, values};
use crate::batch::curve::Curve;
use crate::batch::policy::types::QueueLimit;
use crate::instance::executor::verification::Verification;
use crate::loaded_version::{Execution, LoadedVersion, SchedulingSettings};

/// Callers that send at the same time.
const N_CALLERS: u16 = 32;

/// Rounds of all callers, far more than a sample needs.
const MAX_ROUNDS: usize = 20_000;

/// Divides by the largest number of the batch, or adds a number of its own.
#[derive(Debug)]
enum Model {
    Independent,
    Peak,
    Random(AtomicUsize),
}

impl Session for Model {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let input = inputs[0].as_ref().unwrap();
        let values = values(input);
        let peak = values.iter().copied().fold(1.0, f32::max);
        let change = |value| match self {
            Self::Independent => value + 1.0,
            Self::Peak => value / peak,
            Self::Random(n_runs) => value * (1 + n_runs.fetch_add(1, Ordering::Relaxed) % 7) as f32,
        };
        let output = tensor(
            input.shape().dims(),
            values.into_iter().map(change).collect(),
        );
        Ok(outputs.iter().map(|_| output.clone()).collect())
    }
}

fn start(
    model: Model,
    settings: SchedulingSettings,
) -> (Arc<LoadedVersion>, Arc<RecordingObserver>) {
    let observer = Arc::new(RecordingObserver::default());
    let observe = Arc::<RecordingObserver>::clone(&observer);
    let sessions: Vec<Box<dyn Session>> = vec![Box::new(model)];
    let info = Arc::new(info());
    let loaded_version =
        LoadedVersion::start(info, sessions, settings, Curve::default(), observe).unwrap();
    (loaded_version, observer)
}

fn verifying(verification: Verification, execution: Execution) -> SchedulingSettings {
    let mut settings = settings();
    settings.batch.verification = verification;
    settings.batch.max_delay = None;
    settings.queue = QueueLimit::Fixed(10_000);
    settings.execution = execution;
    settings
}

/// Lets all callers send once, and returns their answers.
async fn round(loaded_version: &Arc<LoadedVersion>) -> Vec<f32> {
    let callers = (1..=N_CALLERS).map(|number| {
        let loaded_version = Arc::clone(loaded_version);
        tokio::spawn(async move { loaded_version.infer(request(&[f32::from(number)])).await })
    });
    let answer = |answer: std::result::Result<Result<contract::InferResponse>, _>| {
        values(&answer.unwrap().unwrap().outputs[0].tensor)[0]
    };
    join_all(callers).await.into_iter().map(answer).collect()
}

/// Sends rounds until a sample was verified. Returns whether it agreed.
async fn first_finding(loaded_version: &Arc<LoadedVersion>, observer: &RecordingObserver) -> bool {
    for _ in 0..MAX_ROUNDS {
        round(loaded_version).await;
        let events = observer.events();
        let mut found = events
            .iter()
            .filter(|event| event.starts_with("BatchVerified"));
        if let Some(event) = found.next() {
            return event.contains("agrees: true");
        }
    }
    panic!("no sample was verified in {MAX_ROUNDS} rounds");
}

#[tokio::test]
async fn a_difference_ends_batching_that_was_guessed() {
    for execution in [Execution::Pool, Execution::Inline] {
        let settings = verifying(Verification::OfGuess, execution);
        let (loaded_version, observer) = start(Model::Peak, settings);
        assert!(!first_finding(&loaded_version, &observer).await);
        // The event comes before the change.
        while loaded_version.info().is_batching {
            round(&loaded_version).await;
        }
        let info = loaded_version.info();
        assert_eq!((info.max_request_rows, info.max_batch_rows), (None, None));
        let reason = &info.batching_reason;
        assert!(
            reason.contains("in output `same`, element 0 of row 0 is"),
            "{reason}"
        );
        assert!(reason.contains("`batching.enabled: true`"), "{reason}");
        assert_eq!(
            round(&loaded_version).await,
            vec![1.0; usize::from(N_CALLERS)]
        );
    }
}

#[tokio::test]
async fn a_difference_leaves_batching_that_was_asked_for() {
    let settings = verifying(Verification::OfRequest, Execution::Pool);
    let (loaded_version, observer) = start(Model::Peak, settings);
    assert!(!first_finding(&loaded_version, &observer).await);
    round(&loaded_version).await;
    assert!(loaded_version.info().is_batching);
}

#[tokio::test]
async fn equal_answers_are_counted_and_change_nothing() {
    let settings = verifying(Verification::OfGuess, Execution::Pool);
    let (loaded_version, observer) = start(Model::Independent, settings);
    assert!(first_finding(&loaded_version, &observer).await);
    assert!(loaded_version.info().is_batching);
}

#[tokio::test]
async fn a_random_model_is_not_judged() {
    let settings = verifying(Verification::OfGuess, Execution::Pool);
    let (loaded_version, observer) = start(Model::Random(AtomicUsize::new(0)), settings);
    for _ in 0..500 {
        round(&loaded_version).await;
    }
    assert!(loaded_version.info().is_batching);
    let events = observer.events();
    assert!(!events.iter().any(|event| event.contains("agrees: false")));
}

#[tokio::test]
async fn outputs_that_lose_their_rows_end_batching_that_was_guessed() {
    #[derive(Debug)]
    struct Filter;
    impl Session for Filter {
        fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
            let mut kept = values(inputs[0].as_ref().unwrap());
            kept.truncate(1);
            let output = tensor(&[1, 1], kept);
            Ok(outputs.iter().map(|_| output.clone()).collect())
        }
    }
    let settings = verifying(Verification::OfGuess, Execution::Pool);
    let observer = Arc::new(RecordingObserver::default());
    let sessions: Vec<Box<dyn Session>> = vec![Box::new(Filter)];
    let info = Arc::new(info());
    let loaded_version =
        LoadedVersion::start(info, sessions, settings, Curve::default(), observer).unwrap();
    let expected: Vec<_> = (1..=N_CALLERS).map(f32::from).collect();
    while loaded_version.info().is_batching {
        assert_eq!(round(&loaded_version).await, expected);
    }
    assert_eq!(round(&loaded_version).await, expected);
}
