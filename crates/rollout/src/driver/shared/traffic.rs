//! The traffic of all servers, as the deciding task sees it.
//!
//! Inputs: the counts that servers added to the store. Rule: a block of a server and the units that
//! were new to the store become totals and observations in the order of their arrival, each once.
//! The weight is set through the record, so setting it here does nothing. The warm-up runs on this
//! server. Recovery: counts that no stored decision used are read again by the next task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::{BoxFuture, PendingCount, PendingCounts, Result};
use stats::assignment::Assigner;
use tokio::sync::Mutex as AsyncMutex;

use super::super::counter_deltas::Totals;
use super::super::observations::{Arms, Observations};
use super::super::pair_totals::PairTotals;
use super::super::traffic_control::RolloutTraffic;
use super::counts::{self, Block};
use crate::config::Warmup;
use crate::state::Traffic;

/// The traffic of this server, which applies the weight and warms the candidate up.
pub(super) type LocalTraffic = Arc<AsyncMutex<Box<dyn RolloutTraffic>>>;

/// Counts from the store on their way to the task.
#[derive(Debug, Default)]
pub(super) struct Inflow(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Entries that the task has not sampled.
    arrived: Vec<PendingCount>,
    /// The number of all entries up to the last that arrived.
    end: u64,
    /// The number of all entries up to the last that was sampled.
    n_counted: u64,
    totals: Totals,
    observations: Vec<Observations>,
    error_runs: Arms<u64>,
}

impl Inflow {
    /// Creates an inflow of the counts after the first `n_counted`.
    pub(super) fn after(n_counted: u64) -> Self {
        Self(Mutex::new(Counts {
            end: n_counted,
            n_counted,
            ..Counts::default()
        }))
    }

    /// Adds entries, except those that arrived before.
    pub(super) fn add(&self, pending: PendingCounts) {
        let mut counts = self.counts();
        let n_new = pending.end.saturating_sub(counts.end);
        let n_known = pending
            .entries
            .len()
            .saturating_sub(usize::try_from(n_new).unwrap_or(usize::MAX));
        counts.end = counts.end.max(pending.end);
        counts
            .arrived
            .extend(pending.entries.into_iter().skip(n_known));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Moves what has arrived to the totals and observations.
    fn sample(&mut self) {
        for entry in std::mem::take(&mut self.arrived) {
            let read = match entry {
                PendingCount::Block(text) => counts::read_block(&text).map(|block| self.add(block)),
                PendingCount::Unit(text) => counts::read_unit(&text).map(|unit| {
                    counts::add_unit(&mut self.observations, unit);
                }),
            };
            if let Err(error) = read {
                let diagnostic = error.diagnostic();
                tracing::error!(%error, diagnostic, "failed to read shared counts");
            }
        }
        self.n_counted = self.end;
    }

    fn add(&mut self, block: Block) {
        self.totals.arms.add(&block.requests);
        self.totals.pairs.add(&block.pairs);
        self.observations.extend(block.observations);
        self.error_runs = self.error_runs.max(block.error_runs);
    }
}

/// The traffic of all servers.
#[derive(Debug)]
pub(super) struct SharedTraffic {
    local: LocalTraffic,
    assigner: Assigner,
    inflow: Arc<Inflow>,
}

impl SharedTraffic {
    /// Creates the traffic whose counts are those of the inflow.
    pub(super) async fn new(local: LocalTraffic, inflow: Arc<Inflow>) -> Self {
        let assigner = local.lock().await.assigner().clone();
        Self {
            local,
            assigner,
            inflow,
        }
    }
}

impl RolloutTraffic for SharedTraffic {
    fn assigner(&self) -> &Assigner {
        &self.assigner
    }

    fn totals(&self) -> Totals {
        let mut counts = self.inflow.counts();
        counts.sample();
        counts.totals.clone()
    }

    fn n_counted(&self) -> u64 {
        self.inflow.counts().n_counted
    }

    fn take_observations(&mut self) -> Vec<Observations> {
        std::mem::take(&mut self.inflow.counts().observations)
    }

    fn take_longest_error_runs(&self) -> Arms<u64> {
        std::mem::take(&mut self.inflow.counts().error_runs)
    }

    fn pairs(&self) -> PairTotals {
        self.inflow.counts().totals.pairs
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        let local = self.local.try_lock();
        local.map(|local| local.dropped()).unwrap_or_default()
    }

    fn n_without_unit(&self) -> u64 {
        let local = self.local.try_lock();
        local
            .map(|local| local.n_without_unit())
            .unwrap_or_default()
    }

    fn set(&mut self, _traffic: Traffic, _assignment_epoch: u64) -> Result<()> {
        Ok(())
    }

    fn start_warmup(&mut self, rule: Warmup) -> BoxFuture<'static, Result<(), String>> {
        let local = Arc::clone(&self.local);
        Box::pin(async move {
            let warmup = {
                let mut local = local.lock().await;
                let warmup = local.start_warmup(rule);
                local
                    .apply()
                    .await
                    .map_err(|error| error.message().to_owned())?;
                warmup
            };
            let result = warmup.await;
            let mut local = local.lock().await;
            if local.end_warmup() {
                local
                    .apply()
                    .await
                    .map_err(|error| error.message().to_owned())?;
            }
            result
        })
    }

    fn end_warmup(&mut self) -> bool {
        false
    }

    fn apply(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(texts: &[&str], end: u64) -> PendingCounts {
        let entries = texts
            .iter()
            .map(|text| PendingCount::Block((*text).to_owned()));
        PendingCounts {
            entries: entries.collect(),
            end,
        }
    }

    #[test]
    fn each_entry_is_counted_once_however_often_it_is_read() {
        let mut block = Block::default();
        block.pairs.n_answered = 1;
        let one = counts::block_text(&block).unwrap();
        let inflow = Inflow::after(10);
        inflow.add(pending(&[&one, &one], 12));
        assert_eq!(inflow.counts().n_counted, 10, "nothing is sampled yet");
        inflow.counts().sample();
        inflow.add(pending(&[&one, &one, &one], 13));
        inflow.add(pending(&[&one], 13));
        inflow.add(pending(&[], 13));
        inflow.counts().sample();
        let counts = inflow.counts();
        assert_eq!((counts.totals.pairs.n_answered, counts.n_counted), (3, 13));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_skipped() {
        let one = counts::block_text(&Block::default()).unwrap();
        let inflow = Inflow::default();
        inflow.add(pending(&["nonsense", &one], 2));
        inflow.counts().sample();
        assert_eq!(inflow.counts().n_counted, 2);
    }
}
