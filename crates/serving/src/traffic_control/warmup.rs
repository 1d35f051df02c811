//! The warm-up of a rollout: uncounted requests to the candidate.
//!
//! Rule: copies of the requests to stable, until there are enough; when too few arrive in time, the
//! rest is made up from the signature, because no traffic is no failure. More than half of the
//! copies must be answered; made-up requests may fail, because zeros and empty text are invalid
//! inputs of many models. The guards of the rollout apply to both, against the answer of stable to
//! the same request, because some inputs are NaN or an error for every version. Cold start and
//! recovery: after a restart the warm-up starts over.

use std::sync::Arc;

use api::rollout::GuardKind;
use contract::{Code, Error, ModelInfo, NamedTensor, Result, Tensor};
use rollout::config::{Guards, Warmup};
use rollout::driver::PairTotals;
use stats::comparison::Tolerance;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::shadow_comparison::add_answers;
use super::shadow_runner::run_copy;
use crate::control::snapshot::ServedVersion;
use crate::route::{MirroredRequest, MirroredResponse};

/// The versions of a warm-up, and the limits that it must not reach.
#[derive(Debug)]
pub(super) struct WarmupVersions {
    /// The version that is warmed up.
    pub(super) candidate: Arc<ServedVersion>,
    /// The version that it is compared with, where it is ready.
    pub(super) stable: Option<Arc<ServedVersion>>,
    /// The guards of the rollout.
    pub(super) guards: Guards,
}

/// Counts of the requests of a warm-up.
#[derive(Debug, Default)]
struct WarmupCounts {
    n_run: u64,
    n_failed: u64,
    last: Option<Error>,
    /// Consecutive errors for which stable has answers.
    error_run: u64,
    pairs: PairTotals,
}

impl WarmupCounts {
    async fn run(&mut self, candidate: &ServedVersion, copy: &MirroredRequest) {
        self.n_run += 1;
        match run_copy(candidate, copy).await {
            Ok(answer) => self.add_answer(copy, &answer),
            Err(error) => {
                self.n_failed += 1;
                self.error_run += u64::from(copy.answer.is_ok());
                self.last = Some(error);
            }
        }
    }

    fn add_answer(&mut self, copy: &MirroredRequest, answer: &MirroredResponse) {
        self.error_run = 0;
        if let Ok(stable) = &copy.answer {
            add_answers(&mut self.pairs, stable, answer, Tolerance::default());
        }
    }

    /// Returns an error when a guard has reached its limit.
    fn check(&self, guards: &Guards) -> Result<(), String> {
        let counts = [
            (
                GuardKind::NanOutput,
                self.pairs.n_nan,
                guards.nan_output,
                "answers with NaN or infinity, where stable has none",
            ),
            (
                GuardKind::ShapeChange,
                self.pairs.n_other_shape,
                guards.shape_change,
                "answers of another name, type or shape than those of stable",
            ),
            (
                GuardKind::ConsecutiveErrors,
                self.error_run,
                guards.consecutive_errors,
                "errors in a row, where stable has answers",
            ),
        ];
        for (guard, count, limit, what) in counts {
            if let Some(limit) = limit.filter(|limit| count >= *limit) {
                let (guard, n) = (guard.as_str(), self.n_run);
                return Err(format!(
                    "guard `{guard}`: {count} {what}, among {n} requests (limit {limit})"
                ));
            }
        }
        Ok(())
    }

    async fn run_made_up(&mut self, candidate: &ServedVersion, copy: &MirroredRequest) {
        self.n_run += 1;
        match run_copy(candidate, copy).await {
            Err(error) if error.code() == Code::EngineLost => {
                self.n_failed = self.n_run;
                self.last = Some(error);
            }
            Err(error) => tracing::debug!(%error, "made-up warm-up request failed"),
            Ok(answer) => self.add_answer(copy, &answer),
        }
    }

    fn result(self) -> Result<(), String> {
        let Self {
            n_run,
            n_failed,
            last,
            ..
        } = self;
        match last {
            Some(error) if n_failed * 2 >= n_run => Err(format!(
                "{n_failed} of {n_run} requests failed, the last one with: {error}"
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// Runs the warm-up; `arriving` yields copies, unless all requests are made up.
///
/// # Errors
/// The reason why it failed, for people.
pub(super) async fn warm_up(
    rule: Warmup,
    versions: &WarmupVersions,
    arriving: Option<mpsc::Receiver<MirroredRequest>>,
) -> Result<(), String> {
    let WarmupVersions {
        candidate,
        stable,
        guards,
    } = versions;
    let mut counts = WarmupCounts::default();
    let end = Instant::now() + rule.timeout;
    if let Some(mut arriving) = arriving {
        while counts.n_run < rule.n_requests
            && let Ok(Some(copy)) = timeout_at(end, arriving.recv()).await
        {
            counts.run(candidate, &copy).await;
            counts.check(guards)?;
        }
    }
    // A model without made-up inputs was warmed up when it was loaded.
    if let Ok(mut copy) = synthetic_request(candidate.loaded_version.info()) {
        if let Some(stable) = stable {
            copy.answer = run_copy(stable, &copy).await.map_err(|error| error.code());
        }
        while counts.n_run < rule.n_requests {
            counts.run_made_up(candidate, &copy).await;
            counts.check(guards)?;
        }
    }
    counts.result()
}

/// Builds a request of zeros and empty strings, with 1 for every size that is not fixed.
fn synthetic_request(info: &ModelInfo) -> Result<MirroredRequest> {
    let required = info.signature.inputs.iter().filter(|s| !s.is_optional);
    let inputs = required.map(|spec| {
        let sizes = spec.dims.iter().map(|dim| dim.fixed().unwrap_or(1));
        Ok(NamedTensor {
            name: spec.name.clone(),
            tensor: Tensor::zeros(spec.element_type, sizes.collect())?,
        })
    });
    Ok(MirroredRequest {
        inputs: inputs.collect::<Result<_>>()?,
        outputs: Vec::new(),
        answer: Err(Code::Cancelled),
    })
}
