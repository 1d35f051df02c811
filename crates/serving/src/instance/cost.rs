//! Run time by the size of the inputs: the curve that decides where a request runs.
//!
//! Input: rows, bytes of all inputs, and run time of every batch. Rule: one moving average for each
//! doubling of the rows and of the bytes, a sample counting an eighth and at most four times the
//! expected time, so that one interrupted run does not change the execution target. The bytes stand
//! for all dimensions and for the length of texts: one text of 8192 tokens is another size than 512
//! texts of 16. Cold start: a size that never ran has no estimate, and runs on a thread of the
//! pool, which measures it; so does a size beyond the table. Recovery: every run counts, on any
//! thread. Rejected: rows alone, which take a long text for a short one; a fitted line, which fits
//! neither the fixed costs of small models nor attention.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::{Dimension, ModelInfo, Tensor, TensorSpec};

use crate::batch::curve::{Curve, whole};

/// Row counts up to 2^15 are distinguished.
const N_ROW_SIZES: usize = 16;

/// Byte counts up to 2^31 are distinguished; together a table of 4 KiB.
const N_BYTE_SIZES: usize = 32;

/// The bytes of an empty string in a tensor: its length alone.
const EMPTY_STRING_BYTES: usize = 4;

/// The share of a new sample, as a power of two.
const WEIGHT_SHIFT: u32 = 3;

/// The largest influence of one sample, as a multiple of the expected time.
const MAX_SAMPLE_FACTOR: u64 = 4;

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunSize {
    /// The rows; 1 where the model has no batch dimension.
    pub(crate) n_rows: usize,
    /// The bytes of all inputs.
    pub(crate) n_bytes: usize,
}

impl RunSize {
    /// Returns the size of a run of these inputs.
    pub(crate) fn new(n_rows: usize, inputs: &[Option<Tensor>]) -> Self {
        let inputs = inputs.iter().flatten();
        Self {
            n_rows,
            n_bytes: inputs.map(|tensor| tensor.data().len()).sum(),
        }
    }

    /// Returns the size of a run of `n_rows` rows of the same kind.
    pub(crate) fn with_rows(self, n_rows: usize) -> Self {
        let row_bytes = self.n_bytes / self.n_rows.max(1);
        Self {
            n_rows,
            n_bytes: row_bytes.saturating_mul(n_rows),
        }
    }

    /// Returns the size of one row of a version, where the signature fixes it.
    fn of_one_row(info: &ModelInfo) -> Option<Self> {
        let n_batch_dims = usize::from(info.max_request_rows.is_some());
        let given = info.signature.inputs.iter();
        let given = given.filter(|spec| !spec.is_optional);
        let n_bytes: Option<usize> = given.map(|spec| fixed_bytes(spec, n_batch_dims)).sum();
        n_bytes.map(|n_bytes| Self { n_rows: 1, n_bytes })
    }
}

/// Returns the bytes of an input without its first dimensions; `None` where another one is dynamic.
fn fixed_bytes(spec: &TensorSpec, n_batch_dims: usize) -> Option<usize> {
    let element_bytes = spec.element_type.size_bytes().unwrap_or(EMPTY_STRING_BYTES);
    let mut dims = spec.dims.iter().skip(n_batch_dims).map(Dimension::fixed);
    dims.try_fold(element_bytes, |n, dim| n.checked_mul(dim?))
}

/// Run times by size. Every run writes and every request reads them, without a lock.
#[derive(Debug)]
pub(crate) struct CostCurve {
    /// Nanoseconds by rows and bytes; 0 for a size that never ran.
    sizes: [[AtomicU64; N_BYTE_SIZES]; N_ROW_SIZES],
    /// Recent nanoseconds of runs of one row, whatever their bytes; 0 before the first.
    one_row: AtomicU64,
}

impl Default for CostCurve {
    fn default() -> Self {
        Self {
            sizes: [const { [const { AtomicU64::new(0) }; N_BYTE_SIZES] }; N_ROW_SIZES],
            one_row: AtomicU64::new(0),
        }
    }
}

impl CostCurve {
    /// Creates a curve from earlier measurements, as far as their bytes follow from the signature.
    pub(crate) fn new(curve: &Curve, info: &ModelInfo) -> Self {
        let cost = Self::default();
        if let Some(row) = RunSize::of_one_row(info) {
            for point in curve.points() {
                let size = row.with_rows(whole(point.rows));
                cost.observe(size, Duration::from_secs_f64(point.seconds));
            }
        }
        cost
    }

    /// Records the time of a run of this size.
    pub(crate) fn observe(&self, size: RunSize, run_time: Duration) {
        let sample = u64::try_from(run_time.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        if let Some(cell) = self.cell(size) {
            // Two threads may write at once; either sample is as good.
            let updated = blend(cell.load(Ordering::Relaxed), sample);
            cell.store(updated, Ordering::Relaxed);
            if size.n_rows <= 1 {
                self.one_row.store(updated, Ordering::Relaxed);
            }
        }
    }

    /// Predicts the time of a run of this size; `None` when no run of its size has been measured.
    pub(crate) fn estimate(&self, size: RunSize) -> Option<Duration> {
        time(self.cell(size)?.load(Ordering::Relaxed))
    }

    /// Returns the recent time of runs of one row.
    pub(crate) fn one_row(&self) -> Option<Duration> {
        time(self.one_row.load(Ordering::Relaxed))
    }

    fn cell(&self, size: RunSize) -> Option<&AtomicU64> {
        let by_bytes = self.sizes.get(doublings(size.n_rows))?;
        by_bytes.get(doublings(size.n_bytes))
    }
}

fn doublings(n: usize) -> usize {
    let doublings = n
        .max(1)
        .checked_next_power_of_two()
        .map(usize::trailing_zeros);
    doublings.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

fn time(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

fn blend(expected: u64, sample: u64) -> u64 {
    if expected == 0 {
        return sample;
    }
    let sample = sample.min(expected.saturating_mul(MAX_SAMPLE_FACTOR));
    let kept = expected - (expected >> WEIGHT_SHIFT);
    (kept + (sample >> WEIGHT_SHIFT)).max(1)
}

#[cfg(test)]
mod tests {
    use contract::testing::model_info;
    use contract::{ElementType, Signature};

    use super::*;

    const fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    const fn size(n_rows: usize, n_bytes: usize) -> RunSize {
        RunSize { n_rows, n_bytes }
    }

    #[test]
    fn a_size_that_never_ran_has_no_estimate() {
        let curve = CostCurve::default();
        curve.observe(size(1, 64), micros(5));
        assert_eq!(curve.estimate(size(1, 64)), Some(micros(5)));
        for other in [
            size(2, 64),
            size(2, 128),
            size(1, 65),
            size(1, 32),
            size(1, 8192),
        ] {
            assert_eq!(curve.estimate(other), None, "{other:?}");
        }
    }

    #[test]
    fn sizes_up_to_the_next_doubling_share_an_estimate() {
        let curve = CostCurve::default();
        curve.observe(size(5, 40), micros(9));
        assert_eq!(curve.estimate(size(8, 64)), Some(micros(9)));
        assert_eq!(curve.estimate(size(4, 64)), None);
    }

    #[test]
    fn a_size_beyond_the_table_has_no_estimate() {
        let curve = CostCurve::default();
        for vast in [
            size(1 << 16, 64),
            size(1, 1 << 32),
            size(usize::MAX, usize::MAX),
        ] {
            curve.observe(vast, micros(70));
            assert_eq!(curve.estimate(vast), None, "{vast:?}");
        }
    }

    #[test]
    fn one_interrupted_run_moves_the_estimate_by_less_than_half() {
        let curve = CostCurve::default();
        curve.observe(size(1, 1), micros(100));
        curve.observe(size(1, 1), micros(50_000));
        assert!(curve.estimate(size(1, 1)).unwrap() < micros(150));
    }

    #[test]
    fn the_estimate_follows_a_lasting_change() {
        let curve = CostCurve::default();
        curve.observe(size(1, 1), micros(10));
        for _ in 0..60 {
            curve.observe(size(1, 1), micros(1000));
        }
        let estimate = curve.estimate(size(1, 1)).unwrap();
        assert!(
            estimate > micros(950) && estimate <= micros(1000),
            "{estimate:?}"
        );
        assert_eq!(curve.one_row(), Some(estimate));
    }

    #[test]
    fn what_warm_up_measured_counts_where_the_signature_tells_the_bytes() {
        let mut warm = Curve::default();
        warm.observe(1, micros(7));
        warm.observe(8, micros(20));
        let spec = |name: &str, dims| TensorSpec {
            name: name.to_owned(),
            element_type: ElementType::F32,
            dims,
            is_optional: false,
        };
        let info = |width| {
            let signature = Signature {
                inputs: vec![spec("x", vec![Dimension::Dynamic, width])],
                outputs: vec![spec("y", vec![Dimension::Dynamic])],
            };
            model_info("m", "1", signature)
        };
        let curve = CostCurve::new(&warm, &info(Dimension::Fixed(10)));
        assert_eq!(curve.estimate(size(1, 40)), Some(micros(7)));
        assert_eq!(curve.estimate(size(8, 320)), Some(micros(20)));
        let curve = CostCurve::new(&warm, &info(Dimension::Dynamic));
        assert_eq!(curve.one_row(), None);
    }
}
