//! Batching with default settings, compared with the best setting found by hand.

use anyhow::Result;

use super::contender::Contender;
use super::figures::{Figures, Round};
use super::launch::Launch;
use super::measure::Bench;
use super::repository::Model;
use super::request::{Request, Tensor};

/// The name of the server without batching.
pub(super) const OFF: &str = "Lockgate, no batching";

/// Delays to try, in milliseconds: a run of the network takes a few.
const DELAYS_MS: [&str; 5] = ["0", "0.5", "1", "2", "4"];

const CONNECTIONS: [usize; 2] = [8, 32];

/// Measures a network whose batches cost hardly more than one row.
pub(super) fn friendly(bench: &Bench) -> Result<Round> {
    let tensor = Tensor {
        model: "friendly",
        input: "x",
        shape: vec![1, 64],
    };
    let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
    let model = Model::network(&bench.artifacts, "friendly");
    let mut round = default_settings(bench, &request, &model)?;
    for delay_ms in DELAYS_MS {
        let settings = format!("batching:\n  max_delay_ms: {delay_ms}\n");
        let models = bench.repository(model.clone().with_settings(settings))?;
        let launch = Launch::lockgate(&bench.artifacts, &models).labelled(delayed(delay_ms));
        round
            .runs
            .extend(bench.runs(&launch, &request, &CONNECTIONS)?);
    }
    Ok(round)
}

/// Measures a network whose batches cost as much as their rows one by one.
pub(super) fn hostile(bench: &Bench) -> Result<Round> {
    let tensor = Tensor::picture("hostile", 32);
    let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
    let model = Model::network(&bench.artifacts, "hostile");
    let mut round = default_settings(bench, &request, &model)?;
    let models = bench.repository(model.with_settings("batching:\n  enabled: false\n"))?;
    let launch = Launch::lockgate(&bench.artifacts, &models).labelled(OFF);
    round
        .runs
        .extend(bench.runs(&launch, &request, &CONNECTIONS)?);
    Ok(round)
}

fn default_settings(bench: &Bench, request: &Request, model: &Model) -> Result<Round> {
    let models = bench.repository(model.clone())?;
    let launch = Launch::lockgate(&bench.artifacts, &models);
    Ok(Round {
        runs: bench.runs(&launch, request, &CONNECTIONS)?,
        ..Round::default()
    })
}

fn delayed(delay_ms: &str) -> String {
    format!("Lockgate, delay {delay_ms} ms")
}

/// Returns requests per second with default settings, as a share of those with the best delay.
pub(super) fn of_best_delay(figures: &Figures, n_connections: usize) -> Option<f64> {
    let rates = DELAYS_MS
        .iter()
        .filter_map(|delay_ms| figures.rate(delayed(delay_ms), n_connections));
    let best = rates.max_by(f64::total_cmp)?;
    Some(figures.rate(Contender::Lockgate, n_connections)? / best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Run;

    #[test]
    fn the_best_delay_is_the_yardstick() {
        let run = |server_name: String, requests_per_second| Run {
            server_name,
            n_connections: 8,
            requests_per_second,
            p50_us: 1.0,
            p99_us: 1.0,
            cpu_us_per_request: 1.0,
            memory_mb: 1.0,
            first_reply_ms: 1.0,
        };
        let runs = vec![
            run(delayed("0"), 500.0),
            run(delayed("1"), 1000.0),
            run("Lockgate".to_owned(), 900.0),
        ];
        let round = Round {
            runs,
            ..Round::default()
        };
        let figures = Figures::of("case", &[round]);
        assert_eq!(of_best_delay(&figures, 8), Some(0.9));
        assert_eq!(of_best_delay(&figures, 32), None);
    }
}
