//! The vector of counts of a replica: everything that its arms counted since it began to follow.
//!
//! Decision: histograms are sent as their non-empty buckets, a tenth of the whole, and values that
//! follow from others are not sent. A vector is untrusted input: every number has a bound, so that
//! no sum of vectors overflows.

use std::collections::BTreeMap;
use std::fmt;

use api::rollout::{ReplicaArmCounts, ReplicaCounts, RewardSums};
use contract::{Error, RawJson, Result};
use serde::{Deserialize, Serialize};
use stats::arm_totals::ArmTotals;
use stats::histogram::Histogram;

use super::super::documents::document;
use super::super::observations::Arms;

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
#[serde(transparent)]
pub(in super::super) struct ReplicaCounters(pub(super) ReplicaCounts);

impl ReplicaCounters {
    /// Creates the vector of this server.
    pub(in super::super) fn new(generation: u64, error_run: u64, totals: &Arms<ArmTotals>) -> Self {
        Self(ReplicaCounts {
            format: FORMAT,
            generation,
            error_run,
            stable: arm_counts(&totals.stable),
            candidate: arm_counts(&totals.candidate),
        })
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
        let Self(counts) = self;
        if counts.format != FORMAT {
            return Err(Error::invalid(format!(
                "`format`: expected {FORMAT}, got {}",
                counts.format
            )));
        }
        let mut numbers = self.numbers().into_iter();
        if let Some((path, number)) = numbers.find(|(_, number)| *number > MAX_COUNT) {
            return Err(Error::invalid(format!(
                "`{path}`: expected at most {MAX_COUNT}, got {number}"
            )));
        }
        check_arm("stable", &counts.stable)?;
        check_arm("candidate", &counts.candidate)
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
            ("stable", &self.0.stable, &earlier.0.stable),
            ("candidate", &self.0.candidate, &earlier.0.candidate),
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
            ("generation".to_owned(), self.0.generation),
            ("error_run".to_owned(), self.0.error_run),
        ];
        list_arm("stable", &self.0.stable, &mut numbers);
        list_arm("candidate", &self.0.candidate, &mut numbers);
        numbers
    }

    /// Returns the vector as totals.
    pub(super) fn totals(&self) -> Arms<ArmTotals> {
        Arms {
            stable: arm_totals(&self.0.stable),
            candidate: arm_totals(&self.0.candidate),
        }
    }
}

fn decreased<T: fmt::Display>(path: &str, now: &T, before: &T) -> Error {
    Error::invalid(format!(
        "`{path}`: it was {before} and is now {now}, but counts of a replica never decrease"
    ))
}

fn arm_counts(arm: &ArmTotals) -> ReplicaArmCounts {
    let [total, queue, infer] = &arm.latencies;
    let buckets = |histogram: &Histogram| histogram.counts().collect();
    ReplicaArmCounts {
        errors: arm.n_errors,
        nan_outputs: arm.n_nan,
        total: buckets(total),
        queue: buckets(queue),
        infer: buckets(infer),
        outputs: arm.outputs.clone(),
        rewards: arm.rewards.into(),
    }
}

fn spans(arm: &ReplicaArmCounts) -> [(&'static str, &BTreeMap<u8, u64>); 3] {
    [
        ("total", &arm.total),
        ("queue", &arm.queue),
        ("infer", &arm.infer),
    ]
}

fn list_arm(name: &str, arm: &ReplicaArmCounts, numbers: &mut Vec<(String, u64)>) {
    numbers.push((format!("{name}.errors"), arm.errors));
    numbers.push((format!("{name}.nan_outputs"), arm.nan_outputs));
    numbers.push((format!("{name}.rewards.n"), arm.rewards.n));
    for (span, buckets) in spans(arm) {
        for (bucket, count) in buckets {
            numbers.push((format!("{name}.{span}.{bucket}"), *count));
        }
    }
    for (bin, count) in arm.outputs.iter().enumerate() {
        numbers.push((format!("{name}.outputs[{bin}]"), *count));
    }
}

fn check_arm(name: &str, arm: &ReplicaArmCounts) -> Result<()> {
    for (span, buckets) in spans(arm) {
        if histogram(buckets).is_none() {
            return Err(Error::invalid(format!(
                "`{name}.{span}`: the number of a bucket is too large"
            )));
        }
    }
    if arm.outputs.len() > MAX_BINS {
        return Err(Error::invalid(format!(
            "`{name}.outputs`: expected at most {MAX_BINS} bins, got {}",
            arm.outputs.len()
        )));
    }
    let RewardSums {
        n,
        sum,
        sum_squares,
    } = arm.rewards;
    // The square of a mean is never above the mean of the squares.
    let largest = n as f64 * sum_squares * (1.0 + ROUNDING);
    let is_possible = sum.is_finite()
        && sum_squares.is_finite()
        && sum_squares >= 0.0
        && (n > 0 || sum_squares == 0.0);
    match is_possible && sum * sum <= largest {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "`{name}.rewards`: no {n} numbers have the sum {sum} and the sum of squares \
             {sum_squares}"
        ))),
    }
}

fn arm_totals(arm: &ReplicaArmCounts) -> ArmTotals {
    let latencies = spans(arm).map(|(_, buckets)| buckets);
    let latencies = latencies.map(|buckets| histogram(buckets).unwrap_or_default());
    let [total, ..] = &latencies;
    ArmTotals {
        n_answered: total.n(),
        n_errors: arm.errors,
        outputs: arm.outputs.clone(),
        n_nan: arm.nan_outputs,
        rewards: arm.rewards.into(),
        latencies,
    }
}

fn histogram(buckets: &BTreeMap<u8, u64>) -> Option<Histogram> {
    Histogram::from_counts(buckets.iter().map(|(&bucket, &count)| (bucket, count)))
}
