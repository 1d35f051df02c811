//! Promises of a loaded version, with an engine that the test controls.

mod failures;
mod inline;
mod limits;
mod stuck;
mod verification;
mod version;

use std::sync::Arc;
use std::time::Duration;

use contract::testing::RecordingObserver;
use contract::{Code, InferRequest, Session};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time;

use super::LoadedVersion;
use crate::batch::curve::Curve;
use crate::batch::policy::types::QueueLimit;
use version::{
    EchoSession, RunOutcome, TestVersion, answer, echoed, failure, info, named, request, settings,
    tensor,
};

#[tokio::test]
async fn requests_that_wait_share_a_batch_and_get_their_own_rows() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let second = version.send(request(&[1.0, 2.0])).await;
    let third = version.send(request(&[3.0])).await;
    run.end(RunOutcome::Echo);

    let run = version.run().await;
    assert_eq!(run.values(), [1.0, 2.0, 3.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(first).await, [0.0]);
    assert_eq!(echoed(second).await, [1.0, 2.0]);
    let response = third.await.unwrap().unwrap();
    assert_eq!(response.outputs[0].tensor, tensor(&[1, 1], vec![3.0]));
    assert_eq!(response.timings.batch_rows, 3);
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_its_delay() {
    let mut settings = settings();
    settings.batch.max_delay = Some(Duration::from_secs(3600));
    settings.batch.max_rows = 2;
    let mut version = TestVersion::with(info(), settings, 2);
    let first = version.send(request(&[1.0])).await;
    let second = version.send(request(&[2.0])).await;
    let run = version.run().await;
    assert_eq!(run.values(), [1.0, 2.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(first).await, [1.0]);
    assert_eq!(echoed(second).await, [2.0]);
}

#[tokio::test]
async fn an_instance_that_leaves_work_behind_wakes_another() {
    let mut settings = settings();
    settings.batch.max_delay = Some(Duration::from_secs(3600));
    let mut version = TestVersion::with(info(), settings, 2);
    let patient = version.send(request(&[1.0])).await;
    let mut urgent = request(&[]);
    urgent.inputs = vec![named("x", tensor(&[1, 2], vec![2.0; 2]))];
    urgent.deadline = Some(time::Instant::now().into_std() + Duration::from_secs(1800));
    let urgent = version.send(urgent).await;
    let runs = [version.run().await, version.run().await];
    runs.into_iter().for_each(|run| run.end(RunOutcome::Echo));
    assert_eq!(echoed(patient).await, [1.0]);
    assert_eq!(echoed(urgent).await, [2.0, 2.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_gets_its_own_answer_under_load() {
    let sessions: Vec<Box<dyn Session>> = vec![Box::new(EchoSession), Box::new(EchoSession)];
    let observer = Arc::new(RecordingObserver::default());
    let mut settings = settings();
    settings.queue = QueueLimit::Fixed(10_000);
    let curve = Curve::default();
    let loaded_version =
        LoadedVersion::start(Arc::new(info()), sessions, settings, curve, observer).unwrap();
    let callers = (0..600_u16).map(|number| {
        let (n_rows, width) = (usize::from(number % 4), usize::from(1 + number % 3));
        let x = tensor(&[n_rows, width], vec![f32::from(number); n_rows * width]);
        let request = InferRequest {
            inputs: vec![named("x", x.clone())],
            ..request(&[])
        };
        let loaded_version = Arc::clone(&loaded_version);
        let answer = tokio::spawn(async move { loaded_version.infer(request).await });
        async move {
            if number % 7 == 0 {
                answer.abort();
                return;
            }
            let response = answer.await.unwrap().unwrap();
            assert_eq!(response.outputs[0].tensor, x, "request {number}");
        }
    });
    join_all(callers).await;
    loaded_version.drained().await;
    let seen = loaded_version.counters();
    assert!(seen.success.count >= 600 - 600_u64.div_ceil(7), "{seen:?}");
}

#[tokio::test]
async fn requests_for_different_outputs_share_a_batch() {
    let mut version = TestVersion::new();
    let (_first, run) = version.occupy().await;
    let asking_for = |value, outputs: &[&str]| InferRequest {
        outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        ..request(&[value])
    };
    let second = version.send(asking_for(1.0, &["negative"])).await;
    let third = version.send(asking_for(2.0, &["same"])).await;
    let fourth = version.send(asking_for(3.0, &["negative", "same"])).await;
    run.end(RunOutcome::Echo);

    let run = version.run().await;
    assert_eq!(run.outputs, [0, 1]);
    run.end(RunOutcome::Echo);
    let output = |name: &str, value| (name.to_owned(), vec![value]);
    assert_eq!(answer(second).await, [output("negative", -1.0)]);
    assert_eq!(answer(third).await, [output("same", 2.0)]);
    assert_eq!(
        answer(fourth).await,
        [output("negative", -3.0), output("same", 3.0)]
    );
}

#[tokio::test]
async fn unequal_shapes_and_unequal_sets_of_inputs_are_never_merged() {
    // The width of a row, and whether there is a second input; the value is the place in this list.
    const KINDS: [(usize, bool); 3] = [(1, false), (2, false), (1, true)];
    let of_kind = |kind: usize| {
        let (width, has_mask) = KINDS[kind];
        let mut request = request(&[]);
        request.inputs = vec![named("x", tensor(&[1, width], vec![kind as f32; width]))];
        let mask = has_mask.then(|| named("mask", tensor(&[1, 1], vec![1.0])));
        request.inputs.extend(mask);
        request
    };
    let n_values: usize = KINDS.iter().map(|(width, _)| 2 * width).sum();
    for (first, (width, _)) in KINDS.into_iter().enumerate() {
        let mut version = TestVersion::new();
        let (_occupant, run) = version.occupy().await;
        let mut callers = Vec::new();
        for index in 0..2 * KINDS.len() {
            let request = of_kind((first + index) % KINDS.len());
            callers.push(version.send(request).await);
        }
        run.end(RunOutcome::Echo);
        let run = version.run().await;
        assert_eq!(run.values(), vec![first as f32; 2 * width]);
        run.end(RunOutcome::Echo);
        // How the others are joined follows from how long this machine took for the runs so far.
        let mut n_left = n_values - 2 * width;
        while n_left > 0 {
            let run = version.run().await;
            let values = run.values();
            let is_alike = values.iter().all(|value| *value == values[0]);
            assert!(is_alike, "{values:?}");
            n_left -= values.len();
            run.end(RunOutcome::Echo);
        }
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn an_empty_request_runs_alone() {
    let mut version = TestVersion::new();
    let (_first, run) = version.occupy().await;
    let empty = version.send(request(&[])).await;
    let full = version.send(request(&[1.0])).await;
    run.end(RunOutcome::Echo);
    for expected in [&[][..], &[1.0]] {
        let run = version.run().await;
        assert_eq!(run.values(), expected);
        run.end(RunOutcome::Echo);
    }
    assert!(echoed(empty).await.is_empty());
    assert_eq!(echoed(full).await, [1.0]);
}

#[tokio::test]
async fn a_model_without_batch_dimension_runs_one_request_at_a_time() {
    let mut info = info();
    (info.max_request_rows, info.is_batching) = (None, false);
    let mut version = TestVersion::with(info, settings(), 1);
    let (_first, run) = version.occupy().await;
    let second = version.send(request(&[1.0, 2.0])).await;
    let third = version.send(request(&[3.0])).await;
    run.end(RunOutcome::Echo);

    let run = version.run().await;
    assert_eq!(run.values(), [1.0, 2.0]);
    let scalars = vec![tensor(&[], vec![7.0]), tensor(&[3], vec![1.0, 2.0, 3.0])];
    run.end(RunOutcome::Give(scalars));
    version.run().await.end(RunOutcome::Echo);
    let response = second.await.unwrap().unwrap();
    assert_eq!(response.outputs[0].tensor.shape().rank(), 0);
    assert_eq!(echoed(third).await, [3.0]);
}

#[tokio::test]
async fn the_most_urgent_request_runs_first() {
    let mut settings = settings();
    settings.batch.max_rows = 1;
    let mut version = TestVersion::with(info(), settings, 1);
    let (_first, mut run) = version.occupy().await;
    let mut callers = Vec::new();
    for (value, priority) in [(1.0, 0), (2.0, 9), (3.0, 1), (4.0, 9)] {
        let request = InferRequest {
            priority,
            ..request(&[value])
        };
        callers.push(version.send(request).await);
    }
    for expected in [3.0, 2.0, 4.0, 1.0] {
        run.end(RunOutcome::Echo);
        run = version.run().await;
        assert_eq!(run.values(), [expected]);
    }
    run.end(RunOutcome::Echo);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn idle_instances_run_side_by_side() {
    let mut version = TestVersion::with(info(), settings(), 2);
    let (first, run) = version.occupy().await;
    let second = version.send(request(&[1.0])).await;
    let other = version.run().await;
    assert_eq!(other.values(), [1.0]);
    other.end(RunOutcome::Echo);
    assert_eq!(echoed(second).await, [1.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(first).await, [0.0]);
}

#[tokio::test]
async fn a_cancelled_request_never_runs_and_frees_its_rows_in_the_queue() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let second = version.send(request(&[1.0])).await;
    let third = version.send(request(&[2.0])).await;
    assert_eq!(version.loaded_version.n_in_flight(), 3);
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(version.loaded_version.n_in_flight(), 2);
    run.end(RunOutcome::Echo);

    let run = version.run().await;
    assert_eq!(run.values(), [2.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(
        (echoed(first).await, echoed(third).await),
        (vec![0.0], vec![2.0])
    );
    let events = version.observer.events();
    let is_cancelled =
        |event: &&String| event.contains("was_admitted: true, error: Some(Cancelled)");
    assert_eq!(events.iter().filter(is_cancelled).count(), 1, "{events:#?}");
    assert_eq!(version.loaded_version.counters().fail.count, 1);
}

#[tokio::test]
async fn stopping_refuses_new_requests_and_answers_those_that_wait() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let second = version.send(request(&[1.0])).await;
    version.loaded_version.stop();
    let refused = failure(version.send(request(&[2.0])).await).await;
    assert_eq!(refused.code(), Code::ModelNotReady);
    assert_eq!(version.loaded_version.drained().now_or_never(), None);

    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
    version.loaded_version.drained().await;
    assert_eq!(
        (echoed(first).await, echoed(second).await),
        (vec![0.0], vec![1.0])
    );
    assert!(version.is_over().await);
}

#[tokio::test]
async fn a_dropped_version_ends_its_instances() {
    let mut version = TestVersion::with(info(), settings(), 3);
    assert_eq!(version.loaded_version.drained().now_or_never(), Some(()));
    let other = TestVersion::new();
    version.loaded_version = Arc::clone(&other.loaded_version);
    assert!(version.is_over().await);
}

#[tokio::test]
async fn every_request_is_observed_and_counted() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let second = version.send(request(&[1.0, 2.0])).await;
    let third = version.send(request(&[3.0])).await;
    let refused = version.send(request(&[0.0; 9])).await;
    refused.await.unwrap().unwrap_err();
    run.end(RunOutcome::Echo);
    echoed(first).await;
    version.run().await.end(RunOutcome::Echo);
    echoed(second).await;
    echoed(third).await;

    let count = |name: &str| {
        version
            .events()
            .iter()
            .filter(|event| *event == name)
            .count()
    };
    assert_eq!(count("RequestAdmitted"), 3);
    assert_eq!(count("RequestFinished"), 4);
    assert_eq!(count("BatchExecuted"), 2);
    let seen = version.loaded_version.counters();
    assert_eq!((seen.n_rows, seen.n_executions), (4, 2));
    assert_eq!((seen.success.count, seen.fail.count), (3, 0));
    assert_eq!((seen.queue.count, seen.compute.count), (3, 3));
    let sizes: Vec<_> = seen
        .batches
        .iter()
        .map(|batch| (batch.batch_rows, batch.compute.count))
        .collect();
    assert_eq!(sizes, [(1, 1), (3, 1)]);
    assert!(seen.last_inference.is_some());
}
