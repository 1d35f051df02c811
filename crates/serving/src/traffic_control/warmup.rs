//! The warm-up of a rollout: uncounted requests to the candidate.
//!
//! Rule: copies of the requests to stable, until there are enough; when too few arrive in time, the
//! rest is made up from the signature, because no traffic is no failure. More than half of the
//! copies must be answered; made-up requests may fail, because zeros and empty text are invalid
//! inputs of many models. Cold start and recovery: after a restart the warm-up starts over.

use std::sync::Arc;

use contract::{Code, Error, ModelInfo, NamedTensor, Result, Tensor};
use rollout::config::Warmup;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::shadow_runner::run_copy;
use crate::control::snapshot::ServedVersion;
use crate::route::MirroredRequest;

/// Counts of the requests of a warm-up.
#[derive(Debug, Default)]
struct WarmupCounts {
    n_run: u64,
    n_failed: u64,
    last: Option<Error>,
}

impl WarmupCounts {
    async fn run(&mut self, candidate: &ServedVersion, copy: &MirroredRequest) {
        self.n_run += 1;
        if let Err(error) = run_copy(candidate, copy).await {
            self.n_failed += 1;
            self.last = Some(error);
        }
    }

    async fn run_made_up(&mut self, candidate: &ServedVersion, copy: &MirroredRequest) {
        self.n_run += 1;
        match run_copy(candidate, copy).await {
            Err(error) if error.code() == Code::EngineLost => {
                self.n_failed = self.n_run;
                self.last = Some(error);
            }
            Err(error) => tracing::debug!(%error, "made-up warm-up request failed"),
            Ok(_) => {}
        }
    }

    fn result(self) -> Result<(), String> {
        let Self {
            n_run,
            n_failed,
            last,
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
    candidate: Arc<ServedVersion>,
    arriving: Option<mpsc::Receiver<MirroredRequest>>,
) -> Result<(), String> {
    let mut counts = WarmupCounts::default();
    let end = Instant::now() + rule.timeout;
    if let Some(mut arriving) = arriving {
        while counts.n_run < rule.n_requests
            && let Ok(Some(copy)) = timeout_at(end, arriving.recv()).await
        {
            counts.run(&candidate, &copy).await;
        }
    }
    // A model without made-up inputs was warmed up when it was loaded.
    if let Ok(copy) = synthetic_request(candidate.loaded_version.info()) {
        while counts.n_run < rule.n_requests {
            counts.run_made_up(&candidate, &copy).await;
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
