//! Runs of consecutive errors in both arms, for the guard of the candidate.
//!
//! Inputs: the longest run of each arm between two samples. Rule: a run of the candidate counts
//! unless stable has had as long a run in the last seconds: then both versions fail alike, and going
//! back to stable would help nobody. Cold start: no runs. Recovery: a run of stable is forgotten
//! after its time.

use std::time::Duration;

use super::observations::Arms;
use crate::timestamp::Timestamp;

/// The time for which a run of stable excuses one of the candidate.
const MEMORY: Duration = Duration::from_secs(5);

/// The longest runs of errors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ErrorRuns {
    candidate: u64,
    stable: u64,
    stable_at: Timestamp,
}

impl ErrorRuns {
    /// Adds the longest runs since the last call.
    pub(super) fn add(&mut self, runs: Arms<u64>, now: Timestamp) {
        self.candidate = self.candidate.max(runs.candidate);
        let is_forgotten = now.since(self.stable_at) > MEMORY;
        if runs.stable > 0 && (is_forgotten || runs.stable >= self.stable) {
            (self.stable, self.stable_at) = (runs.stable, now);
        } else if is_forgotten {
            self.stable = 0;
        }
    }

    /// Returns the longest run of the candidate; 0 when stable fails alike.
    pub(super) fn candidate_alone(&self, now: Timestamp) -> u64 {
        let fails_alike = self.stable >= self.candidate && now.since(self.stable_at) <= MEMORY;
        match fails_alike {
            true => 0,
            false => self.candidate,
        }
    }

    /// Returns the longest run of the candidate since the last call; 0 when stable fails alike.
    pub(super) fn take_candidate_alone(&mut self, now: Timestamp) -> u64 {
        let run = self.candidate_alone(now);
        self.candidate = 0;
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(stable: u64, candidate: u64) -> Arms<u64> {
        Arms { stable, candidate }
    }

    #[test]
    fn a_run_counts_once_and_only_while_stable_does_not_fail_alike() {
        let second = Duration::from_secs(1);
        let mut now = Timestamp(0);
        let mut error_runs = ErrorRuns::default();
        error_runs.add(runs(3, 20), now);
        assert_eq!(error_runs.take_candidate_alone(now), 20);
        assert_eq!(error_runs.take_candidate_alone(now), 0, "it was taken");
        error_runs.add(runs(25, 20), now);
        assert_eq!(error_runs.take_candidate_alone(now), 0);
        now = now + second * 4;
        error_runs.add(runs(1, 20), now);
        assert_eq!(error_runs.take_candidate_alone(now), 0, "the same seconds");
        now = now + second * 2;
        error_runs.add(runs(0, 20), now);
        assert_eq!(error_runs.take_candidate_alone(now), 20, "stable recovered");
    }
}
