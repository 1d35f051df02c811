//! Queries of Prometheus: what their results mean for a gate and for a guard.
//!
//! Inputs: the result of one query, its limits, and the results before it. Rule: a gate opens when
//! its value has been within the limits for the required time; `failure_limit` values in a row
//! outside the limits roll back. No data is neither, unless the file calls it a failure. A query
//! that is wrong changes nothing either, and a guard whose query is wrong holds, because nothing
//! guards then. Cold start: a gate is closed, a guard has not failed. Recovery: the values in a row
//! are a part of the progress, and open queries are made again. Rejected: the number of all
//! failures, as in Argo Rollouts, because it only grows, and a long rollout would always reach it.

use contract::GateDecision;
use serde::{Deserialize, Serialize};

use crate::config::prometheus::{OnNoData, PrometheusQuery};
use crate::prometheus::Reading;
use crate::timestamp::Timestamp;

/// The results of a query so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct QueryProgress {
    /// The number of values in a row outside the limits.
    pub(super) n_failures: u32,
    /// The time since which every value was within the limits.
    good_since: Option<Timestamp>,
    /// True when Prometheus refused the last query.
    pub(super) is_invalid: bool,
}

impl QueryProgress {
    /// Adds a result; returns what it means, in words too.
    pub(super) fn add(
        &mut self,
        query: &PrometheusQuery,
        reading: &Reading,
        now: Timestamp,
    ) -> (GateDecision, String) {
        self.is_invalid = matches!(reading, Reading::Invalid(_));
        let failure = match reading {
            Reading::Value(value) => match query.breach(*value) {
                None => {
                    self.n_failures = 0;
                    let since = *self.good_since.get_or_insert(now);
                    let decision = match now.since(since) >= query.required_for {
                        true => GateDecision::Proceed,
                        false => GateDecision::Wait,
                    };
                    return (decision, format!("{value} is within the limits"));
                }
                Some(breach) => Ok(breach),
            },
            Reading::NoData => match query.on_no_data {
                OnNoData::Fail => Ok("no data".to_owned()),
                OnNoData::Wait => Err("no data".to_owned()),
            },
            Reading::Invalid(why) | Reading::Unavailable(why) => Err(why.clone()),
        };
        self.good_since = None;
        match failure {
            Ok(failure) => self.add_failure(query, failure),
            Err(unknown) => (GateDecision::Wait, unknown),
        }
    }

    fn add_failure(&mut self, query: &PrometheusQuery, failure: String) -> (GateDecision, String) {
        self.n_failures = self.n_failures.saturating_add(1);
        let n_failures = self.n_failures;
        match query.failure_limit {
            None => (GateDecision::Wait, failure),
            Some(limit) => {
                let decision = match n_failures >= limit {
                    true => GateDecision::RollBack,
                    false => GateDecision::Wait,
                };
                (
                    decision,
                    format!("{failure}, {n_failures} of {limit} in a row"),
                )
            }
        }
    }
}
