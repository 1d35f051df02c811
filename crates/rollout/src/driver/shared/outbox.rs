//! The counts of this server on their way to the store.
//!
//! Inputs: the counters of the traffic. Rule: a sample is written as pushes with consecutive
//! numbers, and the counters are not sampled again before the last of them has arrived. So while the
//! store is away the counters themselves keep the counts, in bounded memory, and a push whose answer
//! was lost is repeated under its number, which the store takes once.

use std::collections::VecDeque;
use std::time::Duration;

use contract::{Push, Result, UnitObservation};

use super::super::counter_deltas::Totals;
use super::super::observations::{Arms, Observations};
use super::super::traffic_control::RolloutTraffic;
use super::Sharing;
use super::counts::{Block, Unit, block_text, shared_unit};
use crate::config::{RolloutConfig, Sticky};

/// Most units of one push, for which the store serves nobody else for some milliseconds.
const MAX_UNITS: usize = 5000;

/// One day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest time for which units are kept that no request confirms.
const KEEP_UNITS: Duration = Duration::from_secs(30 * 24 * 3600);

/// The outbox of one rollout.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last: Totals,
    /// The number of the last push that was written.
    sequence: u64,
    pushes: VecDeque<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    sequence: u64,
    block: String,
    units: Vec<UnitObservation>,
}

impl Outbox {
    /// Samples the traffic, unless an earlier sample waits, and sends what waits.
    ///
    /// # Errors
    /// Those of `SharedRollouts::push`; what was not sent stays.
    pub(super) async fn send(
        &mut self,
        sharing: &Sharing,
        config: &RolloutConfig,
        traffic: &mut dyn RolloutTraffic,
    ) -> Result<()> {
        let keep_units = keep_units(config.assignment.sticky);
        if self.pushes.is_empty() {
            self.sample(traffic)?;
        }
        while let Some(outgoing) = self.pushes.front() {
            let push = Push {
                replica: &sharing.replica,
                sequence: outgoing.sequence,
                block: &outgoing.block,
                units: &outgoing.units,
                keep_units,
            };
            sharing.store.push(&config.id, push).await?;
            self.pushes.pop_front();
        }
        Ok(())
    }

    fn sample(&mut self, traffic: &mut dyn RolloutTraffic) -> Result<()> {
        let error_runs = traffic.take_longest_error_runs();
        let totals = traffic.totals();
        let mut observations = traffic.take_observations();
        let units = take_units(&mut observations);
        observations.retain(has_counts);
        let last = std::mem::replace(&mut self.last, totals);
        let block = Block {
            requests: self.last.arms.since(&last.arms),
            pairs: self.last.pairs.since(&last.pairs),
            observations,
            error_runs,
        };
        if block == Block::default() && units.is_empty() {
            return Ok(());
        }
        let units = units.iter().map(shared_unit).collect::<Result<Vec<_>>>()?;
        let mut chunks = units.chunks(MAX_UNITS);
        self.queue(&block, chunks.next().unwrap_or_default())?;
        for chunk in chunks {
            self.queue(&Block::default(), chunk)?;
        }
        Ok(())
    }

    fn queue(&mut self, block: &Block, units: &[UnitObservation]) -> Result<()> {
        let block = block_text(block)?;
        self.sequence += 1;
        self.pushes.push_back(Outgoing {
            sequence: self.sequence,
            block,
            units: units.to_vec(),
        });
        Ok(())
    }
}

/// Returns the time for which the units of an assignment epoch may arrive: long after its end, for a
/// server that was cut off.
fn keep_units(sticky: Sticky) -> Duration {
    match sticky {
        Sticky::Rollout => KEEP_UNITS,
        Sticky::Epoch(length) => (length + DAY).min(KEEP_UNITS),
    }
}

/// Takes the units out of observations, each with its weight.
fn take_units(observations: &mut [Observations]) -> Vec<Unit> {
    let mut units = Vec::new();
    for observations in observations {
        let taken = std::mem::take(&mut observations.units).into_iter();
        units.extend(taken.map(|observation| Unit {
            weight: observations.weight,
            assignment_epoch: observations.assignment_epoch,
            observation,
        }));
    }
    units
}

/// Returns whether observations have requests that no unit made.
fn has_counts(observations: &Observations) -> bool {
    let Arms { stable, candidate } = observations.assigned;
    stable + candidate > 0 || observations.requests != Arms::default()
}
