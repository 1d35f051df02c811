//! Predictions of the scheduler for a new request match its decision about one.

use std::time::{Duration, Instant};

use contract::Urgency;
use proptest::prelude::*;
use tokio::time;

use super::super::Scheduler;
use super::super::types::{Decision, Limits, QueueLimit, Refusal};
use super::player::millis;
use super::scenario::layout;
use crate::batch::curve::Curve;
use crate::batch::queue::QueuedRequest;

/// Priorities from the most urgent to the least, and the admission levels beside them.
const PRIORITIES: [u32; 8] = [1, 2, 3, 4, 5, u32::MAX - 2, u32::MAX - 1, 0];

#[derive(Clone, Debug)]
struct Case {
    max_queue_rows: usize,
    time_limit: Option<Duration>,
    n_instances: usize,
    /// The rows and the priority of each request, without a deadline of its own.
    arrivals: Vec<(usize, u32)>,
}

fn row(priority: u32, now: Instant, limit: Option<Duration>) -> QueuedRequest<usize> {
    QueuedRequest {
        n_rows: 1,
        layout: layout(1),
        priority,
        arrived: now,
        deadline: limit.map(|limit| now + limit),
        request: 0,
    }
}

/// A scheduler whose instances are busy and whose requests wait.
fn scheduler(case: &Case, now: Instant) -> Scheduler<usize> {
    let mut curve = Curve::default();
    for n_rows in [1_usize, 2, 4, 8] {
        curve.observe(n_rows, millis(5.0));
    }
    let limits = Limits {
        max_rows: 8,
        max_delay: Some(Duration::ZERO),
        queue: QueueLimit::Fixed(case.max_queue_rows),
        time_limit: case.time_limit,
        n_instances: case.n_instances,
    };
    let mut scheduler = Scheduler::new(limits, curve);
    for &(n_rows, priority) in &case.arrivals {
        let arrival = QueuedRequest {
            n_rows,
            ..row(priority, now, None)
        };
        // A refused request does not matter.
        drop(scheduler.admit(arrival));
        if let Decision::Run(batch) = scheduler.next(now) {
            drop(batch);
        }
    }
    scheduler
}

fn case() -> impl Strategy<Value = Case> {
    let priority = prop::sample::select(vec![1, 2, 4, 5, u32::MAX - 1, 0]);
    (
        0..40_usize,
        prop::option::of((1..60_u64).prop_map(Duration::from_millis)),
        1..3_usize,
        prop::collection::vec((1..20_usize, priority), 0..12),
    )
        .prop_map(|(max_queue_rows, time_limit, n_instances, arrivals)| Case {
            max_queue_rows,
            time_limit,
            n_instances,
            arrivals,
        })
}

proptest! {
    #[test]
    fn the_level_is_the_last_priority_that_gets_in(case in case()) {
        let now = time::Instant::now().into_std();
        let level = scheduler(&case, now).admission_level(now).number();
        let gets_in = |priority: u32| {
            let newcomer = row(priority, now, case.time_limit);
            scheduler(&case, now).admit(newcomer).is_ok()
        };
        let last = PRIORITIES.into_iter().rfind(|&priority| gets_in(priority));
        prop_assert_eq!(level, last.map_or(-1, i64::from));
    }
}

proptest! {
    #[test]
    fn an_early_refusal_is_the_late_one(case in case(), priority in 0..PRIORITIES.len()) {
        let now = time::Instant::now().into_std();
        let (priority, time) = (PRIORITIES[priority], case.time_limit.unwrap_or_default());
        let early = scheduler(&case, now).refuse_early(urgency(Some(priority), now, time), now);
        let late = late_refusal(&case, priority, now, time);
        prop_assert_eq!(early.err(), late);
    }

    #[test]
    fn a_request_that_may_have_any_priority_is_refused_early_where_all_would_be(case in case()) {
        let now = time::Instant::now().into_std();
        let time = case.time_limit.unwrap_or_default();
        let early = scheduler(&case, now).refuse_early(urgency(None, now, time), now);
        let late = PRIORITIES.map(|priority| late_refusal(&case, priority, now, time));
        prop_assert_eq!(early.is_err(), late.iter().all(Option::is_some), "{:?}", late);
        if let Err(refusal) = early {
            prop_assert_eq!(Some(refusal), late_refusal(&case, 0, now, time));
        }
    }
}

fn urgency(priority: Option<u32>, now: Instant, time: Duration) -> Urgency {
    Urgency {
        deadline: now + time,
        priority,
    }
}

/// The reason why a row of this priority would come too late, if it would.
fn late_refusal(case: &Case, priority: u32, now: Instant, time: Duration) -> Option<Refusal> {
    let refusal = scheduler(case, now)
        .admit(row(priority, now, Some(time)))
        .err();
    let is_late = |refusal: &Refusal| {
        matches!(
            refusal,
            Refusal::TooLate { .. } | Refusal::DeadlineTooShort { .. }
        )
    };
    refusal.filter(is_late)
}

#[test]
fn a_deadline_shorter_than_a_run_is_named_and_not_blamed_on_the_load() {
    let now = time::Instant::now().into_std();
    let case = |n_waiting| Case {
        max_queue_rows: 40,
        time_limit: None,
        n_instances: 1,
        arrivals: vec![(8, 0); n_waiting],
    };
    let refused = |n_waiting, time| late_refusal(&case(n_waiting), 0, now, millis(time));
    let is_too_short = |refusal| matches!(refusal, Some(Refusal::DeadlineTooShort { .. }));
    // A run takes about 5 ms; of the batches before the request, one runs and the others wait.
    for n_batches in [1, 4] {
        let refused = refused(n_batches, 1.0);
        assert!(is_too_short(refused), "{refused:?}");
    }
    let late = refused(4, 15.0);
    assert!(matches!(late, Some(Refusal::TooLate { .. })), "{late:?}");
    assert_eq!(refused(1, 25.0), None);
}

#[test]
fn a_scheduler_that_takes_nothing_leaves_it_to_the_arrival_to_say_so() {
    let now = time::Instant::now().into_std();
    let case = Case {
        max_queue_rows: 10,
        time_limit: None,
        n_instances: 1,
        arrivals: vec![(1, 0)],
    };
    let mut closing = scheduler(&case, now);
    let urgency = urgency(Some(0), now, millis(1.0));
    assert!(closing.refuse_early(urgency, now).is_err());
    closing.close();
    assert_eq!(closing.refuse_early(urgency, now), Ok(()));
    let late = closing.admit(row(0, now, Some(millis(1.0))));
    assert_eq!(late.err(), Some(Refusal::Closing));
}

#[test]
fn a_scheduler_that_takes_nothing_admits_nobody() {
    let now = time::Instant::now().into_std();
    let case = Case {
        max_queue_rows: 10,
        time_limit: None,
        n_instances: 1,
        arrivals: Vec::new(),
    };
    let level = |change: fn(&mut Scheduler<usize>)| {
        let mut scheduler = scheduler(&case, now);
        change(&mut scheduler);
        scheduler.admission_level(now).number()
    };
    let lose = |scheduler: &mut Scheduler<usize>| drop(scheduler.instance_lost(None));
    let levels = [level(|_| {}), level(Scheduler::close), level(lose)];
    assert_eq!(levels, [0, -1, -1]);
}
