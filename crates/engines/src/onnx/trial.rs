//! How long a run takes, from a few runs on made-up inputs before a model serves.
//!
//! Rule: inputs are one row of zeros and empty strings, with 1 for every dynamic dimension; the
//! shortest of some runs counts. A model that refuses such inputs has no time.
//! Decision: the time of the processor is taken, not that of the clock, so that a busy machine gives
//! the same answer as an idle one.

use std::time::Duration;

use contract::{Dimension, Signature, Tensor, TensorSpec};
use rustix::time::{ClockId, clock_gettime};

use super::session::OnnxSession;

/// Enough for one of them to run undisturbed.
const N_RUNS: usize = 10;

/// A model that takes this long needs no more runs to be called slow.
const LONG: Duration = Duration::from_millis(20);

/// The time of a run; `None` when the model cannot run these inputs.
pub(super) fn run_time(session: &OnnxSession, signature: &Signature) -> Option<Duration> {
    let inputs: contract::Result<Vec<_>> = signature.inputs.iter().map(one_row).collect();
    let inputs = inputs.ok()?;
    let run = || session.run_aligned(&inputs, &[]).ok();
    // The first run reserves memory.
    run()?;
    let mut shortest: Option<Duration> = None;
    let mut all = Duration::ZERO;
    for _ in 0..N_RUNS {
        let start = processor_time();
        run()?;
        let time = processor_time().saturating_sub(start);
        shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
        all += time;
        if all > LONG {
            break;
        }
    }
    shortest
}

fn one_row(spec: &TensorSpec) -> contract::Result<Option<Tensor>> {
    if spec.is_optional {
        return Ok(None);
    }
    let sizes = spec
        .dims
        .iter()
        .map(|dim| Dimension::fixed(dim).unwrap_or(1));
    Tensor::zeros(spec.element_type, sizes.collect()).map(Some)
}

/// The time that this thread has computed for.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
