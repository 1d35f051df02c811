//! Replicas: what followers of this server have counted for one of its rollouts.
//!
//! Input: vectors of counts that only grow, by the name of a replica, which is a new one for every
//! process. Rule: the latest vector of each replica counts, and the rollout is decided from the sum
//! of all. So a vector that comes twice changes nothing, one that is lost is made good by the next,
//! the order does not matter, and a replica that ends keeps what it has counted. Cold start: nobody.
//! Recovery: the vectors are kept in one record with the evidence that was made from them, so after
//! a kill nothing counts twice, and what replicas counted meanwhile counts in the first block.
//! Rejected: sending what came since the last time, which a lost reply counts twice or never.

mod counters;

use std::collections::BTreeMap;

use contract::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use super::counter_deltas::Totals;

pub(super) use counters::ReplicaCounters;

/// Far more than there are servers; a restarted one is a new replica.
const MAX_REPLICAS: usize = 256;

/// Room for a random name.
const MAX_NAME_BYTES: usize = 64;

/// The latest vector of each replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Replicas(BTreeMap<String, ReplicaCounters>);

impl Replicas {
    /// Takes what a replica has counted so far; gives how many replicas there are.
    ///
    /// # Errors
    /// `invalid_request` for a name that is none and for a count that has fallen, or `conflict` when
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

    /// What all of them have counted. Always added up in the same order, so that the same vectors
    /// give the same sums to the last bit.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for counters in self.0.values() {
            totals.add(&counters.totals());
        }
        totals
    }

    /// The longest run of errors of the candidate at one replica, since this generation is in force
    /// there: runs of an earlier one belong to another step.
    pub(super) fn error_run(&self, generation: u64) -> u64 {
        let all_counters = self.0.values();
        let current = all_counters.filter(|counters| counters.generation == generation);
        let runs = current.map(|counters| counters.error_run);
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
