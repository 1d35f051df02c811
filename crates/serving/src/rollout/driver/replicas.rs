//! Replicas: what followers of this server have counted for one of its rollouts.
//!
//! Input: vectors of counts that only grow, by the name of a replica, which is a new one for every
//! process. Rule: the latest vector of each replica counts, and the rollout is decided from the sum
//! of all. So a vector that comes twice changes nothing, one that is lost is made good by the next,
//! the order does not matter, and a replica that ends keeps what it has counted. Cold start: nobody.
//! Recovery: the vectors are kept in one record with the evidence that was made from them, so after
//! a kill nothing counts twice, and what replicas counted meanwhile counts in the first block.
//! Rejected: sending what came since the last time, which a lost reply counts twice or never.

mod vector;

use std::collections::BTreeMap;

use contract::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use super::meter::Sums;

pub(super) use vector::Vector;

/// Far more than there are servers; a restarted one is a new replica.
const MAX_REPLICAS: usize = 256;

/// Room for a random name.
const MAX_NAME_BYTES: usize = 64;

/// The latest vector of each replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Replicas(BTreeMap<String, Vector>);

impl Replicas {
    /// Takes what a replica has counted so far; gives how many replicas there are.
    ///
    /// # Errors
    /// `invalid_request` for a name that is none and for a count that has fallen, or `conflict` when
    /// there are too many replicas.
    pub(super) fn take(&mut self, replica: &str, vector: Vector) -> Result<usize> {
        check_name(replica)?;
        if let Some(known) = self.0.get(replica) {
            vector.check_follows(known)?;
        } else if self.0.len() >= MAX_REPLICAS {
            return Err(Error::new(
                Code::Conflict,
                format!("the rollout has {MAX_REPLICAS} replicas already; start a new one"),
            ));
        }
        self.0.insert(replica.to_owned(), vector);
        Ok(self.0.len())
    }

    /// What all of them have counted. Always added up in the same order, so that the same vectors
    /// give the same sums to the last bit.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for vector in self.0.values() {
            sums.add(&vector.sums());
        }
        sums
    }

    /// The longest run of errors of the candidate at one replica, since this generation is in force
    /// there: runs of an earlier one belong to another step.
    pub(super) fn error_run(&self, generation: u64) -> u64 {
        let vectors = self.0.values();
        let current = vectors.filter(|vector| vector.generation == generation);
        let runs = current.map(|vector| vector.error_run);
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
