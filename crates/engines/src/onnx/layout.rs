//! Session layout: the number of sessions, their threads, and whether they share the model weights.
//!
//! Inputs: the requested concurrency, the provider, the size of the model on disk. Rule: on the CPU
//! as many callers as cores with one thread each, because operators of one thread lose nothing to
//! synchronization. They share one session, unless the model is so small, or its runs so short,
//! that the locks of a shared session cost more than a copy of the model weights. OpenVINO spreads
//! one run over all cores better than several runs over one core each. A GPU runs one batch while
//! the data of the next one is transferred. Rejected: one session for each instance of every model,
//! which keeps a copy of the model weights for each core and is no faster where runs are long; and
//! trying one session of all threads as well, which was slower for every network measured on the
//! CPU and would open each large model twice.

use std::num::NonZeroUsize;
use std::time::Duration;

use contract::{Code, Concurrency, Error, Result, SessionLayout, SessionMode};

use super::options::Provider;

/// The size below which a copy of the model weights is cheaper than sharing: a tiny network ran 505
/// 000 times a second in two sessions and 189 000 times in a shared one, a network of 14 MB 339 and
/// 366 times.
const SMALL_MODEL_BYTES: u64 = 1024 * 1024;

/// The most memory that copies may take.
const MAX_COPIES_BYTES: u64 = 512 * 1024 * 1024;

/// The run time per caller from which a session is shared. Each caller of a shared session keeps
/// its locks for about 5 us in every run: 190 000 runs a second were the most whatever the cores.
/// At twice that per caller the locks are free half of the time.
const RUN_TIME_PER_CALLER: Duration = Duration::from_micros(10);

/// The most copies of large model weights when settings give no number: a machine with many cores
/// has memory for some of them, not for one on each core.
const MAX_DEFAULT_COPIES: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Sessions of a GPU: one batch computes while the data of the other one is transferred.
const SESSIONS_OF_A_GPU: NonZeroUsize = NonZeroUsize::new(2).unwrap();

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// The sessions to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) n_sessions: NonZeroUsize,
    pub(super) layout: SessionLayout,
}

/// Returns the number of sessions and the threads of each, with defaults where settings give none.
pub(super) fn counts(requested: &Concurrency, provider: &Provider) -> (NonZeroUsize, NonZeroUsize) {
    requested.or(match provider {
        Provider::Cpu => (requested.cores, ONE),
        Provider::OpenVino(_) => (ONE, requested.cores),
        Provider::Cuda(_) => (SESSIONS_OF_A_GPU, ONE),
    })
}

/// Decides what `requested` leaves open. `n_bytes` is the size of the model with its external data;
/// `run_time` measures a run, and is called only when that matters.
pub(super) fn plan(
    requested: &Concurrency,
    provider: &Provider,
    n_bytes: u64,
    run_time: impl FnOnce() -> Option<Duration>,
) -> Plan {
    let (n_sessions, threads) = counts(requested, provider);
    let (is_shared, reason) = match (requested.mode, provider) {
        (SessionMode::Shared | SessionMode::Instances, _) => (
            requested.mode == SessionMode::Shared,
            format!("`session_mode: {}` is set", requested.mode.as_str()),
        ),
        (SessionMode::Auto, Provider::Cpu) => on_cpu(n_sessions, n_bytes, run_time),
        (SessionMode::Auto, Provider::OpenVino(_)) => (
            false,
            "OpenVINO spreads each run over all its threads, so one session is best".to_owned(),
        ),
        (SessionMode::Auto, Provider::Cuda(_)) => (
            false,
            "one session of a GPU computes while the data of another one is transferred".to_owned(),
        ),
    };
    let is_small = n_bytes < SMALL_MODEL_BYTES;
    let n_sessions = match requested.n_sessions {
        None if !is_shared && !is_small => n_sessions.min(MAX_DEFAULT_COPIES),
        None | Some(_) => n_sessions,
    };
    Plan {
        n_sessions,
        layout: SessionLayout {
            is_shared,
            threads,
            provider: provider.name().to_owned(),
            reason,
        },
    }
}

/// Returns whether instances on the CPU share a session, and why.
fn on_cpu(
    n_sessions: NonZeroUsize,
    n_bytes: u64,
    run_time: impl FnOnce() -> Option<Duration>,
) -> (bool, String) {
    let size = size_text(n_bytes);
    if n_sessions == ONE {
        let reason = "there is only one instance";
        return (false, reason.to_owned());
    }
    if n_bytes < SMALL_MODEL_BYTES {
        let reason = format!("the model has only {size}, so copies cost less than sharing");
        return (false, reason);
    }
    let n_callers = u32::try_from(n_sessions.get()).unwrap_or(u32::MAX);
    let short = RUN_TIME_PER_CALLER.saturating_mul(n_callers);
    let can_copy = n_bytes.saturating_mul(n_callers.into()) <= MAX_COPIES_BYTES;
    match can_copy.then(run_time).flatten() {
        Some(time) if time < short => {
            let micros = time.as_micros();
            let reason =
                format!("runs of {micros} us would wait for the locks of a shared session");
            (false, reason)
        }
        Some(_) | None => (
            true,
            format!("the model has {size}, of which all instances share one copy"),
        ),
    }
}

/// Rejects a shared session where the runtime does not allow it.
pub(super) fn check(requested: &Concurrency, provider: &Provider) -> Result<()> {
    match (requested.mode, provider) {
        (SessionMode::Auto | SessionMode::Instances, _) | (_, Provider::Cpu) => Ok(()),
        (SessionMode::Shared, Provider::OpenVino(_) | Provider::Cuda(_)) => Err(Error::new(
            Code::EngineFailed,
            format!(
                "`session_mode: shared` works only with provider `cpu`; with `{}` use `auto` or \
                 `instances`",
                provider.name()
            ),
        )),
    }
}

fn size_text(n_bytes: u64) -> String {
    const MEGABYTE: u64 = 1_000_000;
    match n_bytes / MEGABYTE {
        0 => format!("{} kB", n_bytes.div_ceil(1000)),
        megabytes => format!("{megabytes} MB"),
    }
}

#[cfg(test)]
mod tests;
