//! Simulations requested by callers of the server.

use std::time::Duration;

use api::rollout::SimulationSummary;
use contract::{Code, Error, Result, SimulationInput as Request};

use super::{Rates, SimulationInput, default_horizon, run, summarize};
use crate::config::RolloutConfig;

/// Maximum number of runs of one call: seconds of one core.
const MAX_RUNS: usize = 10_000;

/// Maximum request rate, above that of any server.
const MAX_RATE: f64 = 1e9;

/// Simulates a rollout as often as requested. Blocks for as long as that takes.
///
/// # Errors
/// `invalid_request` for a metric that the rollout does not have, and for numbers out of range;
/// `cancelled` soon after `is_cancelled` returns true.
pub fn run_all(
    config: &RolloutConfig,
    request: &Request,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<SimulationSummary> {
    if !(1..=MAX_RUNS).contains(&request.n_runs) {
        let n_runs = request.n_runs;
        return Err(Error::invalid(format!(
            "`runs`: expected a number from 1 to {MAX_RUNS}, got `{n_runs}`"
        )));
    }
    if !(0.0..=MAX_RATE).contains(&request.requests_per_second) {
        let rate = request.requests_per_second;
        return Err(Error::invalid(format!(
            "`rps`: expected a number from 0 to {MAX_RATE}, got `{rate}`"
        )));
    }
    let assumptions = SimulationInput {
        requests_per_second: request.requests_per_second,
        rates: rates(config, request)?,
        tick: Duration::from_secs(1),
        horizon: default_horizon(config),
    };
    let runs = 0..request.n_runs as u64;
    let outcomes: Vec<_> = runs
        .take_while(|_| !is_cancelled())
        .map(|number| run(config, &assumptions, request.seed, number))
        .collect();
    match outcomes.len() < request.n_runs {
        true => Err(Error::new(Code::Cancelled, "the simulation was cancelled")),
        false => Ok(summarize(&outcomes)),
    }
}

/// Returns the rates of all metrics; without a rate of its own the candidate is like stable.
fn rates(config: &RolloutConfig, request: &Request) -> Result<Vec<Rates>> {
    let metrics = config.metrics.iter();
    let mut rates: Vec<_> = metrics.map(|m| Rates::typical(&m.kind)).collect();
    for (name, rate) in &request.stable_rates {
        let rates = find(config, &mut rates, "stable_rates", (name, *rate))?;
        (rates.stable, rates.candidate) = (*rate, *rate);
    }
    for (name, rate) in &request.candidate_rates {
        find(config, &mut rates, "candidate_rates", (name, *rate))?.candidate = *rate;
    }
    Ok(rates)
}

fn find<'a>(
    config: &RolloutConfig,
    rates: &'a mut [Rates],
    key: &str,
    (name, rate): (&str, f64),
) -> Result<&'a mut Rates> {
    if !(0.0..=1.0).contains(&rate) {
        return Err(Error::invalid(format!(
            "`{key}.{name}`: expected a rate from 0 to 1, got `{rate}`"
        )));
    }
    let index = config.metrics.iter().position(|m| m.name == name);
    index.and_then(|index| rates.get_mut(index)).ok_or_else(|| {
        let names = config.metrics.iter().map(|m| format!("`{}`", m.name));
        let names: Vec<_> = names.collect();
        Error::invalid(format!(
            "`{key}`: the rollout has no metric `{}`; it has {}",
            name.escape_debug(),
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RolloutConfig {
        RolloutConfig::parse("rollout: {id: a, model: m, stable: 1, candidate: 2, steps: [50]}")
            .unwrap()
    }

    fn request() -> Request {
        Request {
            requests_per_second: 500.0,
            candidate_rates: vec![("errors".to_owned(), 0.2)],
            n_runs: 10,
            seed: 1,
            ..Request::default()
        }
    }

    #[test]
    fn a_broken_candidate_is_rolled_back_in_every_run() {
        let summary = run_all(&config(), &request(), &|| false).unwrap();
        assert_eq!((summary.n_runs, summary.p_rollback), (10, 1.0));
    }

    #[test]
    fn a_cancelled_simulation_ends_after_its_run() {
        let n_checks = std::cell::Cell::new(0);
        let is_cancelled = || {
            n_checks.set(n_checks.get() + 1);
            n_checks.get() > 3
        };
        let error = run_all(&config(), &request(), &is_cancelled).unwrap_err();
        assert_eq!((error.code(), n_checks.get()), (Code::Cancelled, 4));
    }

    #[test]
    fn mistakes_are_refused_with_their_key() {
        let cases = [
            (
                Request {
                    n_runs: 0,
                    ..request()
                },
                "`runs`",
            ),
            (
                Request {
                    requests_per_second: f64::NAN,
                    ..request()
                },
                "`rps`",
            ),
            (
                Request {
                    stable_rates: vec![("slow".to_owned(), 0.1)],
                    ..request()
                },
                "no metric `slow`",
            ),
            (
                Request {
                    stable_rates: vec![("errors".to_owned(), 2.0)],
                    ..request()
                },
                "`stable_rates.errors`",
            ),
        ];
        for (request, expected) in cases {
            let error = run_all(&config(), &request, &|| false).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
