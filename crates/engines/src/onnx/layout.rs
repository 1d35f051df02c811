//! How many sessions of a model, how wide, and whether they share one copy of the weights.
//!
//! Inputs: what was asked for, the provider, the size of the model on disk.
//! Rule: on the CPU as many callers as cores with one thread each, because operators of one thread
//! lose nothing to synchronisation; they share one session, unless the model is so small that the
//! locks of a shared one cost more than a copy. OpenVINO spreads one run over all cores better than
//! several runs over one core each. A GPU runs one batch while the data of the next one travels.
//! Rejected: one session for each instance of every model, which keeps a copy of the weights for
//! each core and is no faster where runs are long.

use std::num::NonZeroUsize;

use contract::{Code, Concurrency, Error, Result, SessionLayout, SessionMode};

use super::options::Provider;

/// Below this a copy of the weights is cheaper than sharing: a tiny network ran 505 000 times a
/// second in two sessions and 189 000 times in a shared one, a network of 14 MB 339 and 366 times.
const SMALL_MODEL_BYTES: u64 = 1024 * 1024;

/// Copies of large weights that nobody asked for by number: a machine with many cores has memory for
/// some of them, not for one on each core.
const MAX_UNASKED_COPIES: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// One batch computes while the data of the other one travels.
const SESSIONS_OF_A_GPU: NonZeroUsize = NonZeroUsize::new(2).unwrap();

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// What is going to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) n_sessions: NonZeroUsize,
    pub(super) layout: SessionLayout,
}

/// Decides what `asked` leaves open. `n_bytes` is the size of the model with its external data.
pub(super) fn plan(asked: &Concurrency, provider: &Provider, n_bytes: u64) -> Result<Plan> {
    let unset = match provider {
        Provider::Cpu => (asked.cores, ONE),
        Provider::OpenVino(_) => (ONE, asked.cores),
        Provider::Cuda(_) => (SESSIONS_OF_A_GPU, ONE),
    };
    let (n_sessions, threads) = asked.or(unset);
    let is_small = n_bytes < SMALL_MODEL_BYTES;
    let is_shared = match asked.mode {
        SessionMode::Shared => {
            check_shareable(provider)?;
            true
        }
        SessionMode::Instances => false,
        SessionMode::Auto => provider.is_cpu() && !is_small && n_sessions > ONE,
    };
    let n_sessions = match asked.n_sessions {
        None if !is_shared && !is_small => n_sessions.min(MAX_UNASKED_COPIES),
        None | Some(_) => n_sessions,
    };
    let reason = match asked.mode {
        SessionMode::Auto => reason(provider, n_sessions, is_shared, n_bytes),
        SessionMode::Instances | SessionMode::Shared => {
            format!("`session_mode: {}` asks for it", asked.mode.as_str())
        }
    };
    Ok(Plan {
        n_sessions,
        layout: SessionLayout {
            is_shared,
            threads,
            provider: provider.name().to_owned(),
            reason,
        },
    })
}

fn check_shareable(provider: &Provider) -> Result<()> {
    match provider {
        Provider::Cpu => Ok(()),
        Provider::OpenVino(_) | Provider::Cuda(_) => Err(Error::new(
            Code::EngineFailed,
            format!(
                "`session_mode: shared` works with provider `cpu` alone; with `{}` use `auto` or \
                 `instances`",
                provider.name()
            ),
        )),
    }
}

fn reason(provider: &Provider, n_sessions: NonZeroUsize, is_shared: bool, n_bytes: u64) -> String {
    let size = size_text(n_bytes);
    match provider {
        Provider::Cpu if is_shared => {
            format!("the model has {size}, of which all instances share one copy")
        }
        Provider::Cpu if n_sessions == ONE => {
            "there is one instance, which shares with nobody".to_owned()
        }
        Provider::Cpu => format!("the model has only {size}, so copies cost less than sharing"),
        Provider::OpenVino(_) => {
            "OpenVINO spreads each run over all its threads, so one session is best".to_owned()
        }
        Provider::Cuda(_) => {
            "one session of a GPU computes while the data of another one travels".to_owned()
        }
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
