//! Requests that run on the thread of their caller.

use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use contract::testing::RecordingObserver;
use contract::{Code, Error, ModelInfo, Result, Session, Tensor};
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::super::{Execution, LoadedVersion, SchedulingSettings};
use super::version::{EchoSession, info, named, request, settings, tensor};
use crate::batch::curve::Curve;
use crate::instance::cost::RunSize;

/// Repeats its input and records the threads it ran on; a first value of 13 fails the run, and one
/// of 14 takes two seconds.
#[derive(Debug)]
struct TracedSession {
    threads: Arc<Mutex<Vec<ThreadId>>>,
    luck: Code,
}

impl Session for TracedSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        self.threads.lock().unwrap().push(thread::current().id());
        let values: Vec<f32> = inputs[0].as_ref().unwrap().to_vec().unwrap();
        if values.first() == Some(&14.0) {
            tokio::time::advance(Duration::from_secs(2)).now_or_never();
        }
        match values.first() == Some(&13.0) {
            true => Err(Error::new(self.luck, "bad luck")),
            false => EchoSession.run(inputs, outputs),
        }
    }
}

struct Traced {
    loaded_version: Arc<LoadedVersion>,
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

impl Traced {
    fn new(execution: Execution, luck: Code) -> Self {
        Self::with(info(), execution, luck)
    }

    fn with(info: ModelInfo, execution: Execution, luck: Code) -> Self {
        let threads = Arc::default();
        let session = TracedSession {
            threads: Arc::clone(&threads),
            luck,
        };
        let settings = SchedulingSettings {
            execution,
            ..settings()
        };
        let observe = Arc::new(RecordingObserver::default());
        let sessions: Vec<Box<dyn Session>> = vec![Box::new(session)];
        Self {
            loaded_version: LoadedVersion::start(
                Arc::new(info),
                sessions,
                settings,
                Curve::default(),
                observe,
            )
            .unwrap(),
            threads,
        }
    }

    /// Makes runs of so many rows of one value known to be short.
    fn know_cost(&self, n_rows: usize) {
        let size = RunSize {
            n_rows,
            n_bytes: 4 * n_rows,
        };
        let cost = &self.loaded_version.executor.cost;
        cost.observe(size, Duration::from_micros(5));
    }

    async fn ask(&self, value: f32) -> Result<Vec<f32>, Code> {
        let response = self.loaded_version.infer(request(&[value])).await;
        let response = response.map_err(|error| error.code())?;
        Ok(response.outputs[0].tensor.to_vec().unwrap())
    }

    /// Returns whether each run happened on the thread of the test.
    fn were_here(&self) -> Vec<bool> {
        let here = thread::current().id();
        let threads = self.threads.lock().unwrap();
        threads.iter().map(|thread| *thread == here).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_known_to_be_short_happens_on_the_thread_of_its_caller() {
    let traced = Traced::new(Execution::Auto, Code::EngineFailed);
    traced.know_cost(1);
    for value in [1.0, 2.0, 3.0] {
        assert_eq!(traced.ask(value).await, Ok(vec![value]));
    }
    assert_eq!(traced.were_here(), [true, true, true]);
    assert_eq!(traced.loaded_version.counters().n_executions, 3);
    assert_eq!(traced.loaded_version.n_in_flight(), 0);
}

#[tokio::test]
async fn a_run_of_unknown_cost_happens_on_a_thread_of_the_model() {
    let traced = Traced::new(Execution::Auto, Code::EngineFailed);
    assert_eq!(traced.ask(1.0).await, Ok(vec![1.0]));
    assert_eq!(traced.were_here(), [false]);
}

#[tokio::test(start_paused = true)]
async fn a_user_can_keep_runs_off_the_thread_of_the_caller() {
    let traced = Traced::new(Execution::Pool, Code::EngineFailed);
    for value in [1.0, 2.0] {
        assert_eq!(traced.ask(value).await, Ok(vec![value]));
    }
    assert_eq!(traced.were_here(), [false, false]);
}

#[tokio::test]
async fn a_failed_run_gives_its_session_back() {
    let traced = Traced::new(Execution::Inline, Code::EngineFailed);
    assert_eq!(traced.ask(13.0).await, Err(Code::EngineFailed));
    assert_eq!(traced.ask(1.0).await, Ok(vec![1.0]));
    assert_eq!(traced.were_here(), [true, true]);
}

#[tokio::test]
async fn a_lost_session_is_not_given_back() {
    let traced = Traced::new(Execution::Inline, Code::EngineLost);
    assert_eq!(traced.ask(13.0).await, Err(Code::EngineLost));
    assert_eq!(traced.ask(1.0).await, Err(Code::EngineLost));
    assert_eq!(traced.were_here(), [true]);
}

#[tokio::test]
async fn a_stopped_version_runs_nothing_on_the_thread_of_a_caller() {
    let traced = Traced::new(Execution::Inline, Code::EngineFailed);
    traced.loaded_version.stop();
    assert_eq!(traced.ask(1.0).await, Err(Code::ModelNotReady));
    assert!(traced.were_here().is_empty());
}

/// A loaded version whose batches are known to be short, however many rows they have.
fn short_batches(luck: Code) -> Traced {
    let traced = Traced::new(Execution::Auto, luck);
    let n_rows = [1, settings().batch.max_rows];
    n_rows
        .into_iter()
        .for_each(|n_rows| traced.know_cost(n_rows));
    // A thread that is still starting looks for work without being woken.
    while traced.loaded_version.executor.pool.n_sleeping() == 0 {
        thread::yield_now();
    }
    traced
}

#[tokio::test(start_paused = true)]
async fn callers_close_behind_each_other_share_a_run_on_their_thread() {
    let traced = short_batches(Code::EngineFailed);
    let asked = join_all((0..5_u8).map(|n| traced.ask(f32::from(n))));
    let expected: Vec<_> = (0..5_u8).map(|n| Ok(vec![f32::from(n)])).collect();
    assert_eq!(asked.await, expected);
    // The first request has no other one near it yet.
    assert_eq!(traced.were_here(), [true, true]);
    assert_eq!(traced.loaded_version.n_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_the_others_their_run() {
    let traced = short_batches(Code::EngineFailed);
    assert_eq!(traced.ask(1.0).await, Ok(vec![1.0]));
    let mut gone = Box::pin(traced.ask(2.0));
    assert!((&mut gone).now_or_never().is_none());
    let stays = traced.ask(3.0);
    drop(gone);
    assert_eq!(stays.await, Ok(vec![3.0]));
    assert_eq!(traced.were_here(), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_session_lost_with_a_shared_run_answers_all_of_it() {
    let traced = short_batches(Code::EngineLost);
    let asked = [1.0, 13.0, 3.0].map(|value| traced.ask(value));
    let answers = join_all(asked).await;
    let lost = Err(Code::EngineLost);
    assert_eq!(answers, [Ok(vec![1.0]), lost.clone(), lost.clone()]);
    assert_eq!(traced.ask(4.0).await, lost);
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_what_was_measured_is_kept_off_the_thread_of_its_caller() {
    let traced = Traced::new(Execution::Auto, Code::EngineFailed);
    traced.know_cost(1);
    assert_eq!(traced.ask(1.0).await, Ok(vec![1.0]));
    let mut long = request(&[]);
    long.inputs = vec![named("x", tensor(&[1, 8192], vec![1.0; 8192]))];
    traced.loaded_version.infer(long).await.unwrap();
    assert_eq!(traced.were_here(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_cost_depends_on_values_has_threads_of_its_own() {
    let info = ModelInfo {
        data_dependent_cost: Some("operator `Loop`".to_owned()),
        ..info()
    };
    let traced = Traced::with(info, Execution::Auto, Code::EngineFailed);
    traced.know_cost(1);
    assert_eq!(traced.ask(1.0).await, Ok(vec![1.0]));
    assert_eq!(traced.were_here(), [false]);
    let reason = traced.loaded_version.scheduling().execution_target_reason;
    assert!(reason.ends_with("because of operator `Loop`"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn one_run_that_is_far_too_long_moves_the_model_to_its_own_threads() {
    let traced = Traced::new(Execution::Auto, Code::EngineFailed);
    traced.know_cost(1);
    for value in [14.0, 1.0, 2.0] {
        assert_eq!(traced.ask(value).await, Ok(vec![value]));
    }
    assert_eq!(traced.were_here(), [true, false, false]);
    let reason = traced.loaded_version.scheduling().execution_target_reason;
    assert!(reason.contains("took 2000000 µs"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_asks_for_the_thread_of_the_caller_gets_it_after_a_long_run_too() {
    let traced = Traced::new(Execution::Inline, Code::EngineFailed);
    for value in [14.0, 1.0] {
        assert_eq!(traced.ask(value).await, Ok(vec![value]));
    }
    assert_eq!(traced.were_here(), [true, true]);
}
