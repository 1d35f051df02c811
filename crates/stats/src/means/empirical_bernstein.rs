//! Empirical Bernstein confidence sequence: the mean of values in [0, 1] without a model.
//!
//! Rule, with l = ln(2 / alpha), for value number t:
//!
//! ```text
//! lambda_t = min(sqrt(2 l / (t ln(t+1) var_(t-1))), 1/2)    psi = -ln(1 - lambda) - lambda
//! var_t = (1/4 + sum (x_i - m_i)^2) / (t+1)                 m_t = (1/2 + sum x) / (t+1)    var_0 = 1/4
//! lower = (sum lambda x - l - sum v psi) / sum lambda       v_i = (x_i - mean_(i-1))^2     mean_0 = 0
//! upper = 1 - lower of 1 - x
//! ```
//!
//! Cold start: [0, 1]. Source: Waudby-Smith and Ramdas, "Estimating means of bounded random
//! variables by betting".

use serde::{Deserialize, Serialize};

use crate::Interval;

/// The confidence sequence of a mean, updated one value at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmpiricalBernstein {
    alpha: f64,
    direct: OneSide,
    mirrored: OneSide,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct OneSide {
    n: u64,
    sum: f64,
    sum_squared_residuals: f64,
    sum_lambda: f64,
    sum_lambda_x: f64,
    sum_penalty: f64,
}

impl EmpiricalBernstein {
    /// Starts at level `alpha`.
    #[must_use]
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            direct: OneSide::default(),
            mirrored: OneSide::default(),
        }
    }

    /// Adds a value; one outside [0, 1] counts as the nearer end.
    pub fn add(&mut self, value: f64) {
        let value = value.clamp(0.0, 1.0);
        let budget = self.budget();
        self.direct.add(value, budget);
        self.mirrored.add(1.0 - value, budget);
    }

    /// Returns the interval after the values so far.
    #[must_use]
    pub fn interval(&self) -> Interval {
        let budget = self.budget();
        Interval {
            lower: self.direct.lower(budget).max(0.0),
            upper: (1.0 - self.mirrored.lower(budget)).min(1.0),
        }
    }

    /// Returns l = ln(2 / alpha).
    fn budget(&self) -> f64 {
        (2.0 / self.alpha).ln()
    }
}

impl OneSide {
    fn add(&mut self, value: f64, budget: f64) {
        let before = self.n as f64;
        let variance = (0.25 + self.sum_squared_residuals) / (before + 1.0);
        let mean = if self.n == 0 { 0.0 } else { self.sum / before };
        let t = before + 1.0;
        let lambda = (2.0 * budget / (t * t.ln_1p() * variance)).sqrt().min(0.5);
        self.sum_lambda += lambda;
        self.sum_lambda_x += lambda * value;
        self.sum_penalty += (value - mean).powi(2) * (-(-lambda).ln_1p() - lambda);
        self.n += 1;
        self.sum += value;
        self.sum_squared_residuals += (value - (0.5 + self.sum) / (t + 1.0)).powi(2);
    }

    fn lower(&self, budget: f64) -> f64 {
        match self.n {
            0 => 0.0,
            _ => (self.sum_lambda_x - budget - self.sum_penalty) / self.sum_lambda,
        }
    }
}
