//! The vector of counts of a replica: everything that its arms counted since it began to follow.
//!
//! Decision: histograms are sent as their non-empty buckets, a tenth of the whole, and values that
//! follow from others are not sent. A vector is untrusted input: every number has a bound, so that
//! no sum of vectors overflows.

use std::collections::BTreeMap;
use std::fmt;

use contract::{Error, RawJson, Result};
use serde::{Deserialize, Serialize};
use stats::arm_totals::ArmTotals;
use stats::histogram::Histogram;
use stats::means::difference::Moments;

use super::super::counter_deltas::Totals;
use super::super::documents::document;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// The largest integer that every JSON parser reads exactly; no server counts that far.
const MAX_COUNT: u64 = 1 << 53;

/// Largest size; all buckets of all histograms with numbers of ten digits take a quarter of it.
const MAX_BYTES: usize = 64 * 1024;

/// Largest number of output bins.
const MAX_BINS: usize = 32;

/// Relative rounding error of sums of millions of rewards.
const ROUNDING: f64 = 1e-6;

/// Counters of one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ReplicaCounters {
    format: u32,
    /// Generation that the replica had applied.
    pub(super) generation: u64,
    /// Longest run of errors of the candidate in that generation.
    pub(super) error_run: u64,
    stable: ReplicaArmCounters,
    candidate: ReplicaArmCounters,
}

/// Counters of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplicaArmCounters {
    errors: u64,
    nan_outputs: u64,
    /// Counts by bucket; their sum is the number of answered requests.
    total: BTreeMap<u8, u64>,
    queue: BTreeMap<u8, u64>,
    infer: BTreeMap<u8, u64>,
    outputs: Vec<u64>,
    rewards: Moments,
}

impl ReplicaCounters {
    /// Creates the vector of this server.
    pub(in super::super) fn new(generation: u64, error_run: u64, totals: &Totals) -> Self {
        Self {
            format: FORMAT,
            generation,
            error_run,
            stable: ReplicaArmCounters::new(&totals.stable),
            candidate: ReplicaArmCounters::new(&totals.candidate),
        }
    }

    /// Returns the vector as a JSON document.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(in super::super) fn document(&self) -> Result<RawJson> {
        document(self)
    }

    /// Parses the vector of a replica.
    ///
    /// # Errors
    /// `invalid_request` with the path of the invalid value.
    pub(in super::super) fn read(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::invalid(format!(
                "the counts of a replica: expected at most {MAX_BYTES} bytes, got {}",
                text.len()
            )));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let counters: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let (path, cause) = (error.path().to_string(), error.into_inner());
            Error::invalid(format!("`{path}`: {cause}"))
        })?;
        json.end()
            .map_err(|_| Error::invalid("unexpected text after the counts"))?;
        counters.check()?;
        Ok(counters)
    }

    fn check(&self) -> Result<()> {
        if self.format != FORMAT {
            return Err(Error::invalid(format!(
                "`format`: expected {FORMAT}, got {}",
                self.format
            )));
        }
        let mut numbers = self.numbers().into_iter();
        if let Some((path, number)) = numbers.find(|(_, number)| *number > MAX_COUNT) {
            return Err(Error::invalid(format!(
                "`{path}`: expected at most {MAX_COUNT}, got {number}"
            )));
        }
        self.stable.check("stable")?;
        self.candidate.check("candidate")
    }

    /// Refuses a vector that cannot be later than `earlier`.
    ///
    /// # Errors
    /// `invalid_request` with the path of the number that decreased.
    pub(super) fn check_not_decreased(&self, earlier: &Self) -> Result<()> {
        let now: BTreeMap<_, _> = self.numbers().into_iter().collect();
        for (path, before) in earlier.numbers() {
            let number = now.get(&path).copied().unwrap_or_default();
            // A run of errors starts over with every generation.
            if number < before && path != "error_run" {
                return Err(decreased(&path, &number, &before));
            }
        }
        let arms = [
            ("stable", &self.stable, &earlier.stable),
            ("candidate", &self.candidate, &earlier.candidate),
        ];
        for (arm, now, before) in arms {
            let [now, before] = [now, before].map(|arm| arm.rewards.sum_squares);
            if now < before {
                let path = format!("{arm}.rewards.sum_squares");
                return Err(decreased(&path, &now, &before));
            }
        }
        Ok(())
    }

    /// Returns every count with its path.
    fn numbers(&self) -> Vec<(String, u64)> {
        let mut numbers = vec![
            ("generation".to_owned(), self.generation),
            ("error_run".to_owned(), self.error_run),
        ];
        self.stable.list("stable", &mut numbers);
        self.candidate.list("candidate", &mut numbers);
        numbers
    }

    /// Returns the vector as totals.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            stable: self.stable.totals(),
            candidate: self.candidate.totals(),
            ..Totals::default()
        }
    }
}

fn decreased<T: fmt::Display>(path: &str, now: &T, before: &T) -> Error {
    Error::invalid(format!(
        "`{path}`: it was {before} and is now {now}, but counts of a replica never decrease"
    ))
}

impl ReplicaArmCounters {
    fn new(arm: &ArmTotals) -> Self {
        let [total, queue, infer] = &arm.latencies;
        let buckets = |histogram: &Histogram| histogram.counts().collect();
        Self {
            errors: arm.n_errors,
            nan_outputs: arm.n_nan,
            total: buckets(total),
            queue: buckets(queue),
            infer: buckets(infer),
            outputs: arm.outputs.clone(),
            rewards: arm.rewards,
        }
    }

    fn spans(&self) -> [(&'static str, &BTreeMap<u8, u64>); 3] {
        [
            ("total", &self.total),
            ("queue", &self.queue),
            ("infer", &self.infer),
        ]
    }

    fn list(&self, arm: &str, numbers: &mut Vec<(String, u64)>) {
        numbers.push((format!("{arm}.errors"), self.errors));
        numbers.push((format!("{arm}.nan_outputs"), self.nan_outputs));
        numbers.push((format!("{arm}.rewards.n"), self.rewards.n));
        for (span, buckets) in self.spans() {
            for (bucket, count) in buckets {
                numbers.push((format!("{arm}.{span}.{bucket}"), *count));
            }
        }
        for (bin, count) in self.outputs.iter().enumerate() {
            numbers.push((format!("{arm}.outputs[{bin}]"), *count));
        }
    }

    fn check(&self, arm: &str) -> Result<()> {
        for (span, buckets) in self.spans() {
            if histogram(buckets).is_none() {
                return Err(Error::invalid(format!(
                    "`{arm}.{span}`: the number of a bucket is too large"
                )));
            }
        }
        if self.outputs.len() > MAX_BINS {
            return Err(Error::invalid(format!(
                "`{arm}.outputs`: expected at most {MAX_BINS} bins, got {}",
                self.outputs.len()
            )));
        }
        let Moments {
            n,
            sum,
            sum_squares,
        } = self.rewards;
        // The square of a mean is never above the mean of the squares.
        let largest = n as f64 * sum_squares * (1.0 + ROUNDING);
        let is_possible = sum.is_finite()
            && sum_squares.is_finite()
            && sum_squares >= 0.0
            && (n > 0 || sum_squares == 0.0);
        match is_possible && sum * sum <= largest {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "`{arm}.rewards`: no {n} numbers have the sum {sum} and the sum of squares \
                 {sum_squares}"
            ))),
        }
    }

    fn totals(&self) -> ArmTotals {
        let latencies = self.spans().map(|(_, buckets)| buckets);
        let latencies = latencies.map(|buckets| histogram(buckets).unwrap_or_default());
        let [total, ..] = &latencies;
        ArmTotals {
            n_answered: total.n(),
            n_errors: self.errors,
            outputs: self.outputs.clone(),
            n_nan: self.nan_outputs,
            rewards: self.rewards,
            latencies,
        }
    }
}

fn histogram(buckets: &BTreeMap<u8, u64>) -> Option<Histogram> {
    Histogram::from_counts(buckets.iter().map(|(&bucket, &count)| (bucket, count)))
}
