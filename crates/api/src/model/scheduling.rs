//! The scheduling of a version.

use std::time::Duration;

use contract::ExecutionTarget;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Measurements of runs, and the limits that follow from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scheduling {
    /// The execution target.
    pub execution: Execution,
    /// The reason for the execution target.
    pub execution_reason: String,
    /// The batch cost curve, by rows.
    pub cost: Vec<RunCost>,
    /// The smallest batch with nearly the best throughput.
    pub efficient_batch_rows: usize,
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// The most time that an idle instance waits for more requests.
    pub batch_delay_us: f64,
    /// The most rows in the queue.
    pub max_queue_rows: usize,
    /// Rows in the queue.
    pub queued_rows: usize,
    /// The predicted time to answer one row now.
    #[schema(required)]
    pub predicted_wait_us: Option<f64>,
    /// The lowest priority of which one row would be admitted now: 0 for all of them, -1 for none.
    #[schema(minimum = -1)]
    pub admission_level: i64,
}

/// The execution target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// The I/O thread of the connection.
    Inline,
    /// The threads of the model.
    Pool,
}

/// Measured runs of about one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunCost {
    /// The mean of their rows.
    pub rows: f64,
    /// The mean of their times.
    pub time_us: f64,
    /// The standard deviation, as a fraction of the time.
    pub deviation: f64,
}

impl From<&contract::Scheduling> for Scheduling {
    fn from(scheduling: &contract::Scheduling) -> Self {
        Self {
            execution: match scheduling.execution_target {
                ExecutionTarget::Inline => Execution::Inline,
                ExecutionTarget::Pool => Execution::Pool,
            },
            execution_reason: scheduling.execution_target_reason.clone(),
            cost: scheduling.curve.iter().map(Into::into).collect(),
            efficient_batch_rows: scheduling.efficient_rows,
            batch_rows: scheduling.batch_rows,
            batch_delay_us: micros(scheduling.hold),
            max_queue_rows: scheduling.max_queue_rows,
            queued_rows: scheduling.n_queued_rows,
            predicted_wait_us: scheduling.predicted_wait.map(micros),
            admission_level: scheduling.admission_level.number(),
        }
    }
}

impl From<&contract::RunCost> for RunCost {
    fn from(cost: &contract::RunCost) -> Self {
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
    use contract::AdmissionLevel;

    use super::*;

    #[test]
    fn everything_that_the_scheduler_goes_by_is_shown_with_its_unit() {
        let scheduling = contract::Scheduling {
            execution_target: ExecutionTarget::Pool,
            execution_target_reason: "a run takes long".to_owned(),
            curve: vec![contract::RunCost {
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
        let json = serde_json::to_string_pretty(&Scheduling::from(&scheduling)).unwrap();
        insta::assert_snapshot!(json);
    }
}
