//! `POST /api/rollouts:simulate`: simulates a rollout on a virtual clock.
//!
//! Rule: it takes a processor for seconds, so it runs beside the workers, one at a time, and at
//! most [`MAX_RUNS`] runs long. A second caller is refused and may retry. It ends when its caller
//! has gone, and after [`TIME_LIMIT`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::rollout::SimulationBody;
use contract::{Code, Error, Result, SimulationInput};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{reply, rollouts};
use crate::context::Context;
use crate::rest::{Call, Reply};

/// Enough for two digits of a probability; most rollouts are done within a minute.
const MAX_RUNS: usize = 10_000;

/// The longest time of a simulation.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Far above the rate of one server.
const MAX_REQUESTS_PER_SECOND: f64 = 1e9;

/// Handler that runs one simulation at a time.
#[derive(Clone, Debug)]
pub(super) struct Simulator(Arc<Semaphore>);

impl Default for Simulator {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Simulator {
    /// Handles `POST /api/rollouts:simulate`.
    pub(super) async fn simulate(self, ctx: Arc<Context>, call: Call) -> Result<Reply> {
        ctx.check_control()?;
        rollouts(&ctx)?;
        let (file, assumptions) = read(call.json()?)?;
        let permit = self.0.try_acquire_owned().map_err(|_| {
            Error::new(
                Code::Overloaded,
                "another rollout is being simulated; retry when it has ended",
            )
        })?;
        let cancellation = CancelOnDrop::default();
        let is_cancelled = Arc::clone(&cancellation.0);
        let played = spawn_blocking(move || {
            // Held until the run in progress ends, also when the caller has gone.
            let _permit = permit;
            let is_cancelled = || is_cancelled.load(Ordering::Relaxed);
            rollouts(&ctx)?.simulate(&file, &assumptions, &is_cancelled)
        });
        let results = timeout(TIME_LIMIT, played).await.map_err(|_| too_long())?;
        let results = results.map_err(|error| Error::internal(error.to_string()))??;
        Ok(reply(&results))
    }
}

/// Cancels a simulation when its caller has gone or its time is over.
#[derive(Debug, Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn too_long() -> Error {
    let seconds = TIME_LIMIT.as_secs();
    let message = format!("the simulation took longer than {seconds} s; ask for fewer `runs`");
    Error::new(Code::DeadlineExceeded, message)
}

pub(super) fn read(body: SimulationBody) -> Result<(String, SimulationInput)> {
    let file = match (body.file, body.rollout) {
        (Some(file), None) => file,
        (None, Some(rollout)) => json!({ "rollout": rollout }).to_string(),
        (None, None) | (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "expected either `file`, the text of a rollout file, or `rollout`, an object",
            ));
        }
    };
    if !(0.0..=MAX_REQUESTS_PER_SECOND).contains(&body.rps) {
        return Err(Error::invalid(format!(
            "`rps`: expected a number from 0 to {MAX_REQUESTS_PER_SECOND}, got `{}`",
            body.rps
        )));
    }
    if !(1..=MAX_RUNS).contains(&body.runs) {
        return Err(Error::invalid(format!(
            "`runs`: expected a number from 1 to {MAX_RUNS}, got `{}`",
            body.runs
        )));
    }
    let assumptions = SimulationInput {
        requests_per_second: body.rps,
        stable_rates: rates("stable_rates", body.stable_rates)?,
        candidate_rates: rates("candidate_rates", body.candidate_rates)?,
        n_runs: body.runs,
        seed: body.seed,
    };
    Ok((file, assumptions))
}

fn rates(key: &str, rates: BTreeMap<String, f64>) -> Result<Vec<(String, f64)>> {
    let wrong = rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(*rate));
    match wrong {
        None => Ok(rates.into_iter().collect()),
        Some((metric, rate)) => Err(Error::invalid(format!(
            "`{key}.{}`: expected a rate from 0 to 1, got `{rate}`",
            metric.escape_debug()
        ))),
    }
}
