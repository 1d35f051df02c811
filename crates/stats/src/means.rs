//! Means of numbers (reward, score, logarithm of a latency): always-valid intervals.
//!
//! Four forms, by what is known: [`difference`] of two arms with estimated variances (the default
//! of a report), [`normal_mixture`] with known variances, [`empirical_bernstein`] for values in
//! [0, 1] without any approximation, and the classic [`ln_msprt`].

pub mod difference;
pub mod empirical_bernstein;
pub mod normal_mixture;

/// Returns ln of the mixture sequential probability ratio test of a difference of two means, `n`
/// values per arm with the known variance `variance` each and the mixing variance `tau_squared`:
///
/// ```text
/// V = 2 variance    lambda = sqrt(V / (V + n tau^2)) exp(n^2 tau^2 difference^2 / (2 V (V + n tau^2)))
/// ```
#[must_use]
pub fn ln_msprt(n: u64, difference: f64, variance: f64, tau_squared: f64) -> f64 {
    let (n, v) = (n as f64, 2.0 * variance);
    let spread = v + n * tau_squared;
    (v / spread).ln() / 2.0 + n * n * tau_squared * difference * difference / (2.0 * v * spread)
}
