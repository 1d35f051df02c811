//! Counters of the arms of a split: counts, times and outputs, since the split was set.
//!
//! Rule: a request counts for the arm that it was assigned to, never when the arm was forced, and
//! not when the caller made a mistake or went away. Counters only grow, so that the difference of
//! two samples gives the counts between them. Counting is a few relaxed additions and one scan of
//! the outputs: no lock, no allocation.

mod exposures;
mod outputs;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::{ArmResult, Code, NamedTensor, OutputCounts, RewardResult, Timings};
use smallvec::SmallVec;
use stats::arm_totals::ArmTotals;
use stats::histogram::AtomicHistogram;
use stats::means::difference::Moments;

pub(crate) use exposures::{Exposure, Exposures, RequestFingerprint};
pub(crate) use outputs::{Class, OutputSummary, is_not_finite};

use outputs::{N_BINS, N_SCORE_BINS, OutputKind};

/// Number of different units that a run of errors needs, where units are known.
const MIN_UNITS_OF_RUN: usize = 3;

/// Outcome of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    /// Code of the error, when it failed.
    pub(crate) error: Option<Code>,
    /// Its total time.
    pub(crate) latency: Duration,
    /// Parts of the time of an answer.
    pub(crate) timings: Option<Timings>,
    /// Outputs of the answer.
    pub(crate) outputs: &'a [NamedTensor],
    /// Its unit, when it has one.
    pub(crate) unit: Option<AssignedUnit>,
}

/// The unit of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AssignedUnit {
    /// Its fingerprint.
    pub(crate) fingerprint: u64,
    /// Set for the first request of the unit.
    pub(crate) is_first: bool,
}

/// The counts of one arm.
#[derive(Debug)]
pub(crate) struct ArmCounters {
    errors: AtomicU64,
    error_run: AtomicU64,
    /// Different units of the current run of errors, up to [`MIN_UNITS_OF_RUN`].
    units_of_run: Mutex<SmallVec<[u64; MIN_UNITS_OF_RUN]>>,
    longest_error_run: AtomicU64,
    /// By span: total, queue, infer.
    latencies: [AtomicHistogram; 3],
    output_kind: AtomicU8,
    outputs: [AtomicU64; N_BINS],
    /// Bins of the first rows: one observation per request.
    first_rows: [AtomicU64; N_BINS],
    non_finite: AtomicU64,
    units: AtomicU64,
    /// Rewards are rare beside requests, so a lock is fine.
    rewards: Mutex<Rewards>,
}

/// Rewards of the answers of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rewards {
    /// The sums of all rewards.
    pub(crate) moments: Moments,
    /// Rewards that are neither 0 nor 1.
    pub(crate) n_non_binary: u64,
}

impl Default for ArmCounters {
    fn default() -> Self {
        Self {
            errors: AtomicU64::new(0),
            error_run: AtomicU64::new(0),
            units_of_run: Mutex::default(),
            longest_error_run: AtomicU64::new(0),
            latencies: Default::default(),
            output_kind: AtomicU8::new(OutputKind::Unknown.number()),
            outputs: std::array::from_fn(|_| AtomicU64::new(0)),
            first_rows: std::array::from_fn(|_| AtomicU64::new(0)),
            non_finite: AtomicU64::new(0),
            units: AtomicU64::new(0),
            rewards: Mutex::default(),
        }
    }
}

impl ArmCounters {
    /// Records a request; returns the summary of its answer.
    pub(crate) fn record(&self, outcome: &Outcome<'_>) -> Option<OutputSummary> {
        match outcome.error {
            None => Some(self.record_answer(outcome)),
            Some(code) if code.is_client_mistake() => None,
            Some(_) => {
                self.record_error(outcome.unit);
                None
            }
        }
    }

    fn record_error(&self, unit: Option<AssignedUnit>) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let run = self.error_run.fetch_add(1, Ordering::Relaxed) + 1;
        if unit.is_none_or(|unit| self.is_run_of_many_units(run == 1, unit.fingerprint)) {
            self.longest_error_run.fetch_max(run, Ordering::Relaxed);
        }
    }

    /// Adds a unit to the run of errors; returns whether enough units have errors, so that the run
    /// is not the work of one user whose inputs always fail.
    fn is_run_of_many_units(&self, is_first: bool, unit: u64) -> bool {
        let units = self.units_of_run.lock();
        let mut units = units.unwrap_or_else(PoisonError::into_inner);
        if is_first {
            units.clear();
        }
        if units.len() < MIN_UNITS_OF_RUN && !units.contains(&unit) {
            units.push(unit);
        }
        units.len() >= MIN_UNITS_OF_RUN
    }

    fn record_answer(&self, outcome: &Outcome<'_>) -> OutputSummary {
        // A load first: a cache line that is not written stays in all caches.
        if self.error_run.load(Ordering::Relaxed) != 0 {
            self.error_run.store(0, Ordering::Relaxed);
        }
        let [total, queue, infer] = &self.latencies;
        total.add(outcome.latency);
        if let Some(timings) = &outcome.timings {
            queue.add(timings.queue);
            infer.add(timings.compute);
        }
        if outputs::has_non_finite(outcome.outputs) {
            self.non_finite.fetch_add(1, Ordering::Relaxed);
        }
        let seen = outputs::summarize(outcome.outputs, |bin| {
            if let Some(count) = self.outputs.get(bin) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        if let Some(count) = seen.first_bin.and_then(|bin| self.first_rows.get(bin)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let kind = seen.kind.number();
        if seen.kind != OutputKind::Unknown && self.output_kind.load(Ordering::Relaxed) != kind {
            self.output_kind.store(kind, Ordering::Relaxed);
        }
        seen
    }

    /// Records a unit that was assigned for the first time.
    pub(super) fn record_unit(&self) {
        self.units.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of assigned units.
    pub(crate) fn n_units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// Records the reward of an answer.
    pub(super) fn record_reward(&self, reward: f64) {
        let one = Moments {
            n: 1,
            sum: reward,
            sum_squares: reward * reward,
        };
        let mut rewards = self.rewards.lock().unwrap_or_else(PoisonError::into_inner);
        rewards.moments.add(one);
        rewards.n_non_binary += u64::from(reward != 0.0 && reward != 1.0);
    }

    /// Returns the rewards so far.
    pub(super) fn rewards(&self) -> Rewards {
        *self.rewards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the totals so far.
    pub(crate) fn totals(&self) -> ArmTotals {
        let latencies = self.latencies.each_ref().map(AtomicHistogram::read);
        let [total, ..] = &latencies;
        ArmTotals {
            n_answered: total.n(),
            n_errors: self.errors.load(Ordering::Relaxed),
            outputs: read(&self.first_rows),
            n_nan: self.non_finite.load(Ordering::Relaxed),
            rewards: self.rewards().moments,
            latencies,
        }
    }

    /// Returns the longest run of consecutive failures since the last call, and resets it.
    pub(crate) fn take_longest_error_run(&self) -> u64 {
        self.longest_error_run.swap(0, Ordering::Relaxed)
    }

    /// Returns the counts so far in the form of the API.
    pub(crate) fn result(&self, arm: &str, weight: f64) -> ArmResult {
        let totals = self.totals();
        let [latencies, ..] = &totals.latencies;
        ArmResult {
            arm: arm.to_owned(),
            weight,
            n_requests: totals.n_answered + totals.n_errors,
            n_errors: totals.n_errors,
            p50: latencies.quantile(0.5),
            p95: latencies.quantile(0.95),
            p99: latencies.quantile(0.99),
            n_units: self.n_units(),
            reward: RewardResult {
                n: totals.rewards.n,
                mean: totals.rewards.mean(),
            },
            outputs: self.outputs(),
        }
    }

    fn outputs(&self) -> OutputCounts {
        let mut counts = read(&self.outputs);
        match OutputKind::from_number(self.output_kind.load(Ordering::Relaxed)) {
            OutputKind::Unknown => OutputCounts::Nothing,
            OutputKind::Classes => OutputCounts::Classes(counts),
            OutputKind::Scores => {
                counts.truncate(N_SCORE_BINS);
                OutputCounts::Scores(counts)
            }
        }
    }
}

fn read(counts: &[AtomicU64]) -> Vec<u64> {
    let counts = counts.iter();
    counts.map(|count| count.load(Ordering::Relaxed)).collect()
}

#[cfg(test)]
mod tests;
