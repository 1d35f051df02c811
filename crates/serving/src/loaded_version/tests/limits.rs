//! Limits: of time, of the queue, of a request.

use std::time::{Duration, Instant};

use contract::{AdmissionLevel, Code, ExecutionTarget, InferRequest, Urgency};
use tokio::time;

use super::version::{
    RunOutcome, TestVersion, echoed, failure, info, named, request, settings, tensor,
};
use crate::batch::curve::Curve;
use crate::batch::policy::types::QueueLimit;

/// Longer than any machine stalls: the clock of these tests is paused once the engine runs.
const HOUR_MILLIS: u64 = 3_600_000;

fn within(millis: u64, request: InferRequest) -> InferRequest {
    let deadline = time::Instant::now().into_std() + Duration::from_millis(millis);
    InferRequest {
        deadline: Some(deadline),
        ..request
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_until_its_deadline_fails_then_and_never_runs() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let start = time::Instant::now();
    let late = version.send(within(50, request(&[1.0]))).await;
    let error = failure(late).await;
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(
        error.message().contains("Request timeout expired"),
        "{error}"
    );
    let waited = start.elapsed();
    assert!((50..60).contains(&waited.as_millis()), "{waited:?}");

    let second = version.send(request(&[2.0])).await;
    run.end(RunOutcome::Echo);
    let run = version.run().await;
    assert_eq!(run.values(), [2.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(
        (echoed(first).await, echoed(second).await),
        (vec![0.0], vec![2.0])
    );
}

#[tokio::test]
async fn a_request_that_runs_past_its_deadline_fails_at_the_deadline() {
    let mut version = TestVersion::new();
    let late = version.send(within(HOUR_MILLIS, request(&[1.0]))).await;
    let run = version.run().await;
    time::pause();
    assert_eq!(failure(late).await.code(), Code::DeadlineExceeded);
    run.end(RunOutcome::Echo);
    version.loaded_version.drained().await;
    assert_eq!(version.loaded_version.counters().fail.count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_expired_on_arrival_is_refused() {
    let mut version = TestVersion::new();
    let error = failure(version.send(within(0, request(&[1.0]))).await).await;
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(
        error.message().contains("Request timeout expired"),
        "{error}"
    );
    assert_eq!(version.events(), ["RequestFinished"]);

    let next = version.send(request(&[2.0])).await;
    let run = version.run().await;
    assert_eq!(run.values(), [2.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(next).await, [2.0]);
}

#[tokio::test]
async fn the_time_limit_of_the_model_holds_for_requests_with_a_later_deadline_or_none() {
    let mut settings = settings();
    settings.default_timeout = Some(Duration::from_millis(HOUR_MILLIS));
    let mut version = TestVersion::with(info(), settings, 1);
    let none = version.send(request(&[0.0])).await;
    let run = version.run().await;
    time::pause();
    let start = time::Instant::now();
    let later = version.send(within(2 * HOUR_MILLIS, request(&[1.0]))).await;
    assert_eq!(failure(none).await.code(), Code::DeadlineExceeded);
    assert_eq!(failure(later).await.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_secs(), HOUR_MILLIS / 1000);
    run.end(RunOutcome::Echo);
}

#[tokio::test]
async fn a_full_queue_refuses_with_its_limit_and_when_to_come_back() {
    let mut settings = settings();
    settings.queue = QueueLimit::Fixed(3);
    let mut version = TestVersion::with(info(), settings, 1);
    let (first, run) = version.occupy().await;
    let fits = version.send(request(&[1.0, 2.0])).await;
    let error = failure(version.send(request(&[3.0, 4.0])).await).await;
    assert_eq!(error.code(), Code::QueueFull);
    assert!(error.retry_after().is_some());
    for part in ["Exceeds maximum queue size", "3 rows", "`queue.max_rows`"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(version.loaded_version.n_in_flight(), 2);
    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(
        (echoed(first).await, echoed(fits).await),
        (vec![0.0], vec![1.0, 2.0])
    );
}

/// One row takes an hour.
fn slow() -> Curve {
    let mut curve = Curve::default();
    curve.observe(1, Duration::from_millis(HOUR_MILLIS));
    curve
}

#[tokio::test]
async fn an_answer_that_is_predicted_too_late_is_refused_with_the_prediction() {
    let mut version = TestVersion::with_curve(info(), settings(), 1, slow());
    let (first, run) = version.occupy().await;
    let late = version.send(within(2 * HOUR_MILLIS, request(&[1.0]))).await;
    let error = failure(late).await;
    assert_eq!(error.code(), Code::Overloaded);
    assert!(error.retry_after() > Some(Duration::from_secs(3600)));
    let all = Some(AdmissionLevel::Priority(0));
    assert_eq!(error.admission_level(), all, "the model gives more time");
    for part in [
        "model `m` is overloaded",
        "is predicted in 34",
        "after the deadline",
    ] {
        assert!(error.message().contains(part), "{error}");
    }
    let patient = version.send(request(&[2.0])).await;
    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(
        (echoed(first).await, echoed(patient).await),
        (vec![0.0], vec![2.0])
    );
}

#[tokio::test]
async fn a_deadline_shorter_than_a_run_is_exceeded_at_once() {
    let mut version = TestVersion::with_curve(info(), settings(), 1, slow());
    let (_first, run) = version.occupy().await;
    let error = failure(version.send(within(HOUR_MILLIS / 2, request(&[1.0]))).await).await;
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(error.retry_after(), None, "later is no better");
    for part in ["a run of model `m`", "allow more time"] {
        assert!(error.message().contains(part), "{error}");
    }
    run.end(RunOutcome::Echo);
}

fn plain(deadline: Instant) -> Urgency {
    Urgency {
        deadline,
        priority: Some(0),
    }
}

#[tokio::test]
async fn an_early_refusal_is_reported_and_counted_as_a_late_one() {
    for limit in [None, Some(Duration::from_millis(2 * HOUR_MILLIS))] {
        let mut settings = settings();
        settings.default_timeout = limit;
        let mut version = TestVersion::with_curve(info(), settings, 1, slow());
        let (_first, run) = version.occupy().await;
        // Both requests arrive at the same moment.
        time::pause();
        let late = within(3 * HOUR_MILLIS, request(&[1.0]));
        let deadline = late.deadline.unwrap();
        let early = version
            .loaded_version
            .refuse_early(plain(deadline))
            .unwrap_err();
        let late = failure(version.send(late).await).await;
        assert_eq!(early.code(), Code::Overloaded);
        assert_eq!(early.code(), late.code());
        assert_eq!(early.message(), late.message());
        assert_eq!(early.retry_after(), late.retry_after());
        assert_eq!(early.admission_level(), late.admission_level());
        let events = version.observer.events();
        let [_admitted, early, late] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(early, late);
        time::resume();
        run.end(RunOutcome::Echo);
    }
}

#[tokio::test]
async fn a_request_that_may_be_urgent_is_refused_early_only_where_urgent_ones_would_be() {
    let mut version = TestVersion::with_curve(info(), settings(), 1, slow());
    let (_first, run) = version.occupy().await;
    let _waiting = version.send(request(&[1.0; 8])).await;
    let now = time::Instant::now().into_std();
    let urgency = |hours: u64, priority| Urgency {
        deadline: now + Duration::from_millis(hours * HOUR_MILLIS),
        priority,
    };
    // A batch takes up to nine hours: one runs for one hour, and one of the last priority waits.
    let refused = [(15, Some(0)), (8, Some(1)), (8, None)];
    for (hours, priority) in refused {
        let refused = version
            .loaded_version
            .refuse_early(urgency(hours, priority));
        assert!(refused.is_err(), "{hours} hours, {priority:?}");
    }
    for priority in [Some(1), None] {
        assert!(
            version
                .loaded_version
                .refuse_early(urgency(15, priority))
                .is_ok()
        );
    }
    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
}

#[tokio::test]
async fn a_refusal_needs_no_more_than_the_deadline() {
    let mut version = TestVersion::with_curve(info(), settings(), 1, slow());
    let (first, run) = version.occupy().await;
    let now = tokio::time::Instant::now().into_std();
    let after = |hours: u64| now + Duration::from_millis(hours * HOUR_MILLIS);
    for deadline in [now, after(90)] {
        assert!(version.loaded_version.refuse_early(plain(deadline)).is_ok());
    }
    assert_eq!(version.events(), ["RequestAdmitted"]);
    let error = version
        .loaded_version
        .refuse_early(plain(after(2)))
        .unwrap_err();
    assert_eq!(error.code(), Code::Overloaded);
    assert!(error.message().contains("is predicted in 34"), "{error}");
    assert_eq!(version.events(), ["RequestAdmitted", "RequestFinished"]);
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(first).await, vec![0.0]);
}

#[tokio::test]
async fn a_more_urgent_request_displaces_the_last_of_a_full_queue() {
    let mut settings = settings();
    settings.queue = QueueLimit::Fixed(1);
    let mut version = TestVersion::with(info(), settings, 1);
    let (_first, run) = version.occupy().await;
    let last = version.send(request(&[1.0])).await;
    let urgent = InferRequest {
        priority: 1,
        ..request(&[2.0])
    };
    let urgent = version.send(urgent).await;
    let error = failure(last).await;
    assert_eq!(error.code(), Code::QueueFull);
    assert!(error.retry_after().is_some());
    assert_eq!(error.admission_level(), Some(AdmissionLevel::Closed));
    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(echoed(urgent).await, [2.0]);
}

#[tokio::test]
async fn the_schedule_that_follows_from_the_measured_cost_is_reported() {
    let mut version = TestVersion::with_curve(info(), settings(), 1, slow());
    let (_first, run) = version.occupy().await;
    let _second = version.send(request(&[1.0, 2.0])).await;
    let seen = version.loaded_version.scheduling();
    assert_eq!(seen.execution_target, ExecutionTarget::Pool);
    assert!(
        seen.execution_target_reason
            .contains("`execution` is `pool`"),
        "{seen:?}"
    );
    assert_eq!((seen.curve.len(), seen.n_queued_rows), (1, 2));
    assert_eq!((seen.batch_rows, seen.max_queue_rows), (8, 100));
    assert!(
        seen.predicted_wait > Some(Duration::from_secs(8 * 3600)),
        "{seen:?}"
    );
    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
}

#[tokio::test]
async fn a_cancelled_request_leaves_its_room_in_the_queue() {
    let mut settings = settings();
    settings.queue = QueueLimit::Fixed(1);
    let mut version = TestVersion::with(info(), settings, 1);
    let (_first, run) = version.occupy().await;
    let gone = version.send(request(&[1.0])).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let next = version.send(request(&[2.0])).await;
    run.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(echoed(next).await, [2.0]);
}

#[tokio::test]
async fn requests_that_do_not_fit_are_refused_before_they_wait() {
    let version = TestVersion::new();
    let check = async |request: InferRequest, expected: &str| {
        let error = failure(version.send(request).await).await;
        assert_eq!(error.code(), Code::InvalidRequest);
        assert!(error.message().contains(expected), "{error}");
    };
    check(
        request(&[0.0; 9]),
        "9 rows, but model `m` takes at most 8 (`batching.max_request_rows`)",
    )
    .await;
    let mut disagreeing = request(&[1.0, 2.0]);
    disagreeing
        .inputs
        .push(named("mask", tensor(&[3, 1], vec![0.0; 3])));
    check(disagreeing, "input `mask` has 3 rows, but 2 in input `x`").await;
    let mut unknown = request(&[1.0]);
    unknown.outputs.push("none".to_owned());
    check(unknown, "unexpected inference output `none`").await;
    assert_eq!(version.events(), ["RequestFinished"; 3]);
    assert_eq!(version.loaded_version.counters().fail.count, 0);
}

#[tokio::test]
async fn a_model_that_does_not_batch_takes_requests_of_any_size() {
    let mut info = info();
    info.is_batching = false;
    let mut version = TestVersion::with(info, settings(), 1);
    let caller = version.send(request(&[1.0; 20])).await;
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(echoed(caller).await.len(), 20);
    assert_eq!(version.loaded_version.counters().n_rows, 20);
}
