//! Counters of the replicas that follow this server, for one rollout.
//!
//! Input: vectors of counts that only grow, by the name of a replica, which is new for every
//! process. Rule: the latest vector of each replica counts, and the rollout is decided from the sum
//! of all. So a vector received twice changes nothing, a lost one is made good by the next, the
//! order does not matter, and a replica that ends keeps its counts. Cold start: no replica.
//! Recovery: the vectors are persisted in one record with the evidence made from them, so after a
//! kill nothing counts twice, and the first block contains what replicas counted meanwhile.
//! Rejected: sending the counts since the last report, which a lost reply counts twice or never.

mod counters;

use std::collections::BTreeMap;

use contract::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use stats::arm_totals::ArmTotals;

use super::observations::Arms;

pub(super) use counters::ReplicaCounters;

/// Largest number of replicas, far more than there are servers; a restarted one is a new replica.
const MAX_REPLICAS: usize = 256;

/// Longest name of a replica; names are random.
const MAX_NAME_BYTES: usize = 64;

/// The latest vector of each replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Replicas(BTreeMap<String, ReplicaCounters>);

impl Replicas {
    /// Stores the latest counters of a replica; returns the number of replicas.
    ///
    /// # Errors
    /// `invalid_request` for an invalid name and for a count that decreased, or `conflict` when
    /// there are too many replicas.
    pub(super) fn update(&mut self, replica: &str, counters: ReplicaCounters) -> Result<usize> {
        check_name(replica)?;
        if let Some(known) = self.0.get(replica) {
            counters.check_not_decreased(known)?;
        } else if self.0.len() >= MAX_REPLICAS {
            return Err(Error::new(
                Code::Conflict,
                format!("the rollout has {MAX_REPLICAS} replicas already; start a new one"),
            ));
        }
        self.0.insert(replica.to_owned(), counters);
        Ok(self.0.len())
    }

    /// Returns the sum of all vectors, always added in the same order, so that the same vectors
    /// give the same sums to the last bit.
    pub(super) fn totals(&self) -> Arms<ArmTotals> {
        let mut totals = Arms::<ArmTotals>::default();
        for counters in self.0.values() {
            let more = counters.totals();
            totals.stable.add(&more.stable);
            totals.candidate.add(&more.candidate);
        }
        totals
    }

    /// Returns the longest run of errors of the candidate at one replica since this generation was
    /// applied there: runs of an earlier one belong to another step.
    pub(super) fn error_run(&self, generation: u64) -> u64 {
        let all_counters = self.0.values();
        let current = all_counters.filter(|counters| counters.0.generation == generation);
        let runs = current.map(|counters| counters.0.error_run);
        runs.max().unwrap_or_default()
    }
}

fn check_name(replica: &str) -> Result<()> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_name = (1..=MAX_NAME_BYTES).contains(&replica.len()) && replica.bytes().all(is_known);
    match is_name {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "`replica`: expected at most {MAX_NAME_BYTES} letters, digits and `-`, got `{}`",
            replica.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests;
