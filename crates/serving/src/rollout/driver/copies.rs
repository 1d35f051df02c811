//! Copies at work: they run on the candidate, one after the other, when nobody else needs the time.
//!
//! Decision: one copy at a time and the lowest priority. So copies take one worker at most, wait
//! behind every caller, and a candidate that never answers costs copies and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::comparison::Tolerance;
use contract::{Code, Error, InferRequest, ModelName, RequestId, Result, Version};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::budget::Budget;
use super::helm::Helm;
use super::pairs::PairTotals;
use crate::repository::snapshot::Served;
use crate::rollout::config::Shadow;
use crate::route::{Answered, Copied, Dropped, Drops};

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
pub(super) type SharedPairs = Arc<Mutex<PairTotals>>;

/// Reads the sums of pairs.
pub(super) fn totals(pairs: &Mutex<PairTotals>) -> PairTotals {
    *pairs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares copies until their mirror is gone.
#[derive(Debug)]
pub(super) struct Comparing {
    /// What the file says.
    pub(super) shadow: Shadow,
    /// Where the candidate is found, whatever its files do.
    pub(super) helm: Helm,
    /// The model.
    pub(super) model: ModelName,
    /// The version that they run on.
    pub(super) candidate: Version,
    /// What they show.
    pub(super) pairs: SharedPairs,
    /// What is dropped.
    pub(super) drops: Arc<Drops>,
}

impl Comparing {
    /// Compares what arrives.
    pub(super) async fn run(self, mut arriving: mpsc::Receiver<Copied>) {
        let start = Instant::now();
        let mut budget = None;
        while let Some(copy) = arriving.recv().await {
            let Some(candidate) = self.helm.served(&self.model, &self.candidate) else {
                self.drops.add(Dropped::CandidateError);
                continue;
            };
            let began = Instant::now();
            let now = began.saturating_duration_since(start);
            let n_workers = candidate.variant.info().n_instances;
            let share = self.shadow.max_extra_load;
            let budget = budget.get_or_insert_with(|| Budget::new(share, n_workers, now));
            if !budget.allows(now) {
                self.drops.add(Dropped::Budget);
                continue;
            }
            match run_copy(&candidate, &copy).await {
                Ok(answered) => {
                    budget.pay(answered.infer);
                    self.compare(&copy, Ok(&answered));
                }
                Err(error) => {
                    budget.pay(began.elapsed());
                    self.note_failure(&copy, &error);
                }
            }
        }
    }

    fn note_failure(&self, copy: &Copied, error: &Error) {
        let code = error.code();
        if code == Code::DeadlineExceeded {
            self.drops.add(Dropped::Deadline);
        } else if BUSY.contains(&code) {
            self.drops.add(Dropped::CandidateError);
        } else {
            self.compare(copy, Err(code));
        }
    }

    fn compare(&self, copy: &Copied, answer: Result<&Answered, Code>) {
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
pub(super) async fn run_copy(served: &Served, copy: &Copied) -> Result<Answered> {
    let request = InferRequest {
        outputs: copy.outputs.clone(),
        priority: LOWEST_PRIORITY,
        ..InferRequest::new(RequestId::new("copy"), copy.inputs.clone())
    };
    let answer = timeout(MAX_TIME, served.variant.infer(request)).await;
    let late = |_| Error::new(Code::DeadlineExceeded, "the copy took too long");
    let response = answer.map_err(late)??;
    Ok(Answered {
        outputs: response.outputs,
        infer: response.timings.compute,
    })
}
