//! Simulation of a rollout: the probabilities of promotion and rollback and their durations, known
//! before anything is shipped.
//!
//! Inputs: a configuration, the assumed traffic and rates, and a seed. Rule: on a virtual clock
//! each tick draws n ~ Poisson(requests per second), of which Binomial(n, weight) go to the
//! candidate, with Binomial events in each arm; the counts go to the very [`Rollout`] that decides
//! in the server. Gates are assumed to open at once, the warm-up to succeed, guards not to fire;
//! bins and rewards are not drawn. Each run has its own generator, made from the seed and the
//! number of the run, so that results do not depend on the order or the thread of the runs.

pub mod request;
pub mod threshold_baseline;
pub mod users;

use std::time::Duration;

use api::rollout::{Quantiles, SimulationSummary};
use rand::SeedableRng;
use rand_distr::{Binomial, Distribution, Poisson};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;
use stats::{ArmCounts, Counts};

use super::config::{MetricKind, RolloutConfig, ShareEvent};
use super::evidence::{Arms, Block, MetricBlock, Pairs};
use super::state::{Event, HoldReason, Phase, Rollout, Tick, Traffic};
use super::timestamp::Timestamp;

/// The assumptions about the traffic and the versions.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationInput {
    /// Requests for the model each second, on average.
    pub requests_per_second: f64,
    /// The rates of each metric, in the order of the configuration.
    pub rates: Vec<Rates>,
    /// The length of a block.
    pub tick: Duration,
    /// The time after which an undecided rollout counts as held.
    pub horizon: Duration,
}

/// The true rates of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Events per request of stable.
    pub stable: f64,
    /// Events per request of the candidate; for `shadow_differs`, differing answers per pair.
    pub candidate: f64,
}

impl Rates {
    /// Returns the default rates: half a percent of errors, the share of slow requests that the
    /// percentile implies, and a candidate that is like stable.
    #[must_use]
    pub fn typical(kind: &MetricKind) -> Self {
        let rate = match kind {
            MetricKind::Share(rule) => match rule.event {
                ShareEvent::Error => 0.005,
                ShareEvent::LatencyOver { percentile, .. } => {
                    (100.0 - f64::from(percentile)) / 100.0
                }
            },
            MetricKind::ShadowDiffers { .. }
            | MetricKind::OutputBins { .. }
            | MetricKind::Feedback { .. } => 0.0,
        };
        Self {
            stable: rate,
            candidate: rate,
        }
    }
}

/// Returns the time in which every stage has reached its maximum time once.
#[must_use]
pub fn default_horizon(config: &RolloutConfig) -> Duration {
    let n_stages = u32::try_from(config.steps.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let waiting = config.step.max_time.saturating_mul(n_stages);
    waiting.saturating_add(config.soak)
}

/// The state in which a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalState {
    /// The candidate has all traffic.
    Promoted,
    /// Stable has all traffic.
    RolledBack,
    /// The rollout waits for an operator or for evidence.
    Held,
}

/// The outcome of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The final state.
    pub end: FinalState,
    /// The time until then.
    pub duration: Duration,
    /// Requests that the candidate answered.
    pub n_candidate_requests: u64,
    /// Errors among them.
    pub n_failed_requests: u64,
}

/// Simulates one rollout.
///
/// ```
/// use std::time::Duration;
///
/// use rollout::config::RolloutConfig;
/// use rollout::simulate::{FinalState, Rates, SimulationInput, default_horizon, run};
///
/// let text = "rollout: {id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5, 50]}";
/// let config = RolloutConfig::parse(text)?;
/// let assumptions = SimulationInput {
///     requests_per_second: 500.0,
///     rates: vec![Rates { stable: 0.005, candidate: 0.2 }],
///     tick: Duration::from_secs(1),
///     horizon: default_horizon(&config),
/// };
/// assert_eq!(run(&config, &assumptions, 1, 0).end, FinalState::RolledBack);
/// # Ok::<(), rollout::config::ConfigError>(())
/// ```
#[must_use]
pub fn run(config: &RolloutConfig, assumptions: &SimulationInput, seed: u64, run: u64) -> Outcome {
    let mut sampler = Sampler {
        assumptions,
        config,
        random: Pcg64Mcg::seed_from_u64(seed ^ run.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    };
    let undisturbed = RolloutConfig {
        gates: Vec::new(),
        guard_queries: Vec::new(),
        warmup: None,
        ..config.clone()
    };
    let mut now = Timestamp(0);
    let (mut rollout, _) = Rollout::start(undisturbed, now);
    let _traffic_is_asked = rollout.handle(Event::CandidateReady, now);
    let mut outcome = Outcome {
        end: FinalState::Held,
        duration: assumptions.horizon,
        n_candidate_requests: 0,
        n_failed_requests: 0,
    };
    while now.since(Timestamp(0)) < assumptions.horizon {
        now = now + assumptions.tick;
        let (tick, n_failed) = sampler.tick(rollout.traffic());
        outcome.n_candidate_requests += tick.n_candidate_requests;
        outcome.n_failed_requests += n_failed;
        let _traffic_is_asked = rollout.handle(Event::Tick(Box::new(tick)), now);
        if let Some(end) = final_state(rollout.progress().phase) {
            outcome.end = end;
            outcome.duration = now.since(Timestamp(0));
            break;
        }
    }
    outcome
}

/// Returns the final state of a run that has ended.
fn final_state(phase: Phase) -> Option<FinalState> {
    match phase {
        Phase::Completed => Some(FinalState::Promoted),
        Phase::RolledBack | Phase::Aborted | Phase::Failed => Some(FinalState::RolledBack),
        // A simulation has no operator who could resume.
        Phase::Held {
            reason: HoldReason::Srm,
            ..
        } => Some(FinalState::Held),
        Phase::Pending | Phase::Warmup | Phase::Running(_) | Phase::Held { .. } => None,
    }
}

/// A sampler of the counts of each tick.
struct Sampler<'a> {
    assumptions: &'a SimulationInput,
    config: &'a RolloutConfig,
    random: Pcg64Mcg,
}

impl Sampler<'_> {
    /// Draws a tick under this traffic, and the failed requests of the candidate in it.
    fn tick(&mut self, traffic: Traffic) -> (Tick, u64) {
        let mean = self.assumptions.requests_per_second * self.assumptions.tick.as_secs_f64();
        let n = self.poisson(mean);
        let n_candidate = self.binomial(n, traffic.weight);
        let n_pairs = self.binomial(n, traffic.shadow);
        let requests = [n - n_candidate, n_candidate, n_pairs];
        let mut n_failed = 0;
        let mut metrics = Vec::with_capacity(self.config.metrics.len());
        for (metric, rates) in self.config.metrics.iter().zip(&self.assumptions.rates) {
            let block = self.metric(&metric.kind, *rates, requests);
            if let (MetricKind::Share(rule), MetricBlock::Share { trials, .. }) =
                (&metric.kind, &block)
                && rule.event == ShareEvent::Error
            {
                n_failed += trials.candidate.events;
            }
            metrics.push(block);
        }
        let tick = Tick {
            blocks: vec![Block {
                weight: traffic.weight,
                assignment_epoch: 0,
                metrics,
                units: Arms {
                    stable: n - n_candidate,
                    candidate: n_candidate,
                },
            }],
            n_candidate_requests: n_candidate,
            n_pairs,
            ..Tick::default()
        };
        (tick, n_failed)
    }

    fn metric(
        &mut self,
        kind: &MetricKind,
        rates: Rates,
        [n_stable, n_candidate, n_pairs]: [u64; 3],
    ) -> MetricBlock {
        match kind {
            MetricKind::Share(_) => {
                let trials = ArmCounts {
                    stable: self.counts(n_stable, rates.stable),
                    candidate: self.counts(n_candidate, rates.candidate),
                };
                MetricBlock::Share {
                    trials,
                    events: Arms {
                        stable: trials.stable.events,
                        candidate: trials.candidate.events,
                    },
                    pairs: Pairs {
                        n: n_pairs,
                        stable_alone: self
                            .binomial(n_pairs, rates.stable * (1.0 - rates.candidate)),
                        candidate_alone: self
                            .binomial(n_pairs, rates.candidate * (1.0 - rates.stable)),
                    },
                }
            }
            MetricKind::ShadowDiffers { .. } => {
                MetricBlock::Differing(self.counts(n_pairs, rates.candidate))
            }
            MetricKind::OutputBins { .. } | MetricKind::Feedback { .. } => MetricBlock::Nothing,
        }
    }

    fn counts(&mut self, n: u64, rate: f64) -> Counts {
        Counts {
            n,
            events: self.binomial(n, rate),
        }
    }

    fn binomial(&mut self, n: u64, p: f64) -> u64 {
        // Both ends are no distribution, and 0 is a common weight.
        if n == 0 || p <= 0.0 {
            return 0;
        }
        Binomial::new(n, p.min(1.0)).map_or(0, |distribution| distribution.sample(&mut self.random))
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        let drawn: f64 =
            Poisson::new(mean).map_or(0.0, |distribution| distribution.sample(&mut self.random));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a count that was drawn as a number"
        )]
        let n = drawn as u64;
        n
    }
}

/// Summarizes runs.
#[must_use]
pub fn summarize(outcomes: &[Outcome]) -> SimulationSummary {
    let n_runs = outcomes.len();
    let share = |end: FinalState| {
        let n = outcomes.iter().filter(|outcome| outcome.end == end).count();
        n as f64 / n_runs.max(1) as f64
    };
    let quantiles = |value: fn(&Outcome) -> f64| quantiles(outcomes.iter().map(value));
    SimulationSummary {
        n_runs,
        p_promote: share(FinalState::Promoted),
        p_rollback: share(FinalState::RolledBack),
        p_held: share(FinalState::Held),
        duration_seconds: quantiles(|outcome| outcome.duration.as_secs_f64()),
        candidate_requests: quantiles(|outcome| outcome.n_candidate_requests as f64),
        failed_requests: quantiles(|outcome| outcome.n_failed_requests as f64),
    }
}

/// Returns the quantiles of the values; all 0 without values.
fn quantiles(values: impl Iterator<Item = f64>) -> Quantiles {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let index = (values.len() * percent).div_ceil(100).max(1) - 1;
        values.get(index).copied().unwrap_or(0.0)
    };
    Quantiles {
        p10: at(10),
        p50: at(50),
        p90: at(90),
        max: at(100),
    }
}

#[cfg(test)]
mod tests;
