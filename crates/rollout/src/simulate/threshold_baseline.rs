//! Threshold baseline: the conventional canary analysis with a fixed success rate, for comparison.
//!
//! The analysis checks each minute whether the success rate of the candidate is above a limit, and
//! rolls back after a number of failed checks. Rule, for n requests in a check:
//!
//! ```text
//! P(check fails) = P(Poisson(n rate) > (1 - limit) n)
//! P(rollback)    = P(Binomial(checks, P(check fails)) >= threshold)
//! ```

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF, Poisson};

/// The settings of the threshold baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ThresholdBaseline {
    /// The success rate that each check requires.
    pub success: f64,
    /// The number of checks.
    pub n_checks: u64,
    /// The number of failed checks that rolls back.
    pub threshold: u64,
}

impl ThresholdBaseline {
    /// Returns the probability that one check of `n` requests on average fails, at this error rate.
    #[must_use]
    pub fn check_failure_probability(self, n: f64, error_rate: f64) -> f64 {
        // The slack keeps the rounding of 1 - 0.99 from mattering.
        let allowed = ((1.0 - self.success) * n + 1e-9).floor();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a floor that is not negative"
        )]
        let allowed = allowed.max(0.0) as u64;
        Poisson::new(n * error_rate).map_or(0.0, |events| events.sf(allowed))
    }

    /// Returns the probability of a rollback.
    #[must_use]
    pub fn rollback_probability(self, n: f64, error_rate: f64) -> f64 {
        let Some(most_that_pass) = self.threshold.checked_sub(1) else {
            return 1.0;
        };
        let fails = self.check_failure_probability(n, error_rate);
        Binomial::new(fails, self.n_checks).map_or(0.0, |failed| failed.sf(most_that_pass))
    }
}
