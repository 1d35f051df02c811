//! The state that a leader sends to its followers and that a follower persists.
//!
//! Decision: the leader sends the state of each rollout, never an instruction, so a message that is
//! lost or received twice changes nothing. A follower shows the documents of the leader as its own.
//! The format has a version; unknown keys are ignored, so that a leader may be newer.

use contract::{Error, RawJson, Result, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::documents::document;
use super::snapshot::RolloutSnapshot;
use crate::timestamp::Timestamp;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// The rollouts of the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LeaderState {
    format: u32,
    /// The running rollouts, and the last ended one of each other model.
    pub(super) rollouts: Vec<LeaderRollout>,
}

/// One rollout of the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LeaderRollout {
    /// Id of the rollout.
    pub(super) id: String,
    /// The rollout file as written.
    pub(super) file: String,
    /// Traffic weight of the candidate.
    pub(super) weight: f64,
    /// Generation, which grows with every transition.
    pub(super) generation: u64,
    /// The version that has won; none while it runs.
    pub(super) winner: Option<String>,
    status: Box<RawValue>,
    evidence: Box<RawValue>,
    verdict: Box<RawValue>,
}

impl LeaderState {
    /// Creates the state of these rollouts.
    pub(super) fn new(rollouts: Vec<LeaderRollout>) -> Self {
        Self {
            format: FORMAT,
            rollouts,
        }
    }

    /// Returns the state as a JSON document.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(super) fn document(&self) -> Result<RawJson> {
        document(self)
    }

    /// Parses the state of a leader.
    ///
    /// # Errors
    /// `invalid_request` when the text is not a state of this format.
    pub(super) fn read(text: &str) -> Result<Self> {
        let wrong = |error| Error::invalid(format!("invalid leader state: {error}"));
        let leader_state: Self = serde_json::from_str(text).map_err(wrong)?;
        if leader_state.format != FORMAT {
            return Err(Error::invalid(format!(
                "`format`: expected {FORMAT}, got {}",
                leader_state.format
            )));
        }
        let mut rollouts = leader_state.rollouts.iter();
        match rollouts.find(|rollout| !(0.0..=1.0).contains(&rollout.weight)) {
            None => Ok(leader_state),
            Some(rollout) => Err(Error::invalid(format!(
                "`weight` of the rollout `{}`: expected 0 to 1, got {}",
                rollout.id, rollout.weight
            ))),
        }
    }
}

impl LeaderRollout {
    /// Creates the state of one rollout from its snapshot.
    ///
    /// # Errors
    /// `internal` when a document of the snapshot is not JSON.
    pub(super) fn new(id: &str, file: &str, snapshot: &RolloutSnapshot) -> Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            file: file.to_owned(),
            weight: snapshot.weight,
            generation: snapshot.generation,
            winner: snapshot.winner.as_ref().map(ToString::to_string),
            status: raw(&snapshot.status)?,
            evidence: raw(&snapshot.evidence)?,
            verdict: raw(&snapshot.verdict)?,
        })
    }

    /// Returns the same rollout, before any of it is applied.
    pub(super) fn before_start(&self) -> Self {
        Self {
            weight: 0.0,
            generation: 0,
            winner: None,
            ..self.clone()
        }
    }

    /// Returns the same rollout, as a follower has applied it.
    pub(super) fn as_applied(&self, weight: f64, winner: Option<String>) -> Self {
        Self {
            weight,
            winner,
            ..self.clone()
        }
    }

    /// Returns whether generation, weight and winner are the same.
    pub(super) fn has_same_effect(&self, now: &Self) -> bool {
        let of = |leader_state: &Self| (leader_state.generation, leader_state.weight.to_bits());
        of(self) == of(now) && self.winner == now.winner
    }

    /// Returns the status, the evidence and the verdict.
    pub(super) fn documents(&self) -> [RawJson; 3] {
        [&self.status, &self.evidence, &self.verdict].map(|raw| RawJson::new(raw.get()))
    }

    /// Returns the snapshot that a follower shows; `winner` is pinned here.
    pub(super) fn to_snapshot(&self, winner: Option<Version>) -> RolloutSnapshot {
        let [status, evidence, verdict] = self.documents();
        RolloutSnapshot {
            status,
            evidence,
            verdict,
            weight: self.weight,
            generation: self.generation,
            since: Timestamp::default(),
            winner,
        }
    }
}

fn raw(document: &RawJson) -> Result<Box<RawValue>> {
    let raw = RawValue::from_string(document.as_str().to_owned());
    raw.map_err(|error| Error::internal(format!("invalid document of a rollout: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"format":1,"rollouts":[{"id":"r","file":"rollout: {}","weight":0.25,"generation":3,"winner":null,"status":{"b":1,"a":2},"evidence":{},"verdict":{"value":0}}]}"#;

    #[test]
    fn the_first_format_is_read_and_written_as_it_was() {
        let leader_state = LeaderState::read(SAMPLE).unwrap();
        let [rollout] = leader_state.rollouts.as_slice() else {
            panic!("{leader_state:?}");
        };
        assert_eq!((rollout.weight, rollout.generation), (0.25, 3));
        let [status, ..] = rollout.documents();
        assert_eq!(status.as_str(), r#"{"b":1,"a":2}"#);
        assert_eq!(leader_state.document().unwrap().as_str(), SAMPLE);
    }

    #[test]
    fn new_keys_of_a_leader_are_ignored_and_another_format_is_refused() {
        let more = SAMPLE.replace("\"id\"", "\"mood\":7,\"id\"");
        assert!(LeaderState::read(&more).is_ok());
        for (from, to, expected) in [
            (
                "\"format\":1",
                "\"format\":2",
                "`format`: expected 1, got 2",
            ),
            ("0.25", "1.25", "expected 0 to 1, got 1.25"),
            ("\"generation\":3,", "", "missing field `generation`"),
            ("{\"format\"", "{\"form\"", "invalid leader state"),
        ] {
            let error = LeaderState::read(&SAMPLE.replace(from, to)).unwrap_err();
            assert!(error.message().contains(expected), "{to}: {error}");
        }
    }
}
