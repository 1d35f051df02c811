//! Comparison of the rows that a request gets in a batch with those that it gets alone.
//!
//! Input: two lists of outputs of the same request. Rule: element types and shapes are the same;
//! numbers with a fraction agree when `|a - b| <= absolute + relative * m`, where `m` is the
//! largest finite number of their row, and NaN agrees with NaN; everything else agrees when it is
//! equal. The row is the scale, because the rounding error of a sum follows from its largest terms
//! and not from the result. Integers, truth values and text flip where scores behind them are tied,
//! so between runs of different sizes they are only counted, and [`Flips`] judges their rate.
//! Rejected: a tolerance for each number alone, which a sum close to zero exceeds in every model.

use contract::{ElementType, Tensor};

/// The largest difference at which numbers with a fraction agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    absolute: f64,
    /// Share of the largest number of the row.
    relative: f64,
}

/// Tolerance for runs that have the same size and differ in the other rows: the same instructions
/// compute them, so only the alignment of memory may change the last digits.
pub(crate) const SAME_SIZE: Tolerance = Tolerance {
    absolute: 1e-9,
    relative: 1e-4,
};

/// Tolerance for runs of different sizes, for which runtimes choose different kernels, with other
/// orders of sums and, on a GPU, shorter formats in between.
pub(crate) const OTHER_SIZE: Tolerance = Tolerance {
    absolute: 1e-6,
    relative: 1e-2,
};

/// Half precision has three digits, bfloat16 two: a step of each, times a few layers.
const MIN_RELATIVE_F16: f64 = 1e-2;
const MIN_RELATIVE_BF16: f64 = 5e-2;

/// The flip rate above which labels differ for another reason than ties.
const MAX_FLIP_RATE: f64 = 0.02;

/// The number of flips below which ties explain them, however few elements were compared.
const MIN_FLIPS: f64 = 3.0;

impl Tolerance {
    fn of(self, element_type: ElementType) -> Self {
        let relative = match element_type {
            ElementType::F16 => self.relative.max(MIN_RELATIVE_F16),
            ElementType::BF16 => self.relative.max(MIN_RELATIVE_BF16),
            ElementType::F32
            | ElementType::F64
            | ElementType::Bool
            | ElementType::U8
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64
            | ElementType::I8
            | ElementType::I16
            | ElementType::I32
            | ElementType::I64
            | ElementType::Bytes => self.relative,
        };
        Self { relative, ..self }
    }

    fn accepts(self, reference: f64, other: f64, scale: f64) -> bool {
        reference == other
            || reference.is_nan() && other.is_nan()
            || (reference - other).abs() <= self.absolute + self.relative * scale
    }
}

/// A position where two answers do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The position of the output in the compared list.
    pub(crate) output: usize,
    /// The position in the output and both values.
    pub(crate) detail: String,
}

/// Counts of elements without a fraction that were compared, and of those that were not equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flips {
    n_compared: f64,
    n_different: f64,
    first: Option<Difference>,
}

impl Flips {
    /// Returns the first difference, when there are too many for ties.
    pub(crate) fn excess(&self) -> Option<&Difference> {
        let is_excess =
            self.n_different >= MIN_FLIPS && self.n_different > MAX_FLIP_RATE * self.n_compared;
        self.first.as_ref().filter(|_| is_excess)
    }

    fn add(&mut self, n_compared: usize, n_different: usize, first: Difference) {
        let float = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        self.n_compared += float(n_compared);
        self.n_different += float(n_different);
        if n_different > 0 {
            self.first.get_or_insert(first);
        }
    }
}

/// Returns the first position where `joined` does not agree with `alone`. Elements without a
/// fraction are counted in `flips` where it is given, and differ at once where it is not.
pub(crate) fn difference(
    alone: &[Tensor],
    joined: &[Tensor],
    tolerance: Tolerance,
    mut flips: Option<&mut Flips>,
) -> Option<Difference> {
    for (output, (alone, joined)) in alone.iter().zip(joined).enumerate() {
        let found = |detail| Some(Difference { output, detail });
        if (alone.element_type(), alone.shape()) != (joined.element_type(), joined.shape()) {
            let (alone, joined) = (alone.shape(), joined.shape());
            return found(format!(
                "its shape is {alone} alone and {joined} in a batch"
            ));
        }
        if let Some((left, right)) = alone.to_f64_vec().zip(joined.to_f64_vec()) {
            if alone.data() != joined.data()
                && let Some(detail) = fraction_difference(
                    &left,
                    &right,
                    row_length(alone),
                    tolerance.of(alone.element_type()),
                )
            {
                return found(detail);
            }
            continue;
        }
        let (n_different, first) = unequal(alone, joined);
        let detail = key(first, row_length(alone)) + " differs in a batch";
        match flips.as_deref_mut() {
            Some(flips) => flips.add(
                alone.n_elements(),
                n_different,
                Difference { output, detail },
            ),
            None if n_different > 0 => return found(detail),
            None => {}
        }
    }
    None
}

fn row_length(tensor: &Tensor) -> usize {
    tensor.shape().row_elements().unwrap_or(1).max(1)
}

fn key(index: usize, row_length: usize) -> String {
    format!(
        "element {} of row {}",
        index % row_length,
        index / row_length
    )
}

fn fraction_difference(
    alone: &[f64],
    joined: &[f64],
    row_length: usize,
    tolerance: Tolerance,
) -> Option<String> {
    let rows = alone.chunks(row_length).zip(joined.chunks(row_length));
    for (row, (alone, joined)) in rows.enumerate() {
        let finite = alone.iter().filter(|number| number.is_finite());
        let scale = finite.fold(0.0, |scale: f64, number| scale.max(number.abs()));
        let mut pairs = alone.iter().zip(joined).enumerate();
        let found = pairs.find(|(_, (left, right))| !tolerance.accepts(**left, **right, scale));
        if let Some((element, (left, right))) = found {
            let key = key(row * row_length + element, row_length);
            return Some(format!(
                "{key} is {left:.6} alone and {right:.6} in a batch"
            ));
        }
    }
    None
}

/// Returns the number of elements that are not equal, and the first of them.
fn unequal(alone: &Tensor, joined: &Tensor) -> (usize, usize) {
    let keys: Vec<_> = match alone.element_type().size_bytes() {
        Some(size) => {
            let pairs = alone.data().chunks(size).zip(joined.data().chunks(size));
            different(pairs)
        }
        None => different(alone.strings().zip(joined.strings())),
    };
    (keys.len(), keys.first().copied().unwrap_or_default())
}

fn different<T: PartialEq>(pairs: impl Iterator<Item = (T, T)>) -> Vec<usize> {
    let pairs = pairs.enumerate();
    pairs
        .filter(|(_, (left, right))| left != right)
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The promise, the answers alone and in a batch, and the difference.
    type Case<'a> = (&'a str, &'a [f32], &'a [f32], Option<&'a str>);

    fn floats(values: &[f32]) -> [Tensor; 1] {
        [Tensor::from_values([2, values.len() / 2].into(), values.to_vec()).unwrap()]
    }

    fn integers(n: usize, n_flipped: usize) -> [Tensor; 1] {
        let values = (0..n).map(|key| i64::from(key < n_flipped));
        [Tensor::from_values([n].into(), values.collect()).unwrap()]
    }

    #[test]
    fn numbers_are_measured_by_the_largest_of_their_row() {
        let nan = f32::NAN;
        let inf = f32::INFINITY;
        let cases: [Case<'_>; 7] = [
            ("equal", &[1.0, 2.0], &[1.0, 2.0], None),
            (
                "a digit of a large row",
                &[1000.0, 0.0, 1.0, 1.0],
                &[1000.0, 5.0, 1.0, 1.0],
                None,
            ),
            (
                "as much in a small row",
                &[1000.0, 0.0, 1.0, 1.0],
                &[1000.0, 0.0, 6.0, 1.0],
                Some("element 0 of row 1 is 1.000000 alone and 6.000000 in a batch"),
            ),
            ("NaN and NaN", &[nan, 1.0], &[nan, 1.0], None),
            (
                "NaN and a number",
                &[nan, 1.0],
                &[0.0, 1.0],
                Some("element 0 of row 0 is NaN alone and 0.000000 in a batch"),
            ),
            ("equal infinities", &[inf, 1.0], &[inf, 1.0], None),
            (
                "another infinity",
                &[inf, 1.0],
                &[-inf, 1.0],
                Some("element 0 of row 0 is inf alone and -inf in a batch"),
            ),
        ];
        let mut failures = Vec::new();
        for (name, alone, joined, expected) in cases {
            let found = difference(&floats(alone), &floats(joined), OTHER_SIZE, None);
            if found.as_ref().map(|found| &*found.detail) != expected {
                failures.push(format!("{name}: {found:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn runs_of_one_size_must_agree_more_closely() {
        let (alone, joined) = (floats(&[1.0, 1.0]), floats(&[1.0, 1.001]));
        assert_eq!(difference(&alone, &joined, OTHER_SIZE, None), None);
        assert!(difference(&alone, &joined, SAME_SIZE, None).is_some());
    }

    #[test]
    fn half_precision_may_be_a_few_steps_apart() {
        let tensor = |value: f32| {
            [Tensor::from_values([1].into(), vec![half::f16::from_f32(value)]).unwrap()]
        };
        assert_eq!(
            difference(&tensor(1.0), &tensor(1.005), SAME_SIZE, None),
            None
        );
        assert!(difference(&tensor(1.0), &tensor(1.05), SAME_SIZE, None).is_some());
    }

    #[test]
    fn flips_of_labels_count_above_their_rate() {
        let mut flips = Flips::default();
        let mut add = |n_flipped| {
            let (alone, joined) = (integers(100, 0), integers(100, n_flipped));
            assert_eq!(
                difference(&alone, &joined, OTHER_SIZE, Some(&mut flips)),
                None
            );
            flips.excess().is_some()
        };
        assert!(!add(0));
        assert!(!add(4), "4 of 200");
        assert!(add(6), "10 of 300");
        assert!(difference(&integers(100, 0), &integers(100, 1), SAME_SIZE, None).is_some());
    }

    #[test]
    fn text_and_shapes_are_compared_exactly() {
        let text = |words: &[&str]| [Tensor::from_strings([words.len()].into(), words).unwrap()];
        let found = difference(&text(&["a", "b"]), &text(&["a", "c"]), OTHER_SIZE, None);
        assert_eq!(
            found.unwrap().detail,
            "element 0 of row 1 differs in a batch"
        );
        let found = difference(&text(&["a"]), &text(&["a", "c"]), OTHER_SIZE, None);
        assert_eq!(
            found.unwrap().detail,
            "its shape is [1] alone and [2] in a batch"
        );
    }
}
