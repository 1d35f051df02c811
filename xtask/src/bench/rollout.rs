//! Cost of a rollout for the requests that it counts.
//!
//! Decision: both versions are the same network, so that only the rollout differs: each unit is
//! assigned, each arm counts, and one request in ten goes to the candidate.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::figures::Round;
use super::launch::Launch;
use super::measure::{self, Bench, Skip};
use super::probe;
use super::repository::{self, Model};

pub(super) const WITH_ROLLOUT: &str = "Lockgate, in a rollout";

/// A rollout that stays in its first step for longer than any measurement.
const FILE: &str = "rollout: {id: bench, model: digits, stable: 1, candidate: 2, \
                    warmup: {source: none}, steps: [10, 50], step: {min_time: 1h, max_time: 2h}}";

const TIMEOUT: Duration = Duration::from_secs(20);

/// Measures the small network with and without a rollout.
pub(super) fn measure(bench: &Bench) -> Result<Round> {
    const FLAG: &str = "--model-control";
    if !bench.artifacts.has_flag(FLAG)? {
        bail!(Skip("this build has no flag for model control".to_owned()));
    }
    let example = std::fs::read_to_string(&bench.artifacts.example)?;
    let request = measure::predict(bench.folder(), &example)?;
    let model = Model::digits(&bench.artifacts);
    let models = bench.repository(model.clone())?;
    repository::add_version(&models, &model, "2").context("the candidate")?;
    let without = Launch::lockgate(&bench.artifacts, &models);
    let mut with = without.clone().labelled(WITH_ROLLOUT);
    // The id of a rollout can be used only once, so each round has its own state.
    let state = tempfile::tempdir().context("a folder for the state")?;
    let state_dir = state.path().display().to_string();
    let arguments = [FLAG, "true", "--state-dir", &state_dir];
    with.arguments = arguments.map(str::to_owned).to_vec();
    let mut round = Round::default();
    round.runs.extend(bench.runs(&without, &request, &[64])?);
    let server = bench.start(&with, &request)?;
    wait_for(
        "its versions",
        || probe::get(server.port(), "/v2/models/digits/versions/1/ready"),
        "HTTP/1.1 200",
    )?;
    let started = probe::post(server.port(), "/api/rollouts", FILE)?;
    if !started.starts_with("HTTP/1.1 201") {
        bail!("failed to start the rollout: {started}");
    }
    let status = || probe::get(server.port(), "/api/rollouts/bench");
    wait_for("its first step", status, "\"state\":\"step\"")?;
    round
        .runs
        .push(bench.run(with.server_name(), &server, &request, 64)?);
    server.stop()?;
    Ok(round)
}

/// Polls until the answer contains a text.
fn wait_for(what: &str, query: impl Fn() -> Result<String>, text: &str) -> Result<()> {
    let waited = crate::steps::stopwatch();
    loop {
        let answer = query()?;
        if answer.contains(text) {
            return Ok(());
        }
        if waited() > TIMEOUT {
            bail!("timed out waiting for {what}: {answer}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
