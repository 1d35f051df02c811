//! Comparison of a pair: the same inputs answered by a reference and by another version.
//!
//! Rule: outputs are matched by the names of the reference. Floating-point numbers agree when
//! `|other - reference| <= absolute + relative * |reference|`, and NaN agrees with NaN; everything
//! else agrees when it is equal. A pair agrees when all elements of all outputs do, and when names,
//! element types and shapes are the same.

use std::borrow::Cow;

use half::{bf16, f16};

use contract::NamedTensor;
use contract::{Element, ElementType, Tensor};

/// The tolerance within which floating-point numbers agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The absolute part, independent of the number.
    pub absolute: f64,
    /// The part relative to the number of the reference, which is added.
    pub relative: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            absolute: 1e-5,
            relative: 1e-3,
        }
    }
}

impl Tolerance {
    fn accepts(self, reference: f64, other: f64) -> bool {
        // Equal infinities agree, but their difference is NaN.
        reference == other
            || reference.is_nan() && other.is_nan()
            || (other - reference).abs() <= self.absolute + self.relative * reference.abs()
                && reference.is_finite()
    }
}

/// The differences of one output of two answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputDifference {
    /// The name of the output.
    pub name: String,
    /// The elements of the reference.
    pub n_elements: u64,
    /// The largest difference of two numbers; infinite when only one of them is finite or they are
    /// different non-finite numbers. 0 for text.
    pub largest_absolute: f64,
    /// The largest difference as a share of the number of the reference, among those that are
    /// further from 0 than the absolute tolerance.
    pub largest_relative: f64,
    /// The sum of all differences that are finite.
    pub sum_absolute: f64,
    /// The elements that do not agree: all of them, when type or shape differ.
    pub n_differing: u64,
    /// The position in memory of the first element that does not agree; `None` also when type or
    /// shape differ.
    pub first_differing: Option<usize>,
}

/// The comparison of two answers to the same inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct PairComparison {
    /// True when everything agrees.
    pub agrees: bool,
    /// True when names, element types and shapes of the outputs are the same.
    pub has_same_shape: bool,
    /// The outputs of the reference, in its order.
    pub outputs: Vec<OutputDifference>,
}

/// Compares the outputs of another version with those of the reference.
#[must_use]
pub fn compare(
    reference: &[NamedTensor],
    other: &[NamedTensor],
    tolerance: Tolerance,
) -> PairComparison {
    let mut has_same_shape = reference.len() == other.len();
    let outputs: Vec<_> = reference
        .iter()
        .map(|expected| {
            let found = other.iter().find(|output| output.name == expected.name);
            let alike = found
                .map(|found| &found.tensor)
                .filter(|found| is_alike(&expected.tensor, found));
            has_same_shape &= alike.is_some();
            match alike {
                Some(found) => output_difference(expected, found, tolerance),
                None => nothing_in_common(expected),
            }
        })
        .collect();
    PairComparison {
        agrees: has_same_shape && outputs.iter().all(|output| output.n_differing == 0),
        has_same_shape,
        outputs,
    }
}

fn is_alike(left: &Tensor, right: &Tensor) -> bool {
    (left.element_type(), left.shape()) == (right.element_type(), right.shape())
}

fn nothing_in_common(expected: &NamedTensor) -> OutputDifference {
    let n_elements = count(expected.tensor.n_elements());
    OutputDifference {
        name: expected.name.clone(),
        n_elements,
        // An output without elements that is missing differs all the same.
        n_differing: n_elements.max(1),
        ..OutputDifference::default()
    }
}

fn output_difference(
    expected: &NamedTensor,
    found: &Tensor,
    tolerance: Tolerance,
) -> OutputDifference {
    let difference = OutputDifference {
        name: expected.name.clone(),
        n_elements: count(expected.tensor.n_elements()),
        ..OutputDifference::default()
    };
    // Most pairs of healthy versions are equal, and comparing bytes is fastest.
    if expected.tensor.data() == found.data() {
        return difference;
    }
    let mut comparison = ElementComparison {
        reference: &expected.tensor,
        other: found,
        tolerance,
        position: 0,
        difference,
    };
    comparison.by_element_type();
    comparison.difference
}

/// An element-wise comparison of two tensors of one type and shape.
struct ElementComparison<'a> {
    reference: &'a Tensor,
    other: &'a Tensor,
    tolerance: Tolerance,
    /// The position of the next element.
    position: usize,
    difference: OutputDifference,
}

impl ElementComparison<'_> {
    fn by_element_type(&mut self) {
        match self.reference.element_type() {
            ElementType::F16 => self.fractions::<f16>(),
            ElementType::BF16 => self.fractions::<bf16>(),
            ElementType::F32 => self.fractions::<f32>(),
            ElementType::F64 => self.fractions::<f64>(),
            ElementType::U8 => self.integers::<u8>(),
            ElementType::U16 => self.integers::<u16>(),
            ElementType::U32 => self.integers::<u32>(),
            ElementType::U64 => self.integers::<u64>(),
            ElementType::I8 => self.integers::<i8>(),
            ElementType::I16 => self.integers::<i16>(),
            ElementType::I32 => self.integers::<i32>(),
            ElementType::I64 => self.integers::<i64>(),
            ElementType::Bool => self.booleans(),
            ElementType::Bytes => self.strings(),
        }
    }

    fn fractions<T: Element + Into<f64>>(&mut self) {
        let (reference, other) = (elements::<T>(self.reference), elements::<T>(self.other));
        for (&reference, &other) in reference.iter().zip(other.iter()) {
            let (reference, other) = (reference.into(), other.into());
            let agrees = self.tolerance.accepts(reference, other);
            let distance = match reference == other || reference.is_nan() && other.is_nan() {
                true => 0.0,
                false => Some(other - reference)
                    .filter(|difference| !difference.is_nan())
                    .map_or(f64::INFINITY, f64::abs),
            };
            self.record(reference, distance, agrees);
        }
    }

    fn integers<T: Element + Into<i128>>(&mut self) {
        let (reference, other) = (elements::<T>(self.reference), elements::<T>(self.other));
        for (&reference, &other) in reference.iter().zip(other.iter()) {
            let (reference, other) = (reference.into(), other.into());
            let distance = float(reference.abs_diff(other));
            self.record(
                float(reference.unsigned_abs()),
                distance,
                reference == other,
            );
        }
    }

    fn booleans(&mut self) {
        let (reference, other) = (self.reference.data().clone(), self.other.data().clone());
        for (&reference, &other) in reference.iter().zip(other.iter()) {
            let distance = f64::from(reference.abs_diff(other));
            self.record(f64::from(reference), distance, reference == other);
        }
    }

    fn strings(&mut self) {
        let pairs = self.reference.strings().zip(self.other.strings());
        for (reference, other) in pairs {
            self.record(0.0, 0.0, reference == other);
        }
    }

    fn record(&mut self, reference: f64, distance: f64, agrees: bool) {
        let difference = &mut self.difference;
        difference.largest_absolute = difference.largest_absolute.max(distance);
        if distance.is_finite() {
            difference.sum_absolute += distance;
        }
        if reference.abs() > self.tolerance.absolute && reference.is_finite() {
            let relative = distance / reference.abs();
            difference.largest_relative = difference.largest_relative.max(relative);
        }
        if !agrees {
            difference.n_differing += 1;
            difference.first_differing.get_or_insert(self.position);
        }
        self.position += 1;
    }
}

/// Returns the elements in place where that is possible, and a copy where they are not aligned.
pub(super) fn elements<T: Element>(tensor: &Tensor) -> Cow<'_, [T]> {
    match tensor.as_slice() {
        Some(elements) => Cow::Borrowed(elements),
        None => Cow::Owned(tensor.to_vec().unwrap_or_default()),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a difference is shown with a few digits"
)]
fn float(number: u128) -> f64 {
    number as f64
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
