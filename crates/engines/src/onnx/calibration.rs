//! Calibration runs: the time of a run, measured on made-up inputs before a model serves.
//!
//! Rule: inputs are rows of zeros and empty strings, with 1 for every other dynamic dimension; the
//! shortest of several runs counts. A model that rejects such inputs has no measured time.
//! Decision: CPU time is measured instead of wall-clock time, so that a busy machine gives the same
//! answer as an idle one. CPU time leaves out the work of a GPU, so there the wall clock is used,
//! for a difference that no busy machine could cause.

use std::time::Duration;

use contract::{Dimension, Signature, Tensor, TensorSpec};
use rustix::time::{ClockId, clock_gettime};

use super::session::OnnxSession;

/// The clock of the CPU time of this thread.
const PROCESSOR: ClockId = ClockId::ThreadCPUTime;

/// Enough runs for one of them to be undisturbed.
const N_RUNS: usize = 10;

/// Changes of the number of rows; two, because the first one may also reserve memory.
const N_CHANGES: usize = 2;

/// A run time from which a model counts as slow without further runs.
const LONG: Duration = Duration::from_millis(20);

/// The time of a run, by the size of the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChangeCost {
    /// After a run of the same size.
    pub(super) steady: Duration,
    /// After a run of another size.
    pub(super) changed: Duration,
}

impl ChangeCost {
    /// Returns whether a change of size justifies an extra session.
    pub(super) fn is_expensive(&self) -> bool {
        self.changed > self.steady.saturating_mul(3) + Duration::from_millis(1)
    }
}

/// Measures the time of a run; `None` when the model cannot run these inputs.
pub(super) fn run_time(session: &OnnxSession, signature: &Signature) -> Option<Duration> {
    let inputs = rows(signature, 1)?;
    let run = || session.run_aligned(&inputs, &[]).ok();
    // The first run reserves memory.
    run()?;
    let mut shortest: Option<Duration> = None;
    let mut all = Duration::ZERO;
    for _ in 0..N_RUNS {
        let start = now(PROCESSOR);
        run()?;
        let time = now(PROCESSOR).saturating_sub(start);
        shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
        all += time;
        if all > LONG {
            break;
        }
    }
    shortest
}

/// Measures a run of one row after another one, and after one of two rows.
pub(super) fn change_cost(session: &OnnxSession, signature: &Signature) -> Option<ChangeCost> {
    let (one, two) = (rows(signature, 1)?, rows(signature, 2)?);
    let time = |inputs: &[Option<Tensor>]| {
        let start = now(ClockId::Monotonic);
        session.run_aligned(inputs, &[]).ok()?;
        Some(now(ClockId::Monotonic).saturating_sub(start))
    };
    let mut cost: Option<ChangeCost> = None;
    for _ in 0..N_CHANGES {
        time(&two)?;
        let changed = time(&one)?;
        let steady = time(&one)?;
        let so_far = cost.unwrap_or(ChangeCost { steady, changed });
        cost = Some(ChangeCost {
            steady: steady.min(so_far.steady),
            changed: changed.min(so_far.changed),
        });
    }
    cost
}

/// Runs `n_rows` rows once, so that the cost of the first run of a size is paid before a caller
/// waits.
pub(super) fn run_once(session: &OnnxSession, signature: &Signature, n_rows: usize) {
    let inputs = rows(signature, n_rows);
    let outcome = inputs.map(|inputs| session.run_aligned(&inputs, &[]));
    if let Some(Err(error)) = outcome {
        tracing::debug!(n_rows, %error, "failed to run model on zeros");
    }
}

/// Builds inputs of `n_rows` rows; `None` where a model takes none.
fn rows(signature: &Signature, n_rows: usize) -> Option<Vec<Option<Tensor>>> {
    let has_rows = signature.has_batch_dimension();
    let input = |spec: &TensorSpec| {
        if spec.is_optional {
            return Ok(None);
        }
        let size = |(axis, dim): (usize, &Dimension)| match axis == 0 && has_rows {
            true => n_rows,
            false => dim.fixed().unwrap_or(1),
        };
        let shape = spec.dims.iter().enumerate().map(size).collect();
        Tensor::zeros(spec.element_type, shape).map(Some)
    };
    let inputs: contract::Result<Vec<_>> = signature.inputs.iter().map(input).collect();
    inputs.ok()
}

/// Reads a clock.
fn now(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
