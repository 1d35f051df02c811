//! Runs that take too long: the errors of their requests, and the state of the version.

use std::time::{Duration, Instant};

use contract::{AdmissionLevel, Code, InferRequest};
use tokio::time;

use super::version::{RunOutcome, TestVersion, echoed, failure, info, request, settings};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Instant {
    time::Instant::now().into_std()
}

impl TestVersion {
    /// Lets the watchdog check after this time.
    fn look_after(&self, time: Duration) {
        self.loaded_version.executor.look_after_runs(now() + time);
    }
}

#[tokio::test]
async fn a_version_whose_runs_never_end_refuses_everybody_until_one_does() {
    let mut version = TestVersion::with(info(), settings(), 1);
    let (first, run) = version.occupy().await;
    let waiting = version.send(request(&[1.0])).await;
    version.look_after(HOUR);
    assert_eq!(version.loaded_version.stuck_reason(), None);
    version.look_after(2 * HOUR);
    assert!(version.loaded_version.stuck_reason().is_some());
    assert_eq!(failure(waiting).await.code(), Code::ModelNotReady);
    let late = version.send(request(&[2.0])).await;
    assert_eq!(failure(late).await.code(), Code::ModelNotReady);
    let scheduling = version.loaded_version.scheduling();
    assert_eq!(scheduling.admission_level, AdmissionLevel::Closed);
    assert_eq!(scheduling.predicted_wait, None);

    run.end(RunOutcome::Echo);
    assert_eq!(echoed(first).await, [0.0]);
    assert_eq!(version.loaded_version.stuck_reason(), None);
    let next = version.send(request(&[3.0])).await;
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(echoed(next).await, [3.0]);
}

#[tokio::test]
async fn the_requests_of_a_run_that_was_ended_are_not_run_again() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let due = |value: f32, hours: u32| InferRequest {
        deadline: Some(now() + hours * HOUR / 4),
        ..request(&[value])
    };
    let second = version.send(due(1.0, 1)).await;
    let third = version.send(due(2.0, 2)).await;
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(first).await, [0.0]);
    let run = version.run().await;
    assert_eq!(run.values(), [1.0, 2.0]);
    version.look_after(HOUR / 4);
    let count = |version: &TestVersion| {
        let events = version.events();
        events
            .iter()
            .filter(|event| *event == "RunTerminated")
            .count()
    };
    assert_eq!(
        count(&version),
        0,
        "one of its requests can still be answered"
    );
    version.look_after(HOUR / 2);
    assert_eq!(count(&version), 1);
    run.end(RunOutcome::Fail(Code::EngineFailed));
    assert_eq!(failure(second).await.code(), Code::DeadlineExceeded);
    assert_eq!(failure(third).await.code(), Code::DeadlineExceeded);
    version.loaded_version.stop();
    assert!(version.is_over().await, "nothing else ran");
}
