//! Detects runs far larger than usual, whose memory is not worth keeping.
//!
//! Input: the elements of all inputs of each run. Rule: a run of more than 64 times the moving
//! average is an outlier, unless it is small in itself; a sample counts an eighth and at most as 64
//! times the average. Cold start: the first run sets the average. Recovery: sizes that stay large
//! become usual after some runs. Rejected: a limit in bytes alone, because the memory of a run does
//! not follow from its inputs.

/// The factor from the average to an outlier. Batches of the same rows differ by less: by default
/// they have 1 to 32.
const FACTOR: usize = 64;

/// The size below which releasing the memory of a run is not worth its milliseconds.
const MIN_OUTLIER_ELEMENTS: usize = 65_536;

/// The share of a new sample, as a power of two.
const WEIGHT_SHIFT: u32 = 3;

/// The usual size of the runs of one handle.
#[derive(Debug, Default)]
pub(super) struct RunSizeAverage {
    /// Moving average, times `1 << WEIGHT_SHIFT` so that small sizes are not rounded away.
    weighted: usize,
}

impl RunSizeAverage {
    /// Records a run of this size. Returns whether it is far larger than usual.
    pub(super) fn observe(&mut self, n_elements: usize) -> bool {
        if self.weighted == 0 {
            self.weighted = n_elements << WEIGHT_SHIFT;
            return false;
        }
        let most = (self.weighted >> WEIGHT_SHIFT).max(1) * FACTOR;
        let kept = self.weighted - (self.weighted >> WEIGHT_SHIFT);
        self.weighted = (kept + n_elements.min(most)).max(1);
        n_elements > most.max(MIN_OUTLIER_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_more_than_64_times_the_usual_size_is_an_outlier() {
        let mut average = RunSizeAverage::default();
        let mut outliers = Vec::new();
        for n_elements in [2000, 2000, 128_000, 2000, 2000, 9_000_000, 2000] {
            if average.observe(n_elements) {
                outliers.push(n_elements);
            }
        }
        assert_eq!(outliers, [9_000_000]);
    }

    #[test]
    fn a_run_that_is_small_in_itself_is_no_outlier() {
        let mut average = RunSizeAverage::default();
        average.observe(1);
        assert!(!average.observe(65_536));
        let mut average = RunSizeAverage::default();
        average.observe(1);
        assert!(average.observe(65_537));
    }

    #[test]
    fn large_runs_that_go_on_become_usual() {
        let mut average = RunSizeAverage::default();
        average.observe(1);
        let n_outliers = (0..100).filter(|_| average.observe(200_000)).count();
        assert!((1..20).contains(&n_outliers), "{n_outliers}");
        assert!(!average.observe(200_000));
        assert!(!average.observe(1));
    }

    #[test]
    fn runs_without_elements_are_nothing_special() {
        let mut average = RunSizeAverage::default();
        assert!(!average.observe(0));
        assert!(!average.observe(1));
        assert!(!average.observe(0));
        assert!(!average.observe(1));
    }
}
