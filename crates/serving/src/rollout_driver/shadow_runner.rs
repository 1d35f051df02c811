//! Copies at work: they run on the candidate, one after the other, when nobody else needs the time.
//!
//! Decision: one copy at a time and the lowest priority. So copies take one worker at most, wait
//! behind every caller, and a candidate that never answers costs copies and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{Code, Error, InferRequest, ModelName, RequestId, Result, Version};
use stats::comparison::Tolerance;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::budget::Budget;
use super::shadow_comparison::PairTotals;
use super::traffic_control::TrafficControl;
use crate::repository::snapshot::ServedVersion;
use crate::route::{DropCounters, DropReason, MirroredRequest, MirroredResponse};
use rollout::config::Shadow;

/// The least urgent of all.
const LOWEST_PRIORITY: u32 = u32::MAX;

/// An answer that takes longer says nothing about the speed of a model.
const MAX_TIME: Duration = Duration::from_secs(10);

/// What a candidate says that has no room for a copy, which is no fault of it.
const BUSY: [Code; 4] = [
    Code::QueueFull,
    Code::Overloaded,
    Code::Unavailable,
    Code::ModelNotReady,
];

/// Pairs that are counted while others read them.
pub(super) type SharedPairTotals = Arc<Mutex<PairTotals>>;

/// Reads the sums of pairs.
pub(super) fn pair_totals(pairs: &Mutex<PairTotals>) -> PairTotals {
    *pairs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares copies until their mirror is gone.
#[derive(Debug)]
pub(super) struct ShadowRunner {
    /// What the file says.
    pub(super) shadow: Shadow,
    /// Where the candidate is found, whatever its files do.
    pub(super) traffic_control: TrafficControl,
    /// The model.
    pub(super) model: ModelName,
    /// The version that they run on.
    pub(super) candidate: Version,
    /// What they show.
    pub(super) pairs: SharedPairTotals,
    /// What is dropped.
    pub(super) drops: Arc<DropCounters>,
}

impl ShadowRunner {
    /// Compares what arrives.
    pub(super) async fn run(self, mut arriving: mpsc::Receiver<MirroredRequest>) {
        let start = Instant::now();
        let mut budget = None;
        while let Some(copy) = arriving.recv().await {
            let Some(candidate) = self.traffic_control.served(&self.model, &self.candidate) else {
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
            (Ok(stable), Ok(candidate)) => pairs.both_answered(stable, candidate, tolerance),
            (stable, candidate) => pairs.failed(stable.is_err(), candidate.is_err()),
        }
    }
}

/// Runs a copy on a version.
///
/// # Errors
/// What the version says, or `deadline_exceeded`.
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
    let late = |_| Error::new(Code::DeadlineExceeded, "the copy took too long");
    let response = answer.map_err(late)??;
    Ok(MirroredResponse {
        outputs: response.outputs,
        infer: response.timings.compute,
    })
}
