//! Normal mixture: a sum of deviations with known variance.
//!
//! Input: v, the sum of the variances so far; s, the sum of the deviations; v*, the v at which the
//! bound should be tightest.
//!
//! ```text
//! rho = v* / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha)))
//! two-sided:                    ln M = ln(rho / (v + rho)) / 2 + s^2 / (2 (v + rho))
//! one-sided (rho at 2 alpha):   ln M = ln(4 rho / (v + rho)) / 2 + s^2 / (2 (v + rho)) + ln Phi(s / sqrt(v + rho))
//! ```
//!
//! The bound is the s at which ln M reaches ln(1/alpha).

use statrs::function::erf::erfc;

use crate::bisect;

/// Returns rho, which sets how much of the prior is spread over large deviations.
#[must_use]
pub fn rho(tuned_for: f64, alpha: f64) -> f64 {
    let spread = -2.0 * alpha.ln();
    tuned_for / (spread + spread.ln_1p())
}

/// Returns ln M against "no deviation in either direction".
#[must_use]
pub fn ln_m(v: f64, s: f64, rho: f64) -> f64 {
    (rho / (v + rho)).ln() / 2.0 + s * s / (2.0 * (v + rho))
}

/// Returns the |s| at which the two-sided test rejects.
#[must_use]
pub fn bound(v: f64, rho: f64, alpha: f64) -> f64 {
    ((v + rho) * ((v / rho).ln_1p() - 2.0 * alpha.ln())).sqrt()
}

/// Returns ln M against "no deviation upwards"; `rho` is that of 2 alpha.
#[must_use]
pub fn ln_m_one_sided(v: f64, s: f64, rho: f64) -> f64 {
    let z = s / (v + rho).sqrt();
    let phi = erfc(-z / std::f64::consts::SQRT_2) / 2.0;
    (4.0 * rho / (v + rho)).ln() / 2.0 + z * z / 2.0 + phi.ln()
}

/// Returns the s at which the one-sided test rejects; never above the two-sided bound.
#[must_use]
pub fn bound_one_sided(v: f64, rho: f64, alpha: f64) -> f64 {
    bisect(0.0, bound(v, rho, alpha), |s| {
        ln_m_one_sided(v, s, rho) >= -alpha.ln()
    })
}
