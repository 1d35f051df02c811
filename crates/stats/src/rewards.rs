//! Comparison of the rewards of two arms, at every moment.
//!
//! Inputs: one reward for each unit (a unit enters when the time for its reward is over), and the
//! weight of the candidate when the units were assigned. Rule for rewards of 0 and 1, which is
//! exact: with equal rates, a unit with a reward belongs to the candidate with the probability of
//! its weight, so the share process of [`sprt`](crate::sprt) with both directions tests "the rates
//! are equal"; the interval of the difference is that of two [Bernoulli
//! sequences](crate::bernoulli) at alpha / 2. Rule for other rewards: the [asymptotic confidence
//! sequence](crate::means::difference), from [`MIN_UNITS`] units and [`MIN_VALUES`] different
//! values in each arm.
//!
//! The p-value is min(1, 1 / E) of this moment. Only the smallest one seen so far is always valid;
//! whoever stores p-values keeps it.
//!
//! Cold start: not enough data. Recovery: evidence falls again when the rates become equal.
//! Rejected alternative: the asymptotic sequence for rates, which called 28 of 60 equal pairs
//! different at a weight of 5 % and one reward in a hundred units.

use serde::{Deserialize, Serialize};

use crate::bernoulli::{ConfidenceSequence, TUNED_FOR};
use crate::means::difference::{self, Effect, Moments};
use crate::sprt::{TWO_SIDED, add_events, two_sided_grid};
use crate::{Counts, Interval, ln_mean_exp};

/// Number of units per arm from which the mean of usual rewards is close to normal.
pub const MIN_UNITS: u64 = 300;

/// Number of different values per arm from which the variance is a fair estimate: with fewer, one
/// rare large value has not been seen yet.
pub const MIN_VALUES: usize = 30;

/// The rewards of the units of one arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmRewards {
    moments: Moments,
    /// Bit patterns of the first different values, at most [`MIN_VALUES`].
    values: Vec<u64>,
}

impl ArmRewards {
    /// Adds the reward of a unit, a finite number.
    pub fn add(&mut self, reward: f64) {
        self.moments.add(Moments {
            n: 1,
            sum: reward,
            sum_squares: reward * reward,
        });
        // Adding 0 turns -0 into 0, which is the same value with other bits.
        self.add_value((reward + 0.0).to_bits());
    }

    /// Adds rewards of another server or of a later time.
    pub fn merge(&mut self, other: &Self) {
        self.moments.add(other.moments);
        for &value in &other.values {
            self.add_value(value);
        }
    }

    fn add_value(&mut self, value: u64) {
        if self.values.len() < MIN_VALUES && !self.values.contains(&value) {
            self.values.push(value);
        }
    }

    /// Returns the number of units, the sum and the sum of squares.
    #[must_use]
    pub fn moments(&self) -> Moments {
        self.moments
    }

    /// Returns the units, and those with a reward of 1 as events; `None` with another reward than 0
    /// and 1.
    #[must_use]
    pub fn binary(&self) -> Option<Counts> {
        let binary = [0.0_f64, 1.0].map(f64::to_bits);
        let is_binary = self.values.iter().all(|value| binary.contains(value));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a sum of ones, far below 2^53"
        )]
        let events = self.moments.sum as u64;
        is_binary.then_some(Counts {
            n: self.moments.n,
            events,
        })
    }

    fn is_enough(&self) -> bool {
        self.moments.n >= MIN_UNITS && self.values.len() >= MIN_VALUES
    }
}

/// The rewards of both arms, and the evidence that they differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rewards {
    stable: ArmRewards,
    candidate: ArmRewards,
    log_ratios: [f64; TWO_SIDED],
}

/// The candidate's rewards compared with those of stable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Mean of the candidate minus mean of stable.
    pub difference: f64,
    /// The interval that holds the true difference at every moment with probability 1 - alpha.
    pub interval: Interval,
    /// ln E against "no difference".
    pub ln_e: f64,
    /// The comparison is exact, not asymptotic.
    pub is_exact: bool,
}

impl Comparison {
    /// Returns the p-value of this moment, min(1, 1 / E).
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (-self.ln_e).exp().min(1.0)
    }
}

/// Data that suffice for a comparison.
enum Data {
    Binary { stable: Counts, candidate: Counts },
    Means(Effect),
}

impl Rewards {
    /// Adds the rewards of units that were assigned at this weight of the candidate: its share of
    /// both arms, where a split has more.
    pub fn add_block(&mut self, stable: &ArmRewards, candidate: &ArmRewards, weight: f64) {
        self.stable.merge(stable);
        self.candidate.merge(candidate);
        if let (Some(stable), Some(candidate)) = (stable.binary(), candidate.binary()) {
            let events = (candidate.events, stable.events);
            add_events(&mut self.log_ratios, &two_sided_grid(), events, weight);
        }
    }

    /// Returns the comparison at level `alpha`; `None` without enough data.
    #[must_use]
    pub fn comparison(&self, alpha: f64) -> Option<Comparison> {
        match self.data()? {
            Data::Binary { stable, candidate } => Some(Comparison {
                difference: candidate.rate()? - stable.rate()?,
                interval: difference_of_rates(stable, candidate, alpha),
                ln_e: self.ln_e(),
                is_exact: true,
            }),
            Data::Means(effect) => Some(Comparison {
                difference: effect.estimate,
                interval: effect.interval(alpha, difference::TUNED_FOR),
                ln_e: effect.ln_e(alpha, difference::TUNED_FOR),
                is_exact: false,
            }),
        }
    }

    /// Returns whether the candidate's rewards are lower, with probability of error `alpha` over
    /// all times: by the ratios below 1 of the share process, or by the one-sided interval.
    #[must_use]
    pub fn is_worse(&self, alpha: f64) -> bool {
        match self.data() {
            None => false,
            Some(Data::Binary { .. }) => self.ln_lower() >= -alpha.ln(),
            Some(Data::Means(effect)) => effect.one_sided(alpha, difference::TUNED_FOR).upper < 0.0,
        }
    }

    /// Returns whether the candidate's mean is at most `difference` below that of stable, with
    /// probability of error `beta` over all times, and each arm has `min_units` units.
    #[must_use]
    pub fn is_not_worse(&self, difference: f64, beta: f64, min_units: u64) -> bool {
        let n_units = self.stable.moments.n.min(self.candidate.moments.n);
        let lower = self
            .data()
            .filter(|_| n_units >= min_units)
            .map(|data| match data {
                Data::Binary { stable, candidate } => {
                    difference_of_rates(stable, candidate, beta).lower
                }
                Data::Means(effect) => effect.one_sided(beta, difference::TUNED_FOR).lower,
            });
        lower.is_some_and(|lower| lower >= -difference)
    }

    /// Returns the rewards of stable and of the candidate.
    #[must_use]
    pub fn arms(&self) -> (&ArmRewards, &ArmRewards) {
        (&self.stable, &self.candidate)
    }

    fn data(&self) -> Option<Data> {
        let (stable, candidate) = (&self.stable, &self.candidate);
        if stable.moments.n == 0 || candidate.moments.n == 0 {
            return None;
        }
        if let (Some(stable), Some(candidate)) = (stable.binary(), candidate.binary()) {
            return Some(Data::Binary { stable, candidate });
        }
        let is_enough = stable.is_enough() && candidate.is_enough();
        let effect = Effect::absolute(stable.moments, candidate.moments);
        effect.filter(|_| is_enough).map(Data::Means)
    }

    /// Returns ln E against equal rates.
    fn ln_e(&self) -> f64 {
        ln_mean_exp(&self.log_ratios)
    }

    /// Returns ln E of the ratios below 1, which are every second of the grid.
    fn ln_lower(&self) -> f64 {
        let lower: Vec<_> = self.log_ratios.iter().copied().skip(1).step_by(2).collect();
        ln_mean_exp(&lower)
    }
}

/// Returns the interval of the candidate's rate minus that of stable.
///
/// With one-sided claims its lower end has level alpha as well, because each sequence has half.
fn difference_of_rates(stable: Counts, candidate: Counts, alpha: f64) -> Interval {
    let sequence = ConfidenceSequence {
        alpha: alpha / 2.0,
        tuned_for: TUNED_FOR,
    };
    let (stable, candidate) = (sequence.interval(stable), sequence.interval(candidate));
    Interval {
        lower: candidate.lower - stable.upper,
        upper: candidate.upper - stable.lower,
    }
}

#[cfg(test)]
mod tests;
