//! Verification in service: a sample of the requests that ran in a batch is run again alone.
//!
//! Input: the requests and answers of each batch of several, and the time that it took. Rule: a
//! budget earns half a percent of that time, and a sample is taken when it can pay for a run as
//! long as the batch; the actual time of the run is paid. The position of the sampled request
//! rotates. A difference is confirmed by a second run alone: an output that differs from itself is
//! random, and is not verified any longer. A confirmed difference ends batching that the server
//! chose by itself; batching that the settings ask for stays, with one warning. Cold start: the
//! first sample follows on about two hundred batches. Answers are sent before, and the run happens
//! on a thread that may block. Rejected: a share of the requests, whose cost would follow from how
//! large their batches are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::{Code, Event, Result, SharedModelInfo, Tensor};
use tokio::runtime::Handle;
use tokio::time;

use super::{Executor, SessionLost};
use crate::batch::agreement::{Difference, Flips, OTHER_SIZE, difference};
use crate::batch::policy::types::RunReport;
use crate::batch::queue::QueuedRequest;
use crate::instance::watch::WatchedSession;
use crate::instance::{Answer, Job};

/// The earned part of the run time: below a percent, with room for the last overrun.
const EARNED_PART: u32 = 200;

/// The largest budget, so that an idle time does not pay for a burst; or two runs, where these take
/// longer.
const MAX_SAVED: Duration = Duration::from_secs(1);

/// The cost of handing a sample to another thread, on top of its run.
const HAND_OVER: Duration = Duration::from_micros(20);

/// The verification of batched requests, and the consequence of a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verification {
    /// No verification.
    #[default]
    Off,
    /// The server chose batching by itself, and ends it.
    OfGuess,
    /// The settings ask for batching, which continues.
    OfRequest,
}

/// The run time that may be spent on verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Budget {
    earned: Duration,
    spent: Duration,
}

impl Budget {
    /// Adds the earned part of a run.
    fn earn(&mut self, run_time: Duration) {
        let earned = self.earned.saturating_add(run_time / EARNED_PART);
        let most = MAX_SAVED.max(run_time.saturating_mul(2));
        self.earned = earned.min(self.spent.saturating_add(most));
    }

    /// Returns whether the budget can pay for a run of this length.
    fn affords(&self, predicted: Duration) -> bool {
        self.spent.saturating_add(predicted) <= self.earned
    }

    fn spend(&mut self, time: Duration) {
        self.spent = self.spent.saturating_add(time);
    }
}

/// A request with the answer that it got in a batch.
#[derive(Debug)]
struct Sample {
    inputs: Vec<Option<Tensor>>,
    positions: Vec<usize>,
    n_rows: usize,
    joined: Vec<Tensor>,
}

/// The result of a sample.
#[derive(Debug)]
enum Finding {
    Agrees,
    Differs(Difference),
    Random(Difference),
    /// The request fails alone, which proves nothing.
    Fails,
}

/// Sampler of batches. Locked once for each batch of several requests.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    mode: Verification,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    budget: Budget,
    pending: Option<Sample>,
    n_samples: usize,
    flips: Flips,
    /// True once verification has ended.
    is_over: bool,
    was_warned: bool,
}

impl Verifier {
    /// Creates a verifier without samples.
    pub(crate) fn new(mode: Verification) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// Takes a request of a batch as a sample, when one is due.
    pub(crate) fn offer(&self, jobs: &[QueuedRequest<Job>], answers: &[Answer]) {
        let (false, [first, _, ..]) = (self.mode == Verification::Off, answers) else {
            return;
        };
        let timings = &first.timings;
        let predicted = timings.compute_input + timings.compute + HAND_OVER;
        let mut state = self.lock();
        state.budget.earn(timings.compute);
        if state.is_over || state.pending.is_some() || !state.budget.affords(predicted) {
            return;
        }
        let place = state.n_samples % answers.len();
        state.n_samples = state.n_samples.wrapping_add(1);
        if let (Some(job), Some(answer)) = (jobs.get(place), answers.get(place)) {
            state.pending = Some(Sample {
                inputs: job.request.work.inputs.clone(),
                positions: job.request.work.outputs.clone(),
                n_rows: job.n_rows,
                joined: answer.outputs.clone(),
            });
        }
    }

    fn take(&self) -> Option<Sample> {
        match self.mode {
            Verification::Off => None,
            Verification::OfGuess | Verification::OfRequest => self.lock().pending.take(),
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        state.is_over = true;
        state.pending = None;
    }

    /// Returns whether this warning is the first one.
    fn warns_first(&self) -> bool {
        !std::mem::replace(&mut self.lock().was_warned, true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor {
    /// Returns the current description of the version.
    pub(crate) fn current_info(&self) -> &SharedModelInfo {
        self.unbatched.get().unwrap_or(&self.info)
    }

    /// Verifies the waiting sample, if any, on a free session and a thread that may block.
    ///
    /// # Errors
    /// The error of a session that is lost.
    pub(super) fn verify(&self, session: &mut WatchedSession) -> Result<(), SessionLost> {
        match self.verifier.take() {
            Some(sample) => self.verify_sample(session, &sample),
            None => Ok(()),
        }
    }

    /// Hands the waiting sample to a thread that may block, which uses an idle session or none.
    pub(super) fn verify_elsewhere(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let Some(sample) = self.verifier.take() else {
            return;
        };
        let executor = Arc::clone(self);
        drop(runtime.spawn_blocking(move || executor.verify_idle(&sample)));
    }

    fn verify_idle(&self, sample: &Sample) {
        self.verifier.lock().budget.spend(HAND_OVER);
        let Some(mut instance) = self.pool.take_idle(sample.n_rows, now()) else {
            return;
        };
        match self.verify_sample(&mut instance.session, sample) {
            Ok(()) => self.pool.release(instance, &RunReport::default(), now()),
            Err(SessionLost(error)) => self.remove_lost(instance, &error),
        }
    }

    fn verify_sample(
        &self,
        session: &mut WatchedSession,
        sample: &Sample,
    ) -> Result<(), SessionLost> {
        let started = now();
        let finding = self.examine(session, sample);
        let elapsed = now().saturating_duration_since(started);
        self.verifier.lock().budget.spend(elapsed);
        match finding? {
            Finding::Agrees => self.note_verified(true),
            Finding::Differs(found) => {
                let output = self.output_name(sample, &found);
                self.joining_differs(&format!("in output `{output}`, {}", found.detail));
            }
            Finding::Random(found) => {
                self.verifier.end();
                let (model, version) = (&self.info.model, &self.info.version);
                let output = self.output_name(sample, &found);
                tracing::info!(%model, %version, %output, "stopped verifying random outputs");
            }
            Finding::Fails => {}
        }
        Ok(())
    }

    fn examine(
        &self,
        session: &mut WatchedSession,
        sample: &Sample,
    ) -> Result<Finding, SessionLost> {
        let mut run = || {
            session.run(now(), None, |session| {
                self.call(session, &sample.inputs, &sample.positions)
            })
        };
        let mut alone = || match run() {
            Err(error) if error.code() == Code::EngineLost => Err(SessionLost(error)),
            other => Ok(other.ok()),
        };
        let Some(first) = alone()? else {
            return Ok(Finding::Fails);
        };
        let found = {
            let flips = &mut self.verifier.lock().flips;
            let found = difference(&first, &sample.joined, OTHER_SIZE, Some(flips));
            found.or_else(|| flips.excess().cloned())
        };
        let Some(found) = found else {
            return Ok(Finding::Agrees);
        };
        let Some(second) = alone()? else {
            return Ok(Finding::Fails);
        };
        match difference(&first, &second, OTHER_SIZE, None) {
            Some(itself) => Ok(Finding::Random(itself)),
            None => Ok(Finding::Differs(found)),
        }
    }

    /// Handles a request that got another answer in a batch than alone: counts it, and ends
    /// batching that the server chose by itself.
    pub(super) fn joining_differs(&self, detail: &str) {
        self.note_verified(false);
        let (model, version) = (&self.info.model, &self.info.version);
        match self.verifier.mode {
            Verification::Off => {}
            Verification::OfGuess => {
                self.verifier.end();
                let reason = format!(
                    "a request got a different answer in a batch than alone: {detail}; set \
                     `batching.enabled: true` in `model.yaml` to batch requests anyway"
                );
                let info = Arc::new(self.info.without_batching(reason));
                // Another thread may have found the same.
                if self.unbatched.set(info).is_ok() {
                    tracing::warn!(%model, %version, detail, "disabled batching; answers differ");
                }
            }
            Verification::OfRequest if self.verifier.warns_first() => {
                tracing::warn!(%model, %version, detail, "batched requests get different answers");
            }
            Verification::OfRequest => {}
        }
    }

    fn note_verified(&self, agrees: bool) {
        self.observe.observe(&Event::BatchVerified {
            model: &self.info.model,
            version: &self.info.version,
            agrees,
        });
    }

    fn output_name(&self, sample: &Sample, found: &Difference) -> &str {
        let position = sample.positions.get(found.output);
        let spec = position.and_then(|&position| self.info.signature.outputs.get(position));
        spec.map(|spec| &*spec.name).unwrap_or_default()
    }
}

fn now() -> Instant {
    time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays batches of one run time in virtual time. Returns the number of samples and their part
    /// of the run time, in parts per thousand.
    fn play(run_time: Duration, alone: Duration, n_batches: u32) -> (u32, f64) {
        let (mut budget, mut n_samples) = (Budget::default(), 0);
        for _ in 0..n_batches {
            budget.earn(run_time);
            if budget.affords(run_time + HAND_OVER) {
                budget.spend(alone + HAND_OVER);
                n_samples += 1;
            }
        }
        let share = budget.spent.as_secs_f64() / (run_time * n_batches).as_secs_f64();
        (n_samples, share * 1000.0)
    }

    #[test]
    fn verification_costs_less_than_a_percent_of_the_run_time() {
        let micros = Duration::from_micros;
        let mut failures = Vec::new();
        for run_time in [10, 200, 5_000, 3_000_000].map(micros) {
            for alone in [run_time / 8, run_time] {
                let (n_samples, share) = play(run_time, alone, 10_000);
                if n_samples == 0 || share > 10.0 {
                    failures.push(format!("{run_time:?} {alone:?}: {n_samples}, {share}"));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn a_run_that_takes_longer_than_predicted_is_paid_before_the_next() {
        let second = Duration::from_secs(1);
        let mut budget = Budget::default();
        (0..200).for_each(|_| budget.earn(second));
        assert!(budget.affords(second));
        budget.spend(second * 3);
        (0..599).for_each(|_| budget.earn(second));
        assert!(!budget.affords(second));
        budget.earn(second);
        assert!(budget.affords(second));
    }

    #[test]
    fn a_quiet_time_saves_no_more_than_its_limit() {
        let mut budget = Budget::default();
        (0..100_000).for_each(|_| budget.earn(Duration::from_millis(100)));
        assert!(budget.affords(MAX_SAVED));
        assert!(!budget.affords(MAX_SAVED + Duration::from_nanos(1)));
    }
}
