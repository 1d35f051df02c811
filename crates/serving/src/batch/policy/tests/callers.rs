//! Batches for threads that run only some requests.

use std::time::Duration;

use tokio::time;

use super::super::types::{Decision, Limits, QueueLimit};
use super::super::{QueuedRequest, Scheduler};
use crate::batch::curve::Curve;

#[test]
fn a_thread_that_may_not_run_a_request_leaves_it_waiting() {
    let now = time::Instant::now().into_std();
    let limits = Limits {
        max_rows: 4,
        max_delay: Some(Duration::ZERO),
        queue: QueueLimit::Fixed(10),
        time_limit: None,
        n_instances: 1,
    };
    let mut scheduler = Scheduler::new(limits, Curve::default());
    let waiting = QueuedRequest {
        n_rows: 1,
        layout: None,
        priority: 0,
        arrived: now,
        deadline: None,
        request: "long",
    };
    scheduler.admit(waiting).unwrap();
    let step = scheduler.next_if(now, |request| *request == "short");
    assert!(matches!(step, Decision::Wait), "{step:?}");
    assert!(scheduler.has_waiting());
    let step = scheduler.next_if(now, |request| *request == "long");
    assert!(matches!(step, Decision::Run(_)), "{step:?}");
}
