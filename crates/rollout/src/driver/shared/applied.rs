//! A shared rollout as this server applied it, which survives a restart.
//!
//! Decision: the server keeps its own copy of the record, so that it splits the traffic as before
//! when it starts while the store is away.

use contract::{Error, Result};
use serde::{Deserialize, Serialize};

use super::super::record::Record;
use super::unreadable;
use crate::config::RolloutConfig;
use crate::state::{Action, Rollout};
use crate::timestamp::Timestamp;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// The applied state of a shared rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct AppliedRollout {
    format: u32,
    /// The revision of the record.
    pub(super) revision: u64,
    /// The record.
    pub(super) record: Record,
    /// The weight of the candidate on this server: zero until the candidate is ready here.
    pub(super) weight: f64,
    /// Set when the rollout has ended and the winner was pinned here.
    pub(super) has_finished: bool,
}

impl AppliedRollout {
    /// Creates the state of a rollout of which nothing is applied yet.
    pub(super) fn new(revision: u64, record: Record) -> Self {
        Self {
            format: FORMAT,
            revision,
            record,
            weight: 0.0,
            has_finished: false,
        }
    }

    /// Parses stored state.
    ///
    /// # Errors
    /// `internal` when this version cannot read it.
    pub(in super::super) fn read(text: &str) -> Result<Self> {
        let applied: Self =
            serde_json::from_str(text).map_err(|error| unreadable("a shared rollout", &error))?;
        match applied.format {
            FORMAT => Ok(applied),
            format => Err(Error::internal(format!(
                "stored shared rollout has format {format}, but this version reads {FORMAT}"
            ))),
        }
    }

    /// Returns the text to store.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(in super::super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal(format!("failed to serialize rollout: {error}")))
    }

    /// Returns the rollout file as written.
    pub(in super::super) fn file(&self) -> &str {
        &self.record.file
    }

    /// Returns the same rollout after its winner was pinned.
    pub(in super::super) fn finished(self) -> Self {
        Self {
            has_finished: true,
            ..self
        }
    }

    /// Returns the rollout as the record has it.
    ///
    /// # Errors
    /// `internal` when the record does not fit its own rollout file.
    pub(in super::super) fn rollout(&self, now: Timestamp) -> Result<Rollout> {
        // The actions are those of the server that decides.
        Ok(rollout(&self.record, now)?.0)
    }

    /// Returns the weight with which the rollout controls the model on this server; `None` when it
    /// does not.
    pub(in super::super) fn weight_in_force(&self) -> Option<f64> {
        (!self.has_finished).then_some(self.weight)
    }
}

/// Returns the rollout that a record describes, and the actions that bring a server to its state.
///
/// # Errors
/// `internal` when the record does not fit its own rollout file.
pub(super) fn rollout(record: &Record, now: Timestamp) -> Result<(Rollout, Vec<Action>)> {
    let invalid =
        |error: String| Error::internal(format!("failed to read shared rollout: {error}"));
    let config = RolloutConfig::parse(&record.file).map_err(|error| invalid(error.to_string()))?;
    let config = config.for_run(record.run);
    let resumed = Rollout::resume(config, record.progress.clone(), now);
    resumed.map_err(|error| invalid(error.to_string()))
}
