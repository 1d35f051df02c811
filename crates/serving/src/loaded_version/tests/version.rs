//! A loaded version whose engine is controlled by the test.
//!
//! Decision: no sleeps. Every run of the engine reaches the test over a channel and blocks its
//! thread until the test decides the outcome.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use contract::testing::{RecordingObserver, model_info};
use contract::{
    Code, Dimension, ElementType, Error, InferRequest, InferResponse, ModelInfo, NamedTensor,
    Observe, RequestId, Result, Session, Shape, Signature, Tensor, TensorSpec,
};
use tokio::sync::mpsc;
use tokio::task::{self, JoinHandle};

use super::super::{BatchSettings, Execution, LoadedVersion, SchedulingSettings};
use crate::batch::curve::Curve;
use crate::batch::policy::types::QueueLimit;
use crate::instance::executor::verification::Verification;

/// The outcome of a run of the engine.
#[derive(Debug)]
pub(super) enum RunOutcome {
    /// Output 0 repeats the first input, output 1 is its negative.
    Echo,
    /// These outputs, whatever was requested.
    Give(Vec<Tensor>),
    Fail(Code),
    Panic,
}

/// One run of the engine, which lasts until the test decides its outcome.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) inputs: Vec<Option<Tensor>>,
    pub(super) outputs: Vec<usize>,
    outcome: SyncSender<RunOutcome>,
}

impl Run {
    /// The values of the first input.
    pub(super) fn values(&self) -> Vec<f32> {
        values(self.inputs[0].as_ref().unwrap())
    }

    pub(super) fn end(self, outcome: RunOutcome) {
        self.outcome.send(outcome).unwrap();
    }
}

#[derive(Debug)]
struct HeldSession(mpsc::Sender<Run>);

impl Session for HeldSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let (outcome, given) = sync_channel(1);
        let run = Run {
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            outcome,
        };
        // A test that is over decides nothing any more.
        let is_over = |_| Error::new(Code::EngineLost, "the test is over");
        self.0.blocking_send(run).map_err(|_| is_over(()))?;
        match given.recv().map_err(|_| is_over(()))? {
            RunOutcome::Echo => Ok(echo(inputs[0].as_ref().unwrap(), outputs)),
            RunOutcome::Give(tensors) => Ok(tensors),
            RunOutcome::Fail(code) => {
                let error = Error::new(code, "as the test said");
                Err(error.with_diagnostic("index 7 at node `Gather`"))
            }
            RunOutcome::Panic => panic!("as the test said"),
        }
    }
}

/// Answers at once, like [`RunOutcome::Echo`].
#[derive(Debug)]
pub(super) struct EchoSession;

impl Session for EchoSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        Ok(echo(inputs[0].as_ref().unwrap(), outputs))
    }
}

fn echo(input: &Tensor, outputs: &[usize]) -> Vec<Tensor> {
    let sign = |position| if position == 0 { 1.0 } else { -1.0 };
    let output = |&position| {
        let values = values(input)
            .iter()
            .map(|value| value * sign(position))
            .collect();
        tensor(input.shape().dims(), values)
    };
    outputs.iter().map(output).collect()
}

/// A running version with an engine that the test controls.
#[derive(Debug)]
pub(super) struct TestVersion {
    pub(super) loaded_version: Arc<LoadedVersion>,
    pub(super) observer: Arc<RecordingObserver>,
    runs: mpsc::Receiver<Run>,
}

impl TestVersion {
    /// Batches of up to 8 rows on one instance, a queue of 100 rows, no time limit.
    pub(super) fn new() -> Self {
        Self::with(info(), settings(), 1)
    }

    pub(super) fn with(info: ModelInfo, settings: SchedulingSettings, n_instances: usize) -> Self {
        Self::with_curve(info, settings, n_instances, Curve::default())
    }

    /// The same, with known run times.
    pub(super) fn with_curve(
        info: ModelInfo,
        settings: SchedulingSettings,
        n_instances: usize,
        curve: Curve,
    ) -> Self {
        let (tx, runs) = mpsc::channel(n_instances);
        let observer = Arc::new(RecordingObserver::default());
        let mut sessions: Vec<Box<dyn Session>> = Vec::new();
        for _ in 0..n_instances {
            sessions.push(Box::new(HeldSession(tx.clone())));
        }
        let observe: Arc<dyn Observe> = Arc::<RecordingObserver>::clone(&observer);
        let loaded_version =
            LoadedVersion::start(Arc::new(info), sessions, settings, curve, observe).unwrap();
        Self {
            loaded_version,
            observer,
            runs,
        }
    }

    /// Sends a request and returns once it waits, runs, or has been refused.
    pub(super) async fn send(&self, request: InferRequest) -> JoinHandle<Result<InferResponse>> {
        let loaded_version = Arc::clone(&self.loaded_version);
        let caller = tokio::spawn(async move { loaded_version.infer(request).await });
        // The runtime has one thread, so the caller is polled to its first `.await` here.
        task::yield_now().await;
        caller
    }

    /// The next run of the engine, once it has started.
    pub(super) async fn run(&mut self) -> Run {
        self.runs.recv().await.expect("the instances are gone")
    }

    /// Returns whether every instance has ended.
    pub(super) async fn is_over(&mut self) -> bool {
        self.runs.recv().await.is_none()
    }

    /// Occupies an instance with a request of the value 0.
    pub(super) async fn occupy(&mut self) -> (JoinHandle<Result<InferResponse>>, Run) {
        let caller = self.send(request(&[0.0])).await;
        let run = self.run().await;
        assert_eq!(run.values(), [0.0]);
        (caller, run)
    }

    /// The names of the events so far.
    pub(super) fn events(&self) -> Vec<String> {
        let name = |event: &String| event.split([' ', '{']).next().map(str::to_owned);
        self.observer.events().iter().filter_map(name).collect()
    }
}

/// Two inputs of one column, the second optional, and two outputs.
pub(super) fn info() -> ModelInfo {
    let spec = |name: &str, is_optional| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Dynamic, Dimension::Dynamic],
        is_optional,
    };
    let signature = Signature {
        inputs: vec![spec("x", false), spec("mask", true)],
        outputs: vec![spec("same", false), spec("negative", false)],
    };
    ModelInfo {
        max_request_rows: 8.try_into().ok(),
        ..model_info("m", "1", signature)
    }
}

pub(super) fn settings() -> SchedulingSettings {
    SchedulingSettings {
        batch: BatchSettings {
            max_rows: 8,
            max_delay: Some(Duration::ZERO),
            verification: Verification::Off,
        },
        queue: QueueLimit::Fixed(100),
        default_timeout: None,
        exposes_engine_errors: false,
        run_timeout: Duration::from_secs(3600),
        execution: Execution::Pool,
    }
}

pub(super) fn tensor(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::from_values(Shape::new(shape), values).unwrap()
}

pub(super) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec().unwrap()
}

pub(super) fn named(name: &str, tensor: Tensor) -> NamedTensor {
    let name = name.to_owned();
    NamedTensor { name, tensor }
}

/// A request with one row for each value.
pub(super) fn request(values: &[f32]) -> InferRequest {
    let x = tensor(&[values.len(), 1], values.to_vec());
    InferRequest::new(RequestId::new("r"), vec![named("x", x)])
}

/// Returns the answer of a caller, as the names and values of its outputs.
pub(super) async fn answer(caller: JoinHandle<Result<InferResponse>>) -> Vec<(String, Vec<f32>)> {
    let response = caller.await.unwrap().unwrap();
    let outputs = response.outputs.into_iter();
    outputs
        .map(|output| (output.name, values(&output.tensor)))
        .collect()
}

/// Output `same` of a caller that asked for everything.
pub(super) async fn echoed(caller: JoinHandle<Result<InferResponse>>) -> Vec<f32> {
    answer(caller).await.swap_remove(0).1
}

/// Returns the error of a caller.
pub(super) async fn failure(caller: JoinHandle<Result<InferResponse>>) -> Error {
    caller.await.unwrap().unwrap_err()
}
