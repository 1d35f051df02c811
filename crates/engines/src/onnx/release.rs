//! Decides which runs release memory that is no longer worth keeping.
//!
//! Input: the elements of all inputs of each run, its time, and the time of each release. Rule: a
//! run releases when a run since the last release had more than twice the usual size. The usual
//! size doubles at most with a larger run, and approaches a smaller one by a part of 32, so that a
//! size which comes back within about twenty runs is usual. A budget of 1 % of the run time pays for
//! releases. Cold start: the first run sets the usual size, and the budget can pay for some
//! releases. Recovery: sizes that go on become usual. Rejected: releasing after every large run,
//! whose memory would be mapped again and again; a limit in bytes, because the memory of a run does
//! not follow from its inputs.

use std::time::Duration;

/// The factor of the usual size that is kept.
const FACTOR: usize = 2;

/// The part by which the usual size approaches that of a smaller run.
const DECAY: usize = 32;

/// The earned part of the run time.
const EARNED_PART: u32 = 100;

/// The largest budget, and the first: some releases, which take up to tens of milliseconds.
const MAX_BUDGET: Duration = Duration::from_millis(200);

/// The assumed time of the first release.
const FIRST_COST: Duration = Duration::from_millis(5);

/// Sizes of the runs of one handle, and the budget for releases.
#[derive(Debug)]
pub(super) struct ReleasePolicy {
    usual: usize,
    /// The largest size since the last release.
    kept: usize,
    budget: Duration,
    cost: Duration,
}

impl Default for ReleasePolicy {
    fn default() -> Self {
        Self {
            usual: 0,
            kept: 0,
            budget: MAX_BUDGET,
            cost: FIRST_COST,
        }
    }
}

impl ReleasePolicy {
    /// Forgets the sizes; the next run releases.
    pub(super) fn reset(&mut self) {
        *self = Self {
            kept: usize::MAX,
            ..Self::default()
        };
    }

    /// Begins a run of this size; returns whether it releases memory at its end.
    pub(super) fn begin(&mut self, n_elements: usize) -> bool {
        self.usual = match self.usual {
            0 => n_elements,
            usual if n_elements > usual => n_elements.min(usual.saturating_mul(2)),
            usual => usual - (usual - n_elements).div_ceil(DECAY),
        };
        let most = self.usual.saturating_mul(FACTOR);
        let releases = self.kept.max(n_elements) > most && self.budget >= self.cost;
        self.kept = match releases {
            // The outputs of a large run still lie in its memory.
            true if n_elements <= most => 0,
            true => n_elements,
            false => self.kept.max(n_elements),
        };
        releases
    }

    /// Adds the earned part of a run.
    pub(super) fn end(&mut self, run_time: Duration) {
        let budget = self.budget.saturating_add(run_time / EARNED_PART);
        self.budget = budget.min(MAX_BUDGET);
    }

    /// Pays for a release.
    pub(super) fn released(&mut self, time: Duration) {
        self.cost = time;
        self.budget = self.budget.saturating_sub(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// Plays runs of these sizes, each a millisecond for 1000 elements; returns the numbers of
    /// those that release, each within `cost`.
    fn play(
        policy: &mut ReleasePolicy,
        cost: Duration,
        sizes: impl IntoIterator<Item = usize>,
    ) -> Vec<usize> {
        let mut releases = Vec::new();
        for (number, n_elements) in sizes.into_iter().enumerate() {
            if policy.begin(n_elements) {
                policy.released(cost);
                releases.push(number);
            }
            policy.end(MILLI * u32::try_from(n_elements).unwrap() / 1000);
        }
        releases
    }

    #[test]
    fn a_run_above_twice_the_usual_size_releases_and_so_does_the_next() {
        let sizes = [1000, 1000, 2000, 32_000, 1000, 1000, 1000];
        let releases = play(&mut ReleasePolicy::default(), MILLI, sizes);
        assert_eq!(releases, [3, 4]);
    }

    #[test]
    fn memory_of_a_size_that_is_no_longer_usual_is_released_once() {
        let mut policy = ReleasePolicy::default();
        let releases = play(&mut policy, MILLI, [32_000; 100]);
        assert!(releases.is_empty(), "{releases:?}");
        let releases = play(&mut policy, MILLI, [1000; 1000]);
        assert_eq!(releases.len(), 1, "{releases:?}");
        assert!(releases[0] < 32, "{releases:?}");
    }

    #[test]
    fn sizes_that_come_back_are_usual() {
        let mut policy = ReleasePolicy::default();
        let sizes = || (0..1000).map(|n| if n % 10 == 0 { 32_000 } else { 1000 });
        play(&mut policy, MILLI, sizes());
        let releases = play(&mut policy, MILLI, sizes());
        assert!(releases.is_empty(), "{releases:?}");
    }

    #[test]
    fn releases_cost_at_most_a_percent_of_the_run_time() {
        let cost = MILLI * 2;
        let mut failures = Vec::new();
        for (small, every) in [(10, 100), (10, 40), (1000, 100), (100_000, 40)] {
            let size = |n: usize| {
                if n.is_multiple_of(every) {
                    32 * small
                } else {
                    small
                }
            };
            let n_runs = 100_000;
            let run_time: usize = (0..n_runs).map(size).sum();
            let run_time = MILLI * u32::try_from(run_time / 1000).unwrap();
            let n_releases = play(&mut ReleasePolicy::default(), cost, (0..n_runs).map(size)).len();
            let paid = cost * u32::try_from(n_releases).unwrap();
            if n_releases < 2 || paid > run_time / 100 + MAX_BUDGET {
                failures.push(format!("{small} {every}: {paid:?} of {run_time:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn after_a_reset_the_next_run_releases_and_sets_the_usual_size() {
        let mut policy = ReleasePolicy::default();
        play(&mut policy, MILLI, [32_000; 5]);
        policy.reset();
        assert_eq!(play(&mut policy, MILLI, [1000, 1000, 1000]), [0]);
        assert_eq!(play(&mut policy, MILLI, [32_000, 1000, 1000]), [0, 1]);
    }

    #[test]
    fn runs_without_elements_are_nothing_special() {
        let releases = play(&mut ReleasePolicy::default(), MILLI, [0, 0, 0]);
        assert!(releases.is_empty(), "{releases:?}");
    }
}
