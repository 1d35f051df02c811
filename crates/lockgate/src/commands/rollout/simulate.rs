//! `lockgate rollout simulate`: predicts the probabilities of promotion and rollback.
//!
//! Decision: runs are independent and numbered, so any thread may take any run and the result is
//! the same on every machine.

mod print;

use std::fs;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::rollout::SimulationSummary;
use indicatif::{ProgressBar, ProgressStyle};
use rollout::config::{MetricKind, RolloutConfig, ShareEvent};
use rollout::simulate::threshold_baseline::ThresholdBaseline;
use rollout::simulate::{Outcome, Rates, SimulationInput, default_horizon, run as play, summarize};
use serde::Serialize;

use crate::command_line::{MetricRate, SimulateArguments};
use crate::output;

/// Far more than stable results need, and few enough to end within minutes.
const MAX_RUNS: u64 = 1_000_000;

/// Failed checks after which common threshold analyses roll back.
const BASELINE_THRESHOLDS: [u64; 3] = [2, 5, 10];

/// The settings of such an analysis.
const BASELINE: ThresholdBaseline = ThresholdBaseline {
    success: 0.99,
    n_checks: 30,
    threshold: 0,
};

/// All printed results.
#[derive(Debug, Serialize)]
struct Results {
    id: String,
    requests_per_second: f64,
    seed: u64,
    horizon_seconds: f64,
    rates: Vec<MetricRates>,
    #[serde(flatten)]
    summary: SimulationSummary,
    fixed_limit: Vec<BaselineStep>,
}

/// The rates of one metric.
#[derive(Debug, Serialize)]
struct MetricRates {
    metric: String,
    #[serde(flatten)]
    rates: Rates,
}

/// Results of a threshold analysis in one step, with 30 checks of a minute each.
#[derive(Debug, Serialize)]
struct BaselineStep {
    weight: f64,
    requests_per_check: f64,
    check_failure_probability: f64,
    rollback_probability: Vec<AtThreshold>,
}

#[derive(Debug, Serialize)]
struct AtThreshold {
    failed_checks: u64,
    p: f64,
}

/// Simulates the rollout of a file many times, and prints the results.
///
/// # Errors
/// A mistake in the file or the flags.
pub(super) fn run(arguments: &SimulateArguments, is_json: bool) -> Result<()> {
    let file = arguments.file.display();
    let text =
        fs::read_to_string(&arguments.file).with_context(|| format!("cannot read `{file}`"))?;
    let config = RolloutConfig::parse(&text).with_context(|| format!("`{file}`"))?;
    if !(0.0..=1e9).contains(&arguments.rps) {
        bail!(
            "`--rps`: expected a number from 0 to 1000000000, got `{}`",
            arguments.rps
        );
    }
    if arguments.runs == 0 || arguments.runs > MAX_RUNS {
        bail!(
            "`--runs`: expected a number from 1 to {MAX_RUNS}, got `{}`",
            arguments.runs
        );
    }
    let assumptions = SimulationInput {
        requests_per_second: arguments.rps,
        rates: rates(&config, arguments)?,
        tick: Duration::from_secs(1),
        horizon: default_horizon(&config),
    };
    let outcomes = run_all(&config, &assumptions, arguments);
    let results = results(&config, &assumptions, arguments.seed, &outcomes);
    if is_json {
        output::line(serde_json::to_string_pretty(&results)?)?;
    } else {
        print::print(&config, &results)?;
    }
    Ok(())
}

/// Returns the rates of all metrics: those of the flags, otherwise typical ones.
fn rates(config: &RolloutConfig, arguments: &SimulateArguments) -> Result<Vec<Rates>> {
    let mut rates: Vec<_> = config
        .metrics
        .iter()
        .map(|metric| Rates::typical(&metric.kind))
        .collect();
    for metric_rate in &arguments.stable_rate {
        // Without a rate of its own the candidate equals stable.
        apply(
            config,
            &mut rates,
            metric_rate,
            "--stable-rate",
            |rates, rate| {
                rates.stable = rate;
                rates.candidate = rate;
            },
        )?;
    }
    for metric_rate in &arguments.candidate_rate {
        apply(
            config,
            &mut rates,
            metric_rate,
            "--candidate-rate",
            |rates, rate| rates.candidate = rate,
        )?;
    }
    Ok(rates)
}

/// Sets the rate of the named metric, or of all error metrics when none is named.
fn apply(
    config: &RolloutConfig,
    rates: &mut [Rates],
    metric_rate: &MetricRate,
    flag: &str,
    set: impl Fn(&mut Rates, f64),
) -> Result<()> {
    let mut is_known = false;
    for (metric, rates) in config.metrics.iter().zip(rates) {
        let is_meant = match &metric_rate.metric {
            Some(name) => *name == metric.name,
            None => is_errors(&metric.kind),
        };
        if is_meant {
            is_known = true;
            set(rates, metric_rate.rate);
        }
    }
    if !is_known {
        let names: Vec<_> = config
            .metrics
            .iter()
            .map(|metric| format!("`{}`", metric.name))
            .collect();
        let requested = metric_rate.metric.as_deref().unwrap_or("errors");
        bail!(
            "`{flag}`: the rollout has no metric `{requested}`; it has {}",
            names.join(", ")
        );
    }
    Ok(())
}

fn is_errors(kind: &MetricKind) -> bool {
    matches!(kind, MetricKind::Share(rule) if rule.event == ShareEvent::Error)
}

fn run_all(
    config: &RolloutConfig,
    assumptions: &SimulationInput,
    arguments: &SimulateArguments,
) -> Vec<Outcome> {
    let progress = ProgressBar::new(arguments.runs);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} runs, {eta} to go") {
        progress.set_style(style);
    }
    let next = AtomicU64::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= arguments.runs {
                return outcomes;
            }
            outcomes.push(play(config, assumptions, arguments.seed, number));
            progress.inc(1);
        }
    };
    let n_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let outcomes = thread::scope(|scope| {
        let helpers: Vec<_> = (1..n_threads).map(|_| scope.spawn(work)).collect();
        let mut outcomes = work();
        for helper in helpers {
            outcomes.extend(helper.join().unwrap_or_default());
        }
        outcomes
    });
    progress.finish_and_clear();
    outcomes
}

fn results(
    config: &RolloutConfig,
    assumptions: &SimulationInput,
    seed: u64,
    outcomes: &[Outcome],
) -> Results {
    let metrics = config.metrics.iter().zip(&assumptions.rates);
    let errors = metrics.clone().find(|(metric, _)| is_errors(&metric.kind));
    Results {
        id: config.id.clone(),
        requests_per_second: assumptions.requests_per_second,
        seed,
        horizon_seconds: assumptions.horizon.as_secs_f64(),
        rates: metrics
            .map(|(metric, rates)| MetricRates {
                metric: metric.name.clone(),
                rates: *rates,
            })
            .collect(),
        summary: summarize(outcomes),
        fixed_limit: errors.map_or(Vec::new(), |(_, rates)| {
            baseline_steps(config, assumptions, *rates)
        }),
    }
}

fn baseline_steps(
    config: &RolloutConfig,
    assumptions: &SimulationInput,
    rates: Rates,
) -> Vec<BaselineStep> {
    let a_minute = assumptions.requests_per_second * 60.0;
    let steps = config.steps.iter().map(|&weight| {
        let n = a_minute * weight;
        let at = |threshold| AtThreshold {
            failed_checks: threshold,
            p: ThresholdBaseline {
                threshold,
                ..BASELINE
            }
            .rollback_probability(n, rates.candidate),
        };
        BaselineStep {
            weight,
            requests_per_check: n,
            check_failure_probability: BASELINE.check_failure_probability(n, rates.candidate),
            rollback_probability: BASELINE_THRESHOLDS.map(at).into(),
        }
    });
    steps.collect()
}
