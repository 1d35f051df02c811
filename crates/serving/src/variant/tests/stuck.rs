//! Runs that take too long: who is told, and what becomes of the version.

use std::time::{Duration, Instant};

use contract::{AdmissionLevel, Code, InferRequest};
use tokio::time;

use super::bench::{Bench, Verdict, echoed, failure, info, request, settings};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Instant {
    time::Instant::now().into_std()
}

impl Bench {
    /// Lets the watchdog look after so long.
    fn look_after(&self, time: Duration) {
        self.variant.executor.look_after_runs(now() + time);
    }
}

#[tokio::test]
async fn a_version_whose_runs_never_end_refuses_everybody_until_one_does() {
    let mut bench = Bench::with(info(), settings(), 1);
    let (first, run) = bench.occupy().await;
    let waiting = bench.send(request(&[1.0])).await;
    bench.look_after(HOUR);
    assert_eq!(bench.variant.stuck_reason(), None);
    bench.look_after(2 * HOUR);
    assert!(bench.variant.stuck_reason().is_some());
    assert_eq!(failure(waiting).await.code(), Code::ModelNotReady);
    let late = bench.send(request(&[2.0])).await;
    assert_eq!(failure(late).await.code(), Code::ModelNotReady);
    let scheduling = bench.variant.scheduling();
    assert_eq!(scheduling.admission_level, AdmissionLevel::Nobody);
    assert_eq!(scheduling.predicted_wait, None);

    run.end(Verdict::Echo);
    assert_eq!(echoed(first).await, [0.0]);
    assert_eq!(bench.variant.stuck_reason(), None);
    let next = bench.send(request(&[3.0])).await;
    bench.run().await.end(Verdict::Echo);
    assert_eq!(echoed(next).await, [3.0]);
}

#[tokio::test]
async fn the_requests_of_a_run_that_was_ended_are_not_run_again() {
    let mut bench = Bench::new();
    let (first, run) = bench.occupy().await;
    let due = |value: f32, hours: u32| InferRequest {
        deadline: Some(now() + hours * HOUR / 4),
        ..request(&[value])
    };
    let second = bench.send(due(1.0, 1)).await;
    let third = bench.send(due(2.0, 2)).await;
    run.end(Verdict::Echo);
    assert_eq!(echoed(first).await, [0.0]);
    let run = bench.run().await;
    assert_eq!(run.values(), [1.0, 2.0]);
    bench.look_after(HOUR / 4);
    let count = |bench: &Bench| {
        let events = bench.events();
        events
            .iter()
            .filter(|event| *event == "RunTerminated")
            .count()
    };
    assert_eq!(
        count(&bench),
        0,
        "one of its requests can still be answered"
    );
    bench.look_after(HOUR / 2);
    assert_eq!(count(&bench), 1);
    run.end(Verdict::Fail(Code::EngineFailed));
    assert_eq!(failure(second).await.code(), Code::DeadlineExceeded);
    assert_eq!(failure(third).await.code(), Code::DeadlineExceeded);
    bench.variant.stop();
    assert!(bench.is_over().await, "nothing else ran");
}
