//! What a leader tells its followers, and what a follower keeps of it.
//!
//! Decision: the leader tells where each rollout is, never what to do next, so a word that is lost
//! or heard twice changes nothing. A follower shows the documents of the leader as its own. The
//! format has a version; keys that are new in it are passed over, so that a leader may be newer.

use contract::{Error, RawJson, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::snapshot::{RolloutSnapshot, document};

/// The format that is written.
const FORMAT: u32 = 1;

/// Rollouts of the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LeaderState {
    format: u32,
    /// Those that run, and for each model who won the last one.
    pub(super) rollouts: Vec<LeaderRollout>,
}

/// One rollout of the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LeaderRollout {
    /// Its id.
    pub(super) id: String,
    /// What somebody wrote.
    pub(super) file: String,
    /// The share of the candidate.
    pub(super) weight: f64,
    /// Grows with every move.
    pub(super) generation: u64,
    /// The version that has won; none while it runs.
    pub(super) winner: Option<String>,
    status: Box<RawValue>,
    evidence: Box<RawValue>,
    verdict: Box<RawValue>,
}

impl LeaderState {
    /// What is told.
    pub(super) fn new(rollouts: Vec<LeaderRollout>) -> Self {
        Self {
            format: FORMAT,
            rollouts,
        }
    }

    /// It as a document.
    ///
    /// # Errors
    /// `internal` when it cannot be written.
    pub(super) fn document(&self) -> Result<RawJson> {
        document(self)
    }

    /// Reads what was told.
    ///
    /// # Errors
    /// `invalid_request` for what no leader of this format says.
    pub(super) fn read(text: &str) -> Result<Self> {
        let wrong = |error| Error::invalid(format!("this is not what a leader tells: {error}"));
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
    /// What is told about a rollout that looks like this.
    ///
    /// # Errors
    /// `internal` when a document of it is no JSON.
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

    /// The same rollout, before anything of it is in force.
    pub(super) fn before_start(&self) -> Self {
        Self {
            weight: 0.0,
            generation: 0,
            winner: None,
            ..self.clone()
        }
    }

    /// The same, as it is in force at a follower.
    pub(super) fn as_applied(&self, weight: f64, winner: Option<String>) -> Self {
        Self {
            weight,
            winner,
            ..self.clone()
        }
    }

    /// Whether the record of this one tells the same of what is in force.
    pub(super) fn has_same_effect(&self, now: &Self) -> bool {
        let of = |leader_state: &Self| (leader_state.generation, leader_state.weight.to_bits());
        of(self) == of(now) && self.winner == now.winner
    }

    /// Where it stands, all numbers, and the verdict.
    pub(super) fn documents(&self) -> [RawJson; 3] {
        [&self.status, &self.evidence, &self.verdict].map(|raw| RawJson::new(raw.get()))
    }
}

fn raw(document: &RawJson) -> Result<Box<RawValue>> {
    let raw = RawValue::from_string(document.as_str().to_owned());
    raw.map_err(|error| Error::internal(format!("a document of a rollout: {error}")))
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
            ("{\"format\"", "{\"form\"", "not what a leader tells"),
        ] {
            let error = LeaderState::read(&SAMPLE.replace(from, to)).unwrap_err();
            assert!(error.message().contains(expected), "{to}: {error}");
        }
    }
}
