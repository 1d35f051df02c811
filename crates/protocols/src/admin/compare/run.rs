//! Runs of the items: one by one for agreement and latency, then several at once for throughput.
//!
//! Rule: every item runs on all versions before the next one does, in an order that is shuffled for
//! each item ([`VersionOrder`]), so that none profits from what another leaves in the caches, and
//! none suffers from it alone. A few items run before anything is counted.

use std::time::{Duration, Instant};

use contract::{Code, Error, InferRequest, RequestId, Result, Route};
use futures_util::stream::{self, StreamExt};
use stats::comparison::{Answer, Item, Median, ReportBuilder, VersionOrder};
use tokio::time;

use super::Inputs;
use crate::context::Context;
use crate::offload::offload;

/// Runs of each version that are not counted.
const WARMUP_ITEMS: usize = 5;

/// Items of one version that run at once before the next version has its turn: long enough to fill
/// batches, short enough that a slower minute of the machine affects all versions.
const ITEMS_PER_ROUND: usize = 64;

/// The lowest priority, after all requests of callers.
const PRIORITY: u32 = u32::MAX;

/// A comparison in progress.
pub(super) struct ComparisonRun<'a> {
    pub(super) ctx: &'a Context,
    /// The versions.
    pub(super) routes: &'a [Route],
    /// The inputs by item and version.
    pub(super) items: &'a [Vec<Inputs>],
    /// The right classes by item and row; empty when they are not known.
    pub(super) labels: &'a [Vec<String>],
    /// The seed of the order of the versions.
    pub(super) seed: u64,
    /// The deadline of the caller.
    pub(super) deadline: Option<Instant>,
}

/// The throughput of a version under concurrent requests: the rows per second of each round.
#[derive(Clone, Debug, Default)]
pub(super) struct Throughput {
    rates: Vec<f64>,
}

impl Throughput {
    #[expect(clippy::cast_precision_loss, reason = "rows of one comparison are few")]
    fn add_round(&mut self, n_rows: usize, time: Duration) {
        if !time.is_zero() {
            self.rates.push(n_rows as f64 / time.as_secs_f64());
        }
    }

    /// Returns the median over the rounds; `None` without any.
    pub(super) fn rows_per_second(&self) -> Option<f64> {
        Median::of(self.rates.clone()).map(|median| median.value)
    }
}

impl ComparisonRun<'_> {
    /// Runs all items one at a time and adds them to the report.
    pub(super) async fn run_sequentially(&self, tally: &mut ReportBuilder) -> Result<()> {
        for item in self.items.iter().take(WARMUP_ITEMS) {
            for (route, inputs) in self.routes.iter().zip(item) {
                self.infer_timed(route, inputs).await;
            }
        }
        let mut order = VersionOrder::new(self.routes.len(), self.seed);
        for (index, item) in self.items.iter().enumerate() {
            self.check_deadline()?;
            let answers = self.infer_all(order.next_order(), item).await;
            let item = Item {
                answers: &answers,
                n_rows: item.first().map_or(1, |inputs| inputs.n_rows),
                labels: self.labels.get(index).map_or(&[], Vec::as_slice),
            };
            offload(answer_bytes(&answers), || tally.add(&item));
        }
        Ok(())
    }

    /// Runs one item on all versions in this order; returns the answers in the order of the versions.
    async fn infer_all(&self, order: &[usize], item: &[Inputs]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(order.len());
        for &version in order {
            if let (Some(route), Some(inputs)) = (self.routes.get(version), item.get(version)) {
                answers.push((version, self.infer_timed(route, inputs).await));
            }
        }
        answers.sort_unstable_by_key(|(version, _)| *version);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Runs all items again on each version, `concurrency` at once; returns nothing for one at a
    /// time, which has been measured.
    pub(super) async fn run_concurrently(&self, concurrency: usize) -> Result<Vec<Throughput>> {
        if concurrency <= 1 {
            return Ok(Vec::new());
        }
        let mut throughput = vec![Throughput::default(); self.routes.len()];
        let mut order = VersionOrder::new(self.routes.len(), self.seed);
        for items in self.items.chunks(round_size(self.items.len(), concurrency)) {
            for &version in order.next_order() {
                self.check_deadline()?;
                let inputs = items.iter().filter_map(|item| item.get(version));
                let started = time::Instant::now();
                if let Some(route) = self.routes.get(version)
                    && let Some(throughput) = throughput.get_mut(version)
                {
                    let n_rows = self.round(route, inputs, concurrency).await;
                    throughput.add_round(n_rows, started.elapsed());
                }
            }
        }
        Ok(throughput)
    }

    /// Runs items on one version, several at once, and returns the number of answered rows.
    async fn round<'b>(
        &self,
        route: &Route,
        inputs: impl Iterator<Item = &'b Inputs>,
        concurrency: usize,
    ) -> usize {
        let calls: Vec<_> = inputs
            .map(|inputs| async move {
                let answer = self.infer_timed(route, inputs).await;
                answer.outputs.map_or(0, |_| inputs.n_rows)
            })
            .collect();
        let answered = stream::iter(calls).buffer_unordered(concurrency);
        answered.fold(0, async |sum, n_rows| sum + n_rows).await
    }

    async fn infer_timed(&self, route: &Route, inputs: &Inputs) -> Answer {
        let id = RequestId::new("compare");
        let mut request = InferRequest::new(id, inputs.tensors.clone());
        request.priority = PRIORITY;
        // Short runs do not wait, and other connections must get their turn.
        tokio::task::consume_budget().await;
        let started = time::Instant::now();
        let response = self.ctx.infer.infer(route.clone(), request).await;
        Answer {
            latency: started.elapsed(),
            outputs: response.map(|response| response.outputs),
        }
    }

    fn check_deadline(&self) -> Result<()> {
        let now = time::Instant::now().into_std();
        match self.deadline.is_some_and(|deadline| deadline <= now) {
            false => Ok(()),
            true => Err(Error::new(
                Code::DeadlineExceeded,
                "the comparison did not finish in time; compare fewer items, or wait longer",
            )),
        }
    }
}

/// Returns the items of a round, so that all rounds have about as many.
fn round_size(n_items: usize, concurrency: usize) -> usize {
    let n_rounds = n_items.div_ceil(ITEMS_PER_ROUND.max(concurrency)).max(1);
    n_items.div_ceil(n_rounds).max(1)
}

/// Returns the size of all answers.
fn answer_bytes(answers: &[Answer]) -> usize {
    let outputs = answers.iter().flat_map(|answer| answer.outputs.iter());
    let tensors = outputs.flatten().map(|output| &output.tensor);
    tensors.map(|tensor| tensor.data().len()).sum()
}

#[cfg(test)]
mod tests;
