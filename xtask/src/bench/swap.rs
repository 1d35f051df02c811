//! Replacement of a version by a new one under load.
//!
//! Decision: an open loop, because a closed one would wait for slow replies and send fewer
//! requests. The p99 of windows of half a second shows how long a swap affects latency; windows
//! before the swap show the noise of the machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtest::arrivals::Phase;
use loadtest::records::{self, Outcomes, Record};

use super::figures::{Round, median};
use super::launch::Launch;
use super::measure::Bench;
use super::open_loop::ScheduleRunner;
use super::probe;
use super::repository::{self, Model};
use super::request::{Request, Tensor};
use super::unit::Unit;

pub(super) const FAILED: &str = "failed requests";
pub(super) const SLOW: &str = "time with a high p99 after the swap";

const RATE: f64 = 200.0;
const WARM_UP: Duration = Duration::from_secs(1);
/// The time from the start until the new version is added.
const SWAP: Duration = Duration::from_secs(6);
const END: Duration = Duration::from_secs(12);
const WINDOW: Duration = Duration::from_millis(500);
/// A window is slow above this multiple of the median window before the swap.
const SLOW_FACTOR: f64 = 1.5;

/// Measures one swap under load.
pub(super) fn measure(bench: &Bench) -> Result<Round> {
    let tensor = Tensor {
        model: "friendly",
        input: "x",
        shape: vec![1, 64],
    };
    let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
    let model =
        Model::network(&bench.artifacts, "friendly").with_settings("versions: {latest: 1}\n");
    let models = bench.repository(model.clone())?;
    let server = bench.start(&Launch::lockgate(&bench.artifacts, &models), &request)?;
    let runner = ScheduleRunner {
        program: &bench.artifacts.open_load,
        folder: bench.folder(),
        port: server.port(),
    };
    let phases = [Phase {
        requests_per_second: RATE,
        duration: END,
    }];
    let (records, swapped) = std::thread::scope(|scope| {
        let swap = scope.spawn(|| swap(&models, &model));
        (runner.run_schedule(&request, &phases), swap.join())
    });
    let records = records?;
    swapped.map_err(|_| anyhow::anyhow!("the swap panicked"))??;
    let reply = probe::get(server.port(), "/v2/models/friendly/versions/2/ready")?;
    if !reply.starts_with("HTTP/1.1 200") {
        bail!("the new version does not serve: {reply}");
    }
    server.stop()?;
    evaluate(&records)
}

fn swap(models: &Path, model: &Model) -> Result<()> {
    std::thread::sleep(SWAP);
    repository::add_version(models, model, "2").context("the new version")
}

fn evaluate(records: &[Record]) -> Result<Round> {
    let before = windows(records, WARM_UP, SWAP);
    let after = windows(records, SWAP, END);
    let usual = median(before.clone());
    let seconds_above = |windows: &[f64]| {
        let n_slow = windows
            .iter()
            .filter(|p99| **p99 > usual * SLOW_FACTOR)
            .count();
        n_slow as f64 * WINDOW.as_secs_f64()
    };
    let outcomes = Outcomes::of(records, Duration::MAX);
    let mut round = Round::default();
    let worst = after.iter().copied().fold(0.0, f64::max);
    let n_failed = outcomes.n_failed + outcomes.n_refused + outcomes.n_expired;
    round.set(
        "p99 before the swap, median window",
        Unit::Milliseconds,
        usual,
    );
    round.set(
        "p99 after the swap, worst window",
        Unit::Milliseconds,
        worst,
    );
    round.set(
        "time with a high p99 before the swap",
        Unit::Seconds,
        seconds_above(&before),
    );
    round.set(SLOW, Unit::Seconds, seconds_above(&after));
    round.set(FAILED, Unit::Count, n_failed as f64);
    round.notes.extend(outcomes.client_warning());
    Ok(round)
}

/// Returns the p99 of each window of a period, in milliseconds.
fn windows(records: &[Record], from: Duration, to: Duration) -> Vec<f64> {
    let mut found = Vec::new();
    let mut start = from;
    while start + WINDOW <= to {
        let end = start + WINDOW;
        let window = records::between(records, start.as_secs_f64(), end.as_secs_f64());
        found.push(records::p99(&window).as_secs_f64() * 1e3);
        start = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figures;

    /// Returns requests every 10 ms that take 4 ms, and 9 ms for a while after the swap.
    fn records(slow_ms: u64, failed_status: u16) -> Vec<Record> {
        (0..1200_u64)
            .map(|n| {
                let due_ms = n * 10;
                let is_slow = (6000..6000 + slow_ms).contains(&due_ms);
                let latency_ms = if is_slow { 9 } else { 4 };
                Record {
                    due_us: due_ms * 1000,
                    sent_us: due_ms * 1000,
                    done_us: (due_ms + latency_ms) * 1000,
                    status: if n == 700 { failed_status } else { 200 },
                }
            })
            .collect()
    }

    #[test]
    fn slow_windows_after_the_swap_add_up() {
        let round = evaluate(&records(500, 200)).unwrap();
        let figures = Figures::of("case", &[round]);
        assert_eq!(figures.value(SLOW), Some(0.5));
        assert_eq!(
            figures.value("time with a high p99 before the swap"),
            Some(0.0)
        );
        assert_eq!(figures.value("p99 after the swap, worst window"), Some(9.0));
        assert_eq!(figures.value(FAILED), Some(0.0));
    }

    #[test]
    fn any_other_reply_is_a_failure() {
        for status in [0, 404, 429, 500, 503] {
            let figures = Figures::of("case", &[evaluate(&records(0, status)).unwrap()]);
            assert_eq!(figures.value(FAILED), Some(1.0), "{status}");
        }
    }
}
