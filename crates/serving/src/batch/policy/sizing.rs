//! Sizes that follow from the cost curve: of batches, of the batch delay, and of the queue.
//!
//! Rule: a batch is the smallest with nearly the best throughput, and no larger than what can be
//! answered within half the time limit, because a request may find one batch running and then needs
//! its own. A batch delay is worthwhile when the fixed cost of a run is above a quarter of a run of
//! one row, and then for at most a quarter of that. The queue has room for what can be answered
//! within the time limit. Cold start: the limits of the settings alone.
//!
//! Decision: without a time limit the queue has room for four seconds, not only for four batches of
//! each instance, and CoDel calls it overloaded above one second. Some callers beyond a few batches
//! are an ordinary load test, and a model whose best batch is one row would refuse most of them.

use std::time::Duration;

use super::types::{Limits, QueueLimit};
use crate::batch::curve::{Curve, float, whole};

/// Batches of each instance that fit into the queue, at least.
const MIN_QUEUE_BATCHES: usize = 4;

/// The longest wait without a deadline; a queue that holds more is full.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// The delay below which CoDel never calls a queue without deadlines overloaded.
const MIN_CODEL_TARGET: Duration = Duration::from_secs(1);

/// The least share of the fixed cost in a run of one row that justifies a batch delay.
const MIN_GAIN: f64 = 0.25;

/// The ratio of the time that a batch delay could save to its length.
const HOLD_DIVISOR: u32 = 4;

/// The sizes that the scheduler uses, besides the limits of the settings.
#[derive(Clone, Debug)]
pub(super) struct Sizing {
    /// The smallest batch with nearly the best throughput.
    pub(super) efficient_rows: usize,
    /// The most rows of a batch.
    pub(super) batch_rows: usize,
    /// An upper bound on the time of a run of one row; zero when nothing is known.
    pub(super) row_time: Duration,
    /// The longest batch delay; zero when batches gain too little.
    pub(super) max_hold: Duration,
    /// The most rows that wait.
    pub(super) queue_rows: usize,
    /// The delay above which a queue without deadlines counts as overloaded; `None` for never.
    pub(super) codel_target: Option<Duration>,
}

impl Sizing {
    /// Computes the sizes for a curve whose times are multiplied by `factor`, and the time that
    /// requests usually allow when the model sets none.
    pub(super) fn new(
        curve: &Curve,
        factor: f64,
        limits: &Limits,
        deadline_estimate: Option<Duration>,
    ) -> Self {
        let upper = |rows| Some(curve.upper(rows)?.mul_f64(factor));
        let time_limit = limits.time_limit.or(deadline_estimate);
        let efficient_rows = curve.efficient_rows(limits.max_rows);
        let most = efficient_rows.clamp(1, limits.max_rows.max(1));
        let fits = |rows| match (time_limit, upper(rows)) {
            (Some(limit), Some(time)) => time * 2 <= limit,
            (None, _) | (_, None) => true,
        };
        let batch_rows = largest(most, fits);
        let batch_time = upper(batch_rows);
        let (queue_rows, codel_target) = match limits.queue {
            QueueLimit::Fixed(rows) => (rows, None),
            QueueLimit::Learned { at_most } => {
                let rows = batch_time.map_or(at_most, |batch_time| {
                    queue_rows(batch_rows, batch_time, limits)
                });
                let delay = batch_time.map(|time| MIN_CODEL_TARGET.max(time * 2));
                (rows.min(at_most), delay)
            }
        };
        Self {
            efficient_rows,
            batch_rows,
            row_time: upper(1).unwrap_or_default(),
            max_hold: max_hold(curve, batch_rows),
            queue_rows,
            codel_target,
        }
    }
}

/// Returns the largest number of rows up to `most` that fits, at least 1. Fewer rows fit when more
/// do.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match fits(middle) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low
}

/// Computes the bound of the queue. The time that callers usually allow does not count here: others
/// may allow more.
fn queue_rows(batch_rows: usize, batch_time: Duration, limits: &Limits) -> usize {
    let at_once = batch_rows * limits.n_instances;
    let max_wait = limits.time_limit.unwrap_or(MAX_WAIT).as_secs_f64();
    let n_batches = max_wait / batch_time.as_secs_f64().max(1e-9);
    let rows = whole(float(at_once) * n_batches);
    match limits.time_limit {
        Some(_) => rows.max(at_once),
        None => rows.max(at_once * MIN_QUEUE_BATCHES),
    }
}

fn max_hold(curve: &Curve, batch_rows: usize) -> Duration {
    let (Some(fixed), Some(one)) = (curve.fixed_cost(batch_rows), curve.time(1)) else {
        return Duration::ZERO;
    };
    match fixed > one.mul_f64(MIN_GAIN) {
        true => fixed / HOLD_DIVISOR,
        false => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn curve(fixed: u64, per_row: u64) -> Curve {
        let mut curve = Curve::default();
        for size in [1, 2, 4, 8, 16, 32, 64] {
            let rows = u64::try_from(size).unwrap();
            for _ in 0..200 {
                curve.observe(size, Duration::from_micros(fixed + per_row * rows));
            }
        }
        curve
    }

    fn limits(time_limit: Option<Duration>, queue: QueueLimit) -> Limits {
        Limits {
            max_rows: 64,
            max_delay: None,
            queue,
            time_limit,
            n_instances: 2,
        }
    }

    /// A little more than ten, for the remaining variance.
    const TEN: Duration = Duration::from_micros(10_001);

    const LEARNED: QueueLimit = QueueLimit::Learned { at_most: 1000 };

    #[test]
    fn a_batch_takes_no_more_than_half_the_time_limit() {
        let cases = [
            (None, None, 1.0, 53),
            (Some(TEN), None, 1.0, 30),
            (Some(TEN), None, 1.05, 27),
            (None, Some(TEN), 1.0, 30),
            (Some(TEN), Some(millis(5)), 1.0, 30),
            (Some(millis(1)), None, 1.0, 1),
        ];
        let mut failures = Vec::new();
        for (limit, estimate, factor, expected) in cases {
            let sizing = Sizing::new(&curve(2000, 100), factor, &limits(limit, LEARNED), estimate);
            if sizing.batch_rows != expected {
                failures.push(format!("{limit:?} {estimate:?} {factor}: {sizing:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn the_queue_holds_what_can_be_answered_in_time() {
        let cases = [
            ("time limit", Some(TEN), LEARNED, 121),
            ("none", None, LEARNED, 1000),
            ("user", Some(TEN), QueueLimit::Fixed(7), 7),
            ("hopeless", Some(millis(1)), LEARNED, 2),
        ];
        let mut failures = Vec::new();
        for (name, limit, queue, expected) in cases {
            let sizing = Sizing::new(&curve(2000, 100), 1.0, &limits(limit, queue), None);
            if sizing.queue_rows != expected {
                failures.push(format!("{name}: {sizing:?}"));
            }
        }
        let hasty = Sizing::new(&curve(2000, 100), 1.0, &limits(None, LEARNED), Some(TEN));
        if hasty.queue_rows != 1000 {
            failures.push(format!("some callers allow little: {hasty:?}"));
        }
        let slow = Sizing::new(&curve(0, 2_000_000), 1.0, &limits(None, LEARNED), None);
        let is_four_seconds = |delay: Duration| delay.abs_diff(millis(4000)) < millis(1);
        if slow.queue_rows != 8 || !slow.codel_target.is_some_and(is_four_seconds) {
            failures.push(format!("four batches of each instance: {slow:?}"));
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn an_instance_is_held_only_when_batches_gain() {
        let hold = |fixed, per_row| {
            let sizing = Sizing::new(&curve(fixed, per_row), 1.0, &limits(None, LEARNED), None);
            sizing.max_hold
        };
        assert!(hold(2000, 100).abs_diff(Duration::from_micros(500)) < Duration::from_micros(1));
        assert_eq!(hold(200, 1000), Duration::ZERO);
    }

    #[test]
    fn nothing_known_leaves_the_limits_of_the_user() {
        let limits = limits(Some(TEN), LEARNED);
        let sizing = Sizing::new(&Curve::default(), 1.0, &limits, None);
        assert_eq!((sizing.batch_rows, sizing.queue_rows), (64, 1000));
        assert_eq!(
            (sizing.codel_target, sizing.max_hold),
            (None, Duration::ZERO)
        );
    }
}
