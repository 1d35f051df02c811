//! The state that a leader sends to its followers and that a follower persists.
//!
//! Decision: the leader sends the state of each rollout, never an instruction, so a message that is
//! lost or received twice changes nothing. A follower shows the documents of the leader as its own.
//! The format has a version; unknown keys are ignored, so that a leader may be newer.

use api::rollout::{LeaderRollout, LeaderState, Status};
use contract::{Error, RawJson, Result, Version};
use serde_json::value::RawValue;

use super::documents;
use super::snapshot::RolloutSnapshot;
use crate::timestamp::Timestamp;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// Returns the state of these rollouts as a JSON document.
///
/// # Errors
/// `internal` when it cannot be serialized.
pub(super) fn document(rollouts: Vec<LeaderRollout>) -> Result<RawJson> {
    documents::document(&LeaderState {
        format: FORMAT,
        rollouts,
    })
}

/// Parses the state of a leader; returns its rollouts.
///
/// # Errors
/// `invalid_request` when the text is not a state of this format.
pub(super) fn read(text: &str) -> Result<Vec<LeaderRollout>> {
    let wrong = |error| Error::invalid(format!("invalid leader state: {error}"));
    let LeaderState { format, rollouts } = serde_json::from_str(text).map_err(wrong)?;
    if format != FORMAT {
        return Err(Error::invalid(format!(
            "`format`: expected {FORMAT}, got {format}"
        )));
    }
    let is_wrong = |rollout: &&LeaderRollout| !(0.0..=1.0).contains(&rollout.weight);
    match rollouts.iter().find(is_wrong) {
        None => Ok(rollouts),
        Some(rollout) => Err(Error::invalid(format!(
            "`weight` of the rollout `{}`: expected 0 to 1, got {}",
            rollout.id, rollout.weight
        ))),
    }
}

/// Returns the state of one rollout from its snapshot.
///
/// # Errors
/// `internal` when a document of the snapshot is not JSON.
pub(super) fn of_snapshot(
    id: &str,
    file: &str,
    snapshot: &RolloutSnapshot,
) -> Result<LeaderRollout> {
    Ok(LeaderRollout {
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

/// Returns the number of the run of a rollout, from its status.
pub(super) fn run(rollout: &LeaderRollout) -> u64 {
    let status = serde_json::from_str::<Status>(rollout.status.get());
    status.map_or(1, |status| status.run)
}

/// Returns whether generation, weight and winner are the same.
pub(super) fn has_same_effect(before: &LeaderRollout, now: &LeaderRollout) -> bool {
    let of = |rollout: &LeaderRollout| (rollout.generation, rollout.weight.to_bits());
    of(before) == of(now) && before.winner == now.winner
}

/// Returns the snapshot that a follower shows; `winner` is pinned here.
pub(super) fn snapshot(rollout: &LeaderRollout, winner: Option<Version>) -> RolloutSnapshot {
    RolloutSnapshot {
        status: RawJson::new(rollout.status.get()),
        evidence: RawJson::new(rollout.evidence.get()),
        verdict: RawJson::new(rollout.verdict.get()),
        weight: rollout.weight,
        generation: rollout.generation,
        since: Timestamp::default(),
        winner,
        open_alerts: Vec::new(),
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
        let rollouts = read(SAMPLE).unwrap();
        let [rollout] = rollouts.as_slice() else {
            panic!("{rollouts:?}");
        };
        assert_eq!((rollout.weight, rollout.generation), (0.25, 3));
        let shown = snapshot(rollout, None);
        assert_eq!(shown.status.as_str(), r#"{"b":1,"a":2}"#);
        assert_eq!(document(rollouts).unwrap().as_str(), SAMPLE);
    }

    #[test]
    fn new_keys_of_a_leader_are_ignored_and_another_format_is_refused() {
        let more = SAMPLE.replace("\"id\"", "\"mood\":7,\"id\"");
        assert!(read(&more).is_ok());
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
            let error = read(&SAMPLE.replace(from, to)).unwrap_err();
            assert!(error.message().contains(expected), "{to}: {error}");
        }
    }
}
