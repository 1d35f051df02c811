//! Scheduling of a version, as JSON.

use std::time::Duration;

use contract::{RunCost, Scheduling};
use serde::Serialize;

/// The measurements, and the limits that follow from them.
#[derive(Serialize)]
pub(super) struct SchedulingEntry<'a> {
    execution: &'static str,
    execution_reason: &'a str,
    cost: Vec<CostEntry>,
    efficient_batch_rows: usize,
    batch_rows: usize,
    hold_us: f64,
    max_queue_rows: usize,
    queued_rows: usize,
    /// The predicted time to answer one row.
    predicted_wait_us: Option<f64>,
    /// The lowest priority of which one row would be admitted, -1 for none.
    admission_level: i64,
}

/// A point of the batch cost curve.
#[derive(Serialize)]
struct CostEntry {
    rows: f64,
    time_us: f64,
    /// The standard deviation as a fraction of the time.
    deviation: f64,
}

impl<'a> SchedulingEntry<'a> {
    /// Returns the entry of a version.
    pub(super) fn new(scheduling: &'a Scheduling) -> Self {
        Self {
            execution: scheduling.execution_target.as_str(),
            execution_reason: &scheduling.execution_target_reason,
            cost: scheduling.curve.iter().map(CostEntry::new).collect(),
            efficient_batch_rows: scheduling.efficient_rows,
            batch_rows: scheduling.batch_rows,
            hold_us: micros(scheduling.hold),
            max_queue_rows: scheduling.max_queue_rows,
            queued_rows: scheduling.n_queued_rows,
            predicted_wait_us: scheduling.predicted_wait.map(micros),
            admission_level: scheduling.admission_level.number(),
        }
    }
}

impl CostEntry {
    fn new(cost: &RunCost) -> Self {
        Self {
            rows: rounded(cost.rows, 10.0),
            time_us: micros(cost.time),
            deviation: rounded(cost.deviation, 1000.0),
        }
    }
}

/// Returns microseconds to a tenth: more digits are noise.
fn micros(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6, 10.0)
}

fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use contract::{AdmissionLevel, ExecutionTarget};

    use super::*;

    #[test]
    fn everything_that_the_scheduler_goes_by_is_shown_with_its_unit() {
        let scheduling = Scheduling {
            execution_target: ExecutionTarget::Pool,
            execution_target_reason: "a run takes long".to_owned(),
            curve: vec![RunCost {
                rows: 17.26,
                time: Duration::from_nanos(1_234_567),
                deviation: 0.04321,
            }],
            efficient_rows: 29,
            batch_rows: 17,
            hold: Duration::from_micros(500),
            max_queue_rows: 120,
            n_queued_rows: 3,
            predicted_wait: Some(Duration::from_millis(2)),
            admission_level: AdmissionLevel::Closed,
        };
        let json = serde_json::to_string_pretty(&SchedulingEntry::new(&scheduling)).unwrap();
        insta::assert_snapshot!(json);
    }
}
