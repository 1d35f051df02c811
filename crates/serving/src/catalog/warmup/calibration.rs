//! Calibration of the batch cost curve before the first request.
//!
//! Rule: on one session, batches of 1, 2, 4, ... rows, each size a few times, of which the fastest
//! counts. A doubling that gains less than 3 % of throughput is the last, and so is one that would
//! exceed the time budget. Decision: guessed sizes are not measured, because a text of one word is
//! not representative; then the curve is learned from requests.

use std::num::NonZeroUsize;
use std::time::Duration;

use contract::{ModelInfo, Result, Session};
use tokio::time;

use super::{Run, check_count, run};
use crate::batch::curve::{Curve, float};
use crate::catalog::settings::Warmup;

/// The time for all runs: callers do not wait for a version that replaces another.
const BUDGET: Duration = Duration::from_secs(1);

/// Runs of one size; the fastest was not interrupted by others.
const N_RUNS: u32 = 3;

/// The gain in throughput that is worth another doubling.
const MIN_GAIN: f64 = 1.03;

/// Measures the batch cost curve of a version.
pub(crate) fn calibrate(info: &ModelInfo, settings: &Warmup, session: &mut dyn Session) -> Curve {
    let mut curve = Curve::default();
    let started = time::Instant::now();
    let (mut best, mut next) = (0.0, Duration::ZERO);
    for n_rows in sizes(info) {
        if started.elapsed() + next > BUDGET {
            break;
        }
        // A failed run ends the calibration: no caller depends on it.
        let measured =
            run(info, settings, Some(n_rows)).and_then(|run| measure(info, &run, session));
        let Ok(Some(fastest)) = measured else { break };
        curve.observe(n_rows.get(), fastest);
        next = fastest * 2 * N_RUNS;
        let throughput = float(n_rows.get()) / fastest.as_secs_f64().max(1e-9);
        if throughput < best * MIN_GAIN {
            break;
        }
        best = throughput;
    }
    curve
}

/// Returns the doublings up to the largest batch, which is the last of them.
fn sizes(info: &ModelInfo) -> Vec<NonZeroUsize> {
    let most = match info.max_batch_rows.filter(|_| info.is_batching) {
        Some(most) => most,
        None => NonZeroUsize::MIN,
    };
    let double = |size: &NonZeroUsize| size.checked_mul(NonZeroUsize::MIN.saturating_add(1));
    let doublings = std::iter::successors(Some(NonZeroUsize::MIN), double);
    let mut sizes: Vec<_> = doublings.take_while(|size| *size < most).collect();
    sizes.push(most);
    sizes
}

/// Returns the time of the fastest of some runs; `None` when their sizes are guessed.
fn measure(info: &ModelInfo, run: &Run, session: &mut dyn Session) -> Result<Option<Duration>> {
    if !run.is_certain {
        return Ok(None);
    }
    let outputs: Vec<_> = (0..info.signature.outputs.len()).collect();
    let mut fastest: Option<Duration> = None;
    for _ in 0..N_RUNS {
        let started = time::Instant::now();
        let tensors = session.run(&run.inputs, &outputs)?;
        let elapsed = started.elapsed();
        check_count(&info.signature, &tensors)?;
        fastest = Some(fastest.map_or(elapsed, |fastest| fastest.min(elapsed)));
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use contract::testing::model_info;
    use contract::{Dimension, ElementType, Shape, Signature, Tensor, TensorSpec};

    use super::*;

    /// Session that takes this long for each run and each row, on the clock of the runtime.
    #[derive(Debug)]
    struct TimedSession {
        per_run: Duration,
        per_row: Duration,
        seen: Vec<usize>,
    }

    impl Session for TimedSession {
        fn run(&mut self, inputs: &[Option<Tensor>], _: &[usize]) -> Result<Vec<Tensor>> {
            let n_rows = inputs[0].as_ref().unwrap().n_rows();
            self.seen.push(n_rows);
            let n = u32::try_from(n_rows).unwrap();
            let advance = time::advance(self.per_run + self.per_row * n);
            futures_util::FutureExt::now_or_never(advance);
            Ok(vec![Tensor::from_values(
                Shape::new(&[n_rows]),
                vec![0_f32; n_rows],
            )?])
        }
    }

    fn info(columns: Option<Dimension>) -> ModelInfo {
        let rows = Dimension::Symbol("batch".to_owned());
        let spec = |name: &str, dims| TensorSpec {
            name: name.to_owned(),
            element_type: ElementType::F32,
            dims,
            is_optional: false,
        };
        let signature = Signature {
            inputs: vec![spec(
                "x",
                [Some(rows.clone()), columns]
                    .into_iter()
                    .flatten()
                    .collect(),
            )],
            outputs: vec![spec("y", vec![rows])],
        };
        let most = NonZeroUsize::new(24);
        ModelInfo {
            max_batch_rows: most,
            max_request_rows: most,
            ..model_info("m", "1", signature)
        }
    }

    /// Returns the sizes that were run, each once, and the curve.
    fn calibrated(info: &ModelInfo, per_run: u64, per_row: u64) -> (Vec<usize>, Curve) {
        let settings = Warmup {
            is_enabled: true,
            batch_rows: [].into(),
            shapes: [].into(),
        };
        let mut session = TimedSession {
            per_run: Duration::from_millis(per_run),
            per_row: Duration::from_millis(per_row),
            seen: Vec::new(),
        };
        let curve = calibrate(info, &settings, &mut session);
        session.seen.dedup();
        (session.seen, curve)
    }

    #[tokio::test(start_paused = true)]
    async fn doublings_are_run_while_they_gain_and_there_is_time() {
        let mut alone = info(None);
        alone.is_batching = false;
        let cases = [
            ("all", info(None), (10, 0), vec![1, 2, 4, 8, 16, 24]),
            ("no gain", info(None), (0, 5), vec![1, 2]),
            ("no time", info(None), (70, 10), vec![1, 2]),
            ("no batches", alone, (10, 0), vec![1]),
            (
                "guessed sizes",
                info(Some(Dimension::Dynamic)),
                (10, 0),
                vec![],
            ),
        ];
        let mut failures = Vec::new();
        for (name, info, (per_run, per_row), expected) in cases {
            let (seen, curve) = calibrated(&info, per_run, per_row);
            if seen != expected || curve.points().count() != expected.len() {
                failures.push(format!("{name}: {seen:?} {curve:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
        let (_, curve) = calibrated(&info(None), 10, 2);
        let time = curve.time(12).unwrap();
        assert!(
            time.abs_diff(Duration::from_millis(34)) < Duration::from_millis(1),
            "{time:?}"
        );
    }
}
