//! Confidence sequence of a rate, valid after every request.
//!
//! Input: k events in n requests, a level alpha, and the number of requests t at which the interval
//! should be tightest. Rule: the beta-binomial mixture martingale at every candidate rate p,
//!
//! ```text
//! v = p (1-p) t      rho = v / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha)))
//! r = max(rho - p (1-p), 0.001 p (1-p))
//! ln M(p) = lnB(r/(1-p) + k, r/p + n - k) - lnB(r/(1-p), r/p) - k ln p - (n-k) ln(1-p)
//! ```
//!
//! and the interval is every p with ln M(p) < ln(1/alpha). Cold start: [0, 1]. Rejected
//! alternative: a fixed-sample interval (Wilson), whose coverage decays when it is read repeatedly.
//! Source: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic
//! confidence sequences".

use super::{Counts, Interval, bisect, ln_beta};

/// The settings of a confidence sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceSequence {
    /// The probability that the rate ever leaves the interval.
    pub alpha: f64,
    /// The number of requests at which the interval should be tightest.
    pub tuned_for: f64,
}

/// Number of requests at which the comparison of two rates is sharpest.
pub const TUNED_FOR: f64 = 1000.0;

impl ConfidenceSequence {
    /// Returns ln M(p), the evidence against the rate `p`.
    #[must_use]
    pub fn ln_m(self, p: f64, counts: Counts) -> f64 {
        let variance = p * (1.0 - p);
        let spread = -2.0 * self.alpha.ln();
        let rho = variance * self.tuned_for / (spread + spread.ln_1p());
        let r = (rho - variance).max(0.001 * variance);
        let events = counts.events.min(counts.n) as f64;
        let others = counts.n as f64 - events;
        let (a, b) = (r / (1.0 - p), r / p);
        ln_beta(a + events, b + others) - ln_beta(a, b) - events * p.ln() - others * (-p).ln_1p()
    }

    /// Returns whether the evidence excludes the rate `p`.
    fn excludes(self, p: f64, counts: Counts) -> bool {
        self.ln_m(p, counts) >= -self.alpha.ln()
    }

    /// Returns the lower end of the interval.
    #[must_use]
    pub fn lower(self, counts: Counts) -> f64 {
        match counts.rate() {
            None | Some(0.0) => 0.0,
            Some(rate) => bisect(0.0, rate.min(1.0), |p| !self.excludes(p, counts)),
        }
    }

    /// Returns the upper end of the interval.
    #[must_use]
    pub fn upper(self, counts: Counts) -> f64 {
        match counts.rate() {
            None => 1.0,
            Some(rate) if rate >= 1.0 => 1.0,
            Some(rate) => bisect(rate, 1.0, |p| self.excludes(p, counts)),
        }
    }

    /// Returns whether the whole interval lies at or below `bound`, with one evaluation instead of
    /// a search.
    #[must_use]
    pub fn is_at_most(self, bound: f64, counts: Counts) -> bool {
        let is_above_the_rate = counts.rate().is_some_and(|rate| rate < bound);
        bound >= 1.0 || (is_above_the_rate && self.excludes(bound, counts))
    }

    /// Returns whether the whole interval lies above `bound`, with one evaluation instead of a
    /// search.
    #[must_use]
    pub fn is_above(self, bound: f64, counts: Counts) -> bool {
        let is_below_the_rate = counts.rate().is_some_and(|rate| rate > bound);
        is_below_the_rate && (bound <= 0.0 || self.excludes(bound, counts))
    }

    /// Returns both ends of the interval.
    #[must_use]
    pub fn interval(self, counts: Counts) -> Interval {
        Interval {
            lower: self.lower(counts),
            upper: self.upper(counts),
        }
    }
}
