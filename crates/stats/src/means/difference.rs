//! Asymptotic confidence sequence of a difference of two means.
//!
//! Input: n, sum and sum of squares of both arms; a level alpha; the sample N* at which the
//! interval should be tightest. With N = n_a + n_b, s^2 = N SE^2:
//!
//! ```text
//! rho = sqrt((-2 ln alpha + ln(1 - 2 ln alpha)) / N*)
//! half-width = s sqrt(2 (N rho^2 + 1) / (N^2 rho^2) ln(sqrt(N rho^2 + 1) / alpha))
//! one-sided (rho from 2 alpha): s sqrt(2 (N rho^2 + 1) / (N rho)^2 ln(1 + sqrt(N rho^2 + 1) / (2 alpha)))
//! E = exp(rho^2 S / (2 (N rho^2 + 1))) / sqrt(N rho^2 + 1),  S = delta^2 N / SE^2,  p = min(1, 1 / E)
//! ```
//!
//! Absolute effect: SE^2 = v_a/n_a + v_b/n_b. Relative to the mean of a: SE^2 = v_b / (n_b m_a^2) +
//! v_a m_b^2 / (n_a m_a^4). Cold start: none with fewer than two values in an arm. It is
//! asymptotic: with a few dozen values of a heavy tail it is too narrow. Source: Waudby-Smith,
//! Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory".

use serde::{Deserialize, Serialize};

use crate::Interval;

/// The default sample size at which the interval is tightest.
pub const TUNED_FOR: f64 = 5000.0;

/// Sums of the values of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// The number of values.
    pub n: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
}

impl Moments {
    /// Adds values of another server or of a later time.
    pub fn add(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
    }

    /// Returns the difference to `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            n: self.n.saturating_sub(earlier.n),
            sum: self.sum - earlier.sum,
            sum_squares: self.sum_squares - earlier.sum_squares,
        }
    }

    /// Returns the mean; `None` without values.
    #[must_use]
    pub fn mean(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// Returns the variance of a value; `None` with fewer than two.
    #[must_use]
    pub fn variance(self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 1).then(|| ((self.sum_squares - self.sum * self.sum / n) / (n - 1.0)).max(0.0))
    }
}

/// An estimated effect with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The estimate.
    pub estimate: f64,
    n: f64,
    squared_error: f64,
}

impl Effect {
    /// Returns the mean of b minus the mean of a; `None` with fewer than two values in an arm.
    #[must_use]
    pub fn absolute(a: Moments, b: Moments) -> Option<Self> {
        let (n_a, n_b) = (a.n as f64, b.n as f64);
        Some(Self {
            estimate: b.mean()? - a.mean()?,
            n: n_a + n_b,
            squared_error: a.variance()? / n_a + b.variance()? / n_b,
        })
    }

    /// Returns that difference relative to the mean of a; `None` also when that mean is 0.
    #[must_use]
    pub fn relative(a: Moments, b: Moments) -> Option<Self> {
        let (n_a, n_b) = (a.n as f64, b.n as f64);
        let (mean_a, mean_b) = (a.mean()?, b.mean()?);
        let of_a = a.variance()? * mean_b * mean_b / (n_a * mean_a.powi(4));
        let of_b = b.variance()? / (n_b * mean_a * mean_a);
        (mean_a != 0.0).then(|| Self {
            estimate: (mean_b - mean_a) / mean_a,
            n: n_a + n_b,
            squared_error: of_a + of_b,
        })
    }

    /// Returns the interval that holds the effect at every moment with probability 1 - alpha.
    #[must_use]
    pub fn interval(self, alpha: f64, tuned_for: f64) -> Interval {
        let (rho_squared, growth) = self.mixture(alpha, tuned_for);
        let logarithm = (growth.sqrt() / alpha).ln();
        self.around(2.0 * growth / (self.n * self.n * rho_squared) * logarithm)
    }

    /// Returns the ends of the two one-sided intervals, each at level alpha.
    #[must_use]
    pub fn one_sided(self, alpha: f64, tuned_for: f64) -> Interval {
        let (rho_squared, growth) = self.mixture(2.0 * alpha, tuned_for);
        let logarithm = (growth.sqrt() / (2.0 * alpha)).ln_1p();
        self.around(2.0 * growth / (self.n * self.n * rho_squared) * logarithm)
    }

    /// Returns ln E against "no effect".
    #[must_use]
    pub fn ln_e(self, alpha: f64, tuned_for: f64) -> f64 {
        let (rho_squared, growth) = self.mixture(alpha, tuned_for);
        let signal = self.estimate * self.estimate * self.n / self.squared_error;
        rho_squared * signal / (2.0 * growth) - growth.ln() / 2.0
    }

    /// Returns the always-valid p-value.
    #[must_use]
    pub fn p_value(self, alpha: f64, tuned_for: f64) -> f64 {
        (-self.ln_e(alpha, tuned_for)).exp().min(1.0)
    }

    /// Returns rho^2, and N rho^2 + 1.
    fn mixture(self, alpha: f64, tuned_for: f64) -> (f64, f64) {
        let spread = -2.0 * alpha.ln();
        let rho_squared = (spread + spread.ln_1p()) / tuned_for;
        (rho_squared, self.n * rho_squared + 1.0)
    }

    /// Returns the estimate plus and minus s times the root of `factor`.
    fn around(self, factor: f64) -> Interval {
        let half_width = (self.n * self.squared_error * factor).sqrt();
        Interval {
            lower: self.estimate - half_width,
            upper: self.estimate + half_width,
        }
    }
}
