//! The counts that a server adds to the store, as JSON.
//!
//! Decision: a block holds what the server counted since its last block, so the store forgets it
//! once it was used. Histograms are written as their buckets that are not empty, a tenth of the
//! whole. The first request and the first error of a unit are entries of their own, which the store
//! takes once from all servers: two sets for each assignment epoch.

use std::collections::BTreeMap;

use contract::{Error, Result};
use serde::{Deserialize, Serialize};
use stats::arm_totals::ArmTotals;
use stats::histogram::Histogram;
use stats::means::difference::Moments;
use stats::observation::{FirstRequest, UnitEvent, UnitObservation};

use super::super::observations::{Arms, Observations};
use super::super::pair_totals::PairTotals;
use super::unreadable;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// The counts of one server since its last block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Block {
    /// All requests, for guards and alarms.
    pub(super) requests: Arms<ArmTotals>,
    /// Pairs of answers.
    pub(super) pairs: PairTotals,
    /// Observations by weight; the units of them travel apart.
    pub(super) observations: Vec<Observations>,
    /// The longest runs of errors.
    pub(super) error_runs: Arms<u64>,
}

/// A unit with the weight at which it was assigned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) weight: f64,
    pub(super) assignment_epoch: u64,
    pub(super) observation: UnitObservation,
}

#[derive(Debug, Serialize, Deserialize)]
struct BlockDocument {
    format: u32,
    requests: Arms<ArmDocument>,
    pairs: PairTotals,
    observations: Vec<ObservationsDocument>,
    error_runs: Arms<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ObservationsDocument {
    weight: f64,
    assignment_epoch: u64,
    requests: Arms<ArmDocument>,
    assigned: Arms<u64>,
}

/// Counts of one arm; the number of answers is that of the total latencies.
#[derive(Debug, Serialize, Deserialize)]
struct ArmDocument {
    errors: u64,
    nan_outputs: u64,
    /// Buckets by span: total, queue, infer.
    latencies: [BTreeMap<u8, u64>; 3],
    outputs: Vec<u64>,
    rewards: (u64, f64, f64),
}

#[derive(Debug, Serialize, Deserialize)]
struct UnitDocument {
    weight: f64,
    assignment_epoch: u64,
    fingerprint: u64,
    is_candidate: bool,
    event: EventDocument,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventDocument {
    /// A first request without a result.
    Assigned,
    /// A first request that was answered: buckets of its latencies, and its output bin.
    Answered([u8; 3], Option<u8>),
    /// A first request that failed.
    Failed,
    /// A first error.
    FirstError,
}

/// Returns a block as text, without its units.
///
/// # Errors
/// `internal` when it cannot be serialized.
pub(super) fn block_text(block: &Block) -> Result<String> {
    let observations = block
        .observations
        .iter()
        .map(|observations| ObservationsDocument {
            weight: observations.weight,
            assignment_epoch: observations.assignment_epoch,
            requests: arms_document(&observations.requests),
            assigned: observations.assigned,
        });
    to_text(&BlockDocument {
        format: FORMAT,
        requests: arms_document(&block.requests),
        pairs: block.pairs,
        observations: observations.collect(),
        error_runs: block.error_runs,
    })
}

/// Parses a block.
///
/// # Errors
/// `internal` when this version cannot read it.
pub(super) fn read_block(text: &str) -> Result<Block> {
    let document: BlockDocument =
        serde_json::from_str(text).map_err(|error| unreadable("shared counts", &error))?;
    if document.format != FORMAT {
        return Err(Error::internal(format!(
            "shared counts have format {}, but this version reads {FORMAT}",
            document.format
        )));
    }
    let observations = document
        .observations
        .into_iter()
        .map(|document| Observations {
            weight: document.weight,
            assignment_epoch: document.assignment_epoch,
            requests: document.requests.map(|arm| arm_totals(&arm)),
            assigned: document.assigned,
            units: Vec::new(),
        });
    Ok(Block {
        requests: document.requests.map(|arm| arm_totals(&arm)),
        pairs: document.pairs,
        observations: observations.collect(),
        error_runs: document.error_runs,
    })
}

/// Returns a unit as the store takes it.
///
/// # Errors
/// `internal` when it cannot be serialized.
pub(super) fn shared_unit(unit: &Unit) -> Result<contract::UnitObservation> {
    let UnitObservation {
        fingerprint,
        is_candidate,
        ref event,
    } = unit.observation;
    let (set, event) = match event {
        UnitEvent::FirstRequest(None) => ("requests", EventDocument::Assigned),
        UnitEvent::FirstRequest(Some(first)) if first.is_error => {
            ("requests", EventDocument::Failed)
        }
        UnitEvent::FirstRequest(Some(first)) => (
            "requests",
            EventDocument::Answered(first.latencies, first.output_bin),
        ),
        UnitEvent::FirstError => ("errors", EventDocument::FirstError),
    };
    Ok(contract::UnitObservation {
        set: format!("{}:{set}", unit.assignment_epoch),
        fingerprint,
        observation: to_text(&UnitDocument {
            weight: unit.weight,
            assignment_epoch: unit.assignment_epoch,
            fingerprint,
            is_candidate,
            event,
        })?,
    })
}

/// Parses a unit.
///
/// # Errors
/// `internal` when this version cannot read it.
pub(super) fn read_unit(text: &str) -> Result<Unit> {
    let document: UnitDocument =
        serde_json::from_str(text).map_err(|error| unreadable("a shared unit", &error))?;
    let event = match document.event {
        EventDocument::Assigned => UnitEvent::FirstRequest(None),
        EventDocument::Answered(latencies, output_bin) => {
            UnitEvent::FirstRequest(Some(FirstRequest {
                is_error: false,
                latencies,
                output_bin,
            }))
        }
        EventDocument::Failed => UnitEvent::FirstRequest(Some(FirstRequest {
            is_error: true,
            ..FirstRequest::default()
        })),
        EventDocument::FirstError => UnitEvent::FirstError,
    };
    Ok(Unit {
        weight: document.weight,
        assignment_epoch: document.assignment_epoch,
        observation: UnitObservation {
            fingerprint: document.fingerprint,
            is_candidate: document.is_candidate,
            event,
        },
    })
}

/// Adds a unit to the observations at its weight.
pub(super) fn add_unit(observations: &mut Vec<Observations>, unit: Unit) {
    let is_same = |known: &&mut Observations| {
        known.weight.to_bits() == unit.weight.to_bits()
            && known.assignment_epoch == unit.assignment_epoch
    };
    if let Some(known) = observations.iter_mut().rev().find(is_same) {
        known.units.push(unit.observation);
        return;
    }
    observations.push(Observations {
        weight: unit.weight,
        assignment_epoch: unit.assignment_epoch,
        units: vec![unit.observation],
        ..Observations::default()
    });
}

fn to_text(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document)
        .map_err(|error| Error::internal(format!("failed to serialize counts: {error}")))
}

fn arms_document(arms: &Arms<ArmTotals>) -> Arms<ArmDocument> {
    Arms {
        stable: arm_document(&arms.stable),
        candidate: arm_document(&arms.candidate),
    }
}

fn arm_document(arm: &ArmTotals) -> ArmDocument {
    let Moments {
        n,
        sum,
        sum_squares,
    } = arm.rewards;
    ArmDocument {
        errors: arm.n_errors,
        nan_outputs: arm.n_nan,
        latencies: arm
            .latencies
            .each_ref()
            .map(|histogram| histogram.counts().collect()),
        outputs: arm.outputs.clone(),
        rewards: (n, sum, sum_squares),
    }
}

fn arm_totals(document: &ArmDocument) -> ArmTotals {
    let histogram = |buckets: &BTreeMap<u8, u64>| {
        let buckets = buckets.iter().map(|(&bucket, &count)| (bucket, count));
        Histogram::from_counts(buckets).unwrap_or_default()
    };
    let latencies = document.latencies.each_ref().map(histogram);
    let [total, ..] = &latencies;
    let (n, sum, sum_squares) = document.rewards;
    ArmTotals {
        n_answered: total.n(),
        n_errors: document.errors,
        n_nan: document.nan_outputs,
        outputs: document.outputs.clone(),
        rewards: Moments {
            n,
            sum,
            sum_squares,
        },
        latencies,
    }
}

#[cfg(test)]
mod tests;
