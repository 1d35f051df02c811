//! The totals of one arm of a split since its counters were created.
//!
//! Decision: totals only grow, so that the difference of two samples gives the counts between them,
//! and totals of several servers add up.

use serde::Deserialize;

use crate::Counts;
use crate::histogram::Histogram;
use crate::means::difference::Moments;

/// The part of a request that is timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The whole request.
    #[default]
    Total,
    /// The time before the model ran.
    Queue,
    /// The run of the model.
    Infer,
}

/// Totals of an arm since it was created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmTotals {
    /// Requests that were answered.
    pub n_answered: u64,
    /// Requests that failed.
    pub n_errors: u64,
    /// Times of the answered ones, by span: total, queue, infer.
    pub latencies: [Histogram; 3],
    /// Answers by the output bin of their first row; the meaning of the bins depends on the kind of
    /// the outputs.
    pub outputs: Vec<u64>,
    /// Answers with a NaN or an infinity in an output.
    pub n_nan: u64,
    /// Rewards of the answers.
    pub rewards: Moments,
}

impl ArmTotals {
    /// Returns the histogram of one span of the answered requests.
    #[must_use]
    pub fn latency(&self, span: Span) -> &Histogram {
        let [total, queue, infer] = &self.latencies;
        match span {
            Span::Total => total,
            Span::Queue => queue,
            Span::Infer => infer,
        }
    }

    /// Returns the requests, with the failed ones as events.
    #[must_use]
    pub fn requests(&self) -> Counts {
        Counts {
            n: self.n_answered + self.n_errors,
            events: self.n_errors,
        }
    }

    /// Returns the difference to `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let [total, queue, infer] = &self.latencies;
        let [earlier_total, earlier_queue, earlier_infer] = &earlier.latencies;
        let bins = self.outputs.iter().enumerate().map(|(bin, count)| {
            count.saturating_sub(earlier.outputs.get(bin).copied().unwrap_or_default())
        });
        // Counts only grow, but two counters are not read at one instant.
        Self {
            n_answered: self.n_answered.saturating_sub(earlier.n_answered),
            n_errors: self.n_errors.saturating_sub(earlier.n_errors),
            latencies: [
                total.since(earlier_total),
                queue.since(earlier_queue),
                infer.since(earlier_infer),
            ],
            outputs: bins.collect(),
            n_nan: self.n_nan.saturating_sub(earlier.n_nan),
            rewards: self.rewards.since(earlier.rewards),
        }
    }

    /// Adds the totals of another server for the same arm.
    pub fn add(&mut self, other: &Self) {
        self.n_answered += other.n_answered;
        self.n_errors += other.n_errors;
        self.n_nan += other.n_nan;
        self.rewards.add(other.rewards);
        for (sum, more) in self.latencies.iter_mut().zip(&other.latencies) {
            sum.add(more);
        }
        let n_bins = self.outputs.len().max(other.outputs.len());
        self.outputs.resize(n_bins, 0);
        for (sum, more) in self.outputs.iter_mut().zip(&other.outputs) {
            *sum += more;
        }
    }
}
