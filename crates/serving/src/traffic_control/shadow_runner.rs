//! The runner of shadow requests: they run on the candidate one after the other, in idle time.
//!
//! Decision: one shadow request at a time, at the lowest priority. So they take one worker at most,
//! wait behind every caller, and a candidate that never answers delays nothing but shadow requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{Code, Error, InferRequest, ModelName, RequestId, Result, Version};
use rollout::config::Shadow;
use rollout::driver::PairTotals;
use stats::comparison::Tolerance;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::RepositoryHandle;
use super::budget::Budget;
use super::shadow_comparison::{add_answers, add_failure};
use crate::control::snapshot::ServedVersion;
use crate::route::{DropCounters, DropReason, MirroredRequest, MirroredResponse};

/// The lowest priority.
const LOWEST_PRIORITY: u32 = u32::MAX;

/// Time limit of a shadow request; a longer run says nothing about the speed of a model.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Errors of a candidate that is too busy for a shadow request, which are no evidence against it.
const BUSY: [Code; 4] = [
    Code::QueueFull,
    Code::Overloaded,
    Code::Unavailable,
    Code::ModelNotReady,
];

/// Totals of pairs, shared with their readers.
pub(super) type SharedPairTotals = Arc<Mutex<PairTotals>>;

/// Returns the totals of pairs.
pub(super) fn pair_totals(pairs: &Mutex<PairTotals>) -> PairTotals {
    *pairs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs and compares shadow requests until their mirror is dropped.
#[derive(Debug)]
pub(super) struct ShadowRunner {
    /// Settings of the rollout file.
    pub(super) shadow: Shadow,
    /// Access to the candidate, which may be reloaded meanwhile.
    pub(super) repository: RepositoryHandle,
    /// The model.
    pub(super) model: ModelName,
    /// The version on which they run.
    pub(super) candidate: Version,
    /// Totals of the comparisons.
    pub(super) pairs: SharedPairTotals,
    /// Counters of dropped shadow requests.
    pub(super) drops: Arc<DropCounters>,
}

impl ShadowRunner {
    /// Runs the shadow requests that arrive.
    pub(super) async fn run(self, mut arriving: mpsc::Receiver<MirroredRequest>) {
        let start = Instant::now();
        let mut budget = None;
        while let Some(copy) = arriving.recv().await {
            let Some(candidate) = self.repository.served(&self.model, &self.candidate) else {
                self.drops.add(DropReason::CandidateError);
                continue;
            };
            let began = Instant::now();
            let now = began.saturating_duration_since(start);
            let n_workers = candidate.loaded_version.info().n_instances;
            let share = self.shadow.max_extra_load;
            let budget = budget.get_or_insert_with(|| Budget::new(share, n_workers, now));
            if !budget.allows(now) {
                self.drops.add(DropReason::Budget);
                continue;
            }
            match run_copy(&candidate, &copy).await {
                Ok(answered) => {
                    budget.charge(answered.infer);
                    self.compare(&copy, Ok(&answered));
                }
                Err(error) => {
                    budget.charge(began.elapsed());
                    self.record_failure(&copy, &error);
                }
            }
        }
    }

    fn record_failure(&self, copy: &MirroredRequest, error: &Error) {
        let code = error.code();
        if code == Code::DeadlineExceeded {
            self.drops.add(DropReason::Deadline);
        } else if BUSY.contains(&code) {
            self.drops.add(DropReason::CandidateError);
        } else {
            self.compare(copy, Err(code));
        }
    }

    fn compare(&self, copy: &MirroredRequest, answer: Result<&MirroredResponse, Code>) {
        let tolerance = Tolerance {
            absolute: self.shadow.absolute_tolerance,
            relative: self.shadow.relative_tolerance,
        };
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        match (&copy.answer, answer) {
            (Ok(stable), Ok(candidate)) => add_answers(&mut pairs, stable, candidate, tolerance),
            (stable, candidate) => add_failure(&mut pairs, stable.is_err(), candidate.is_err()),
        }
    }
}

/// Runs a shadow request on a version.
///
/// # Errors
/// The error of the version, or `deadline_exceeded`.
pub(super) async fn run_copy(
    served: &ServedVersion,
    copy: &MirroredRequest,
) -> Result<MirroredResponse> {
    let request = InferRequest {
        outputs: copy.outputs.clone(),
        priority: LOWEST_PRIORITY,
        ..InferRequest::new(RequestId::new("copy"), copy.inputs.clone())
    };
    let answer = timeout(MAX_TIME, served.loaded_version.infer(request)).await;
    let late = |_| Error::new(Code::DeadlineExceeded, "the shadow request took too long");
    let response = answer.map_err(late)??;
    Ok(MirroredResponse {
        outputs: response.outputs,
        infer: response.timings.compute,
    })
}
