//! Costs of a server besides its requests: memory of instances, CPU of an idle server, metrics.

use std::time::Duration;

use anyhow::{Result, bail};

use super::figures::Round;
use super::launch::Launch;
use super::measure::{self, Bench, Skip};
use super::repository::{self, Model};
use super::request::{Request, Tensor};
use super::unit::Unit;

pub(super) const ONE: &str = "memory with 1 instance, MB";
pub(super) const FOUR_INSTANCES: &str = "memory with 4 instances, MB";
pub(super) const IDLE: &str = "CPU when idle, of one core";
pub(super) const WITHOUT_METRICS: &str = "Lockgate, no metrics";

const N_IDLE_MODELS: usize = 50;
/// Time of the idle measurement: long enough to distinguish 0.1 % of a core from none, with the
/// clock ticks of Linux.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// Time after the start until the server has settled.
const START_UP_TIME: Duration = Duration::from_secs(3);

/// Measures the memory of instances, then the CPU time of an idle server.
pub(super) fn measure(bench: &Bench) -> Result<Round> {
    let mut round = Round::default();
    instances(bench, &mut round)?;
    idle(bench, &mut round)?;
    Ok(round)
}

/// Measures the memory after a load that keeps all instances busy, one request each; the network
/// consists mostly of weights.
fn instances(bench: &Bench, round: &mut Round) -> Result<()> {
    let tensor = Tensor {
        model: "wide",
        input: "x",
        shape: vec![1, 64],
    };
    let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
    for (n, name) in [(1, ONE), (4, FOUR_INSTANCES)] {
        let settings = format!("instances: {n}\nthreads: 1\nbatching:\n  enabled: false\n");
        let model = Model::network(&bench.artifacts, "wide").with_settings(settings);
        let models = bench.repository(model)?;
        let server_name = format!("Lockgate, {n} instances");
        let launch = Launch::lockgate(&bench.artifacts, &models).labelled(server_name);
        let runs = bench.runs(&launch, &request, &[8])?;
        let memory_mb = runs.iter().map(|run| run.memory_mb).fold(0.0, f64::max);
        round.set(name, Unit::Count, memory_mb);
        round.runs.extend(runs);
    }
    Ok(())
}

fn idle(bench: &Bench, round: &mut Round) -> Result<()> {
    let digits = Model::digits(&bench.artifacts);
    let mut models: Vec<_> = (1..N_IDLE_MODELS)
        .map(|n| Model {
            name: format!("digits-{n}"),
            ..digits.clone()
        })
        .collect();
    models.push(digits);
    let models = repository::write(bench.folder(), &models)?;
    let example = std::fs::read_to_string(&bench.artifacts.example)?;
    let request = measure::infer_binary(bench.folder(), &example)?;
    let server = bench.start(&Launch::lockgate(&bench.artifacts, &models), &request)?;
    std::thread::sleep(START_UP_TIME);
    let before = server.usage()?;
    std::thread::sleep(IDLE_TIME);
    let after = server.usage()?;
    let share = after.cpu_since(&before).as_secs_f64() / IDLE_TIME.as_secs_f64();
    round.set(IDLE, Unit::Percent, share * 100.0);
    let memory_mb = after.resident_bytes as f64 / 1e6;
    round.set("memory with 50 small models, MB", Unit::Count, memory_mb);
    server.stop()
}

/// Measures the small network with and without metrics.
pub(super) fn metrics(bench: &Bench) -> Result<Round> {
    const FLAG: &str = "--metrics";
    if !bench.artifacts.has_flag(FLAG)? {
        bail!(Skip("this build has no setting without metrics".to_owned()));
    }
    let example = std::fs::read_to_string(&bench.artifacts.example)?;
    let request = measure::predict(bench.folder(), &example)?;
    let models = bench.repository(Model::digits(&bench.artifacts))?;
    let with = Launch::lockgate(&bench.artifacts, &models);
    let mut without = with.clone().labelled(WITHOUT_METRICS);
    without.arguments = vec![FLAG.to_owned(), "false".to_owned()];
    let mut round = Round::default();
    for launch in [with, without] {
        round.runs.extend(bench.runs(&launch, &request, &[64])?);
    }
    Ok(round)
}
