//! The decision whether requests of a version are joined, and the reason.
//!
//! Rule: by default, only requests of models that are proven to be batch-invariant are joined. The
//! setting `batching.enabled: true` overrides a trial, with a warning.

use std::num::NonZeroUsize;

use contract::{Error, Result, Session, Signature};
use tokio::time::Instant;

use super::batch_invariance::{Invariance, prove};
use super::settings::VersionSettings;
use super::warmup::check_shapes;

/// Hint to switch batching on where a trial left it off.
const SWITCH_ON: &str =
    "set `batching.enabled: true` in `model.yaml` to join requests all the same";

/// The decision whether requests of a version are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchingDecision {
    /// Set when they are joined.
    pub(crate) is_batching: bool,
    /// Set when the server decided it by a trial, and may revise it.
    pub(crate) is_guess: bool,
    /// Reason, in words for the owner of the model.
    pub(crate) reason: String,
    /// Set when the log should warn of it.
    pub(crate) is_doubtful: bool,
}

impl BatchingDecision {
    fn off(reason: impl Into<String>) -> Self {
        Self {
            is_batching: false,
            is_guess: false,
            reason: reason.into(),
            is_doubtful: false,
        }
    }
}

/// Decides from settings and signature, and from a trial on `session` where these leave it open.
///
/// # Errors
/// `invalid_request` when `batching.enabled` or `warmup.shapes` do not fit the signature,
/// `engine_lost` when the session is lost.
pub(crate) fn decide(
    signature: &Signature,
    settings: &VersionSettings,
    session: &mut dyn Session,
) -> Result<BatchingDecision> {
    let max_rows = settings.batching.max_rows;
    let mut prove = || {
        check_shapes(signature, &settings.warmup)?;
        let started = Instant::now();
        let found = prove(signature, &settings.warmup, max_rows, session)?;
        tracing::debug!(?found, elapsed = ?started.elapsed(), "tested batch invariance");
        Ok::<_, Error>(found)
    };
    match settings.batching.is_enabled {
        Some(false) => Ok(BatchingDecision::off("`batching.enabled` is false")),
        Some(true) if !signature.starts_dynamically() => Err(Error::invalid(
            "`batching.enabled` in `model.yaml` is true, but the first dimension of the inputs and \
             outputs is not dynamic everywhere",
        )),
        Some(true) if !settings.warmup.is_enabled || max_rows == NonZeroUsize::MIN => {
            Ok(asked_for(None))
        }
        Some(true) => Ok(asked_for(Some(&prove()?))),
        None if max_rows == NonZeroUsize::MIN => {
            Ok(BatchingDecision::off("`batching.max_size` is 1"))
        }
        None if !signature.has_batch_dimension() => Ok(no_dimension(signature)),
        None => Ok(guessed(&prove()?)),
    }
}

fn no_dimension(signature: &Signature) -> BatchingDecision {
    let cause =
        "the first dimension of the inputs and outputs is not the same dynamic one everywhere";
    match signature.starts_dynamically() {
        true => BatchingDecision::off(format!("{cause}; {SWITCH_ON}")),
        false => BatchingDecision::off(cause),
    }
}

fn asked_for(found: Option<&Invariance>) -> BatchingDecision {
    let doubt = found.and_then(doubt);
    BatchingDecision {
        is_batching: true,
        is_guess: false,
        is_doubtful: doubt.is_some(),
        reason: match doubt {
            None => "`batching.enabled` is true".to_owned(),
            Some(doubt) => format!("`batching.enabled` is true, although {doubt}"),
        },
    }
}

fn guessed(found: &Invariance) -> BatchingDecision {
    match doubt(found) {
        None => BatchingDecision {
            is_batching: true,
            is_guess: true,
            reason: "made-up requests got the same answers together as alone".to_owned(),
            is_doubtful: false,
        },
        Some(doubt) => BatchingDecision {
            is_doubtful: true,
            ..BatchingDecision::off(format!("{doubt}; {SWITCH_ON}"))
        },
    }
}

/// Describes the result of a trial; `None` when it is proven.
fn doubt(found: &Invariance) -> Option<String> {
    match found {
        Invariance::Proven => None,
        Invariance::Disproved { output, detail } => Some(format!(
            "made-up requests got another answer together than alone: in output `{output}`, {detail}"
        )),
        Invariance::Nondeterministic { output } => Some(format!(
            "the model is random: output `{output}` differs when a request is repeated"
        )),
        Invariance::Unprovable { reason } => Some(format!(
            "it is unknown whether requests get the same answers together as alone: {reason}"
        )),
    }
}
