//! Predicted class of an answer.
//!
//! Rule: a tensor of integers or text with one element for each row holds the classes themselves.
//! Without one, the first tensor of floating-point numbers with one line for each row holds their
//! scores: the class is the index of the highest, or, for a single score between 0 and 1, 1 if it
//! is at least one half and 0 otherwise.

use std::fmt;

use contract::NamedTensor;
use contract::{ElementType, Tensor};

use super::pair::elements;

/// Difference of scores up to which they are tied, since sums in another order differ by as much.
const TIE: f64 = 1e-6;

/// The threshold from which on a single score means class 1.
const HALF: f64 = 0.5;

/// Words in the names of outputs that hold scores of classes.
const SCORE_WORDS: [&str; 6] = ["prob", "score", "logit", "class", "softmax", "label"];

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The number of the class.
    Number(i128),
    /// The name of the class.
    Name(String),
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Returns the class that an answer predicts for a row; `None` when its outputs have no class.
#[must_use]
pub fn predicted_class(outputs: &[NamedTensor], row: usize) -> Option<Class> {
    if let Some(labels) = label_output(outputs) {
        return label(&labels.tensor, row);
    }
    let scores = row_scores(&score_output(outputs)?.tensor, row)?;
    let class = match scores.as_slice() {
        [score] if (0.0..=1.0).contains(score) => usize::from(*score >= HALF),
        [] | [_] => return None,
        many => best(many)?,
    };
    Some(Class::Number(i128::try_from(class).ok()?))
}

/// Returns whether two answers predict the same class for a row, where tied scores are all the
/// best; `None` when one of them has no class.
#[must_use]
pub fn same_class(reference: &[NamedTensor], other: &[NamedTensor], row: usize) -> Option<bool> {
    let is_same = predicted_class(reference, row)? == predicted_class(other, row)?;
    Some(is_same || share_top_class(reference, other, row))
}

/// Returns whether outputs are those of a classifier, as far as types and names show: labels, or
/// numbers whose name indicates scores.
#[must_use]
pub fn has_class_output(outputs: &[NamedTensor]) -> bool {
    let is_named_so = |output: &NamedTensor| {
        let name = output.name.to_ascii_lowercase();
        SCORE_WORDS.iter().any(|word| name.contains(word))
    };
    label_output(outputs).is_some() || score_output(outputs).is_some_and(is_named_so)
}

fn share_top_class(reference: &[NamedTensor], other: &[NamedTensor], row: usize) -> bool {
    if label_output(reference).is_some() || label_output(other).is_some() {
        return false;
    }
    let scores = |outputs| row_scores(&score_output(outputs)?.tensor, row);
    let (Some(reference), Some(other)) = (scores(reference), scores(other)) else {
        return false;
    };
    match (reference.as_slice(), other.as_slice()) {
        ([left], [right]) => (left - HALF).abs() <= TIE || (right - HALF).abs() <= TIE,
        (left, right) => {
            left.len() == right.len() && {
                let (top_left, top_right) = (highest(left), highest(right));
                let mut pairs = left.iter().zip(right);
                pairs.any(|(l, r)| top_left - l <= TIE && top_right - r <= TIE)
            }
        }
    }
}

fn label_output(outputs: &[NamedTensor]) -> Option<&NamedTensor> {
    outputs.iter().find(|output| {
        let tensor = &output.tensor;
        let has_one_each = tensor.n_elements() == tensor.n_rows();
        has_one_each
            && !tensor.element_type().is_float()
            && tensor.element_type() != ElementType::Bool
    })
}

fn score_output(outputs: &[NamedTensor]) -> Option<&NamedTensor> {
    let mut scores = outputs
        .iter()
        .filter(|output| output.tensor.element_type().is_float());
    scores.find(|output| matches!(output.tensor.shape().rank(), 1 | 2))
}

fn label(labels: &Tensor, row: usize) -> Option<Class> {
    let number = match labels.element_type() {
        ElementType::U8 => elements::<u8>(labels).get(row).copied().map(i128::from),
        ElementType::U16 => elements::<u16>(labels).get(row).copied().map(i128::from),
        ElementType::U32 => elements::<u32>(labels).get(row).copied().map(i128::from),
        ElementType::U64 => elements::<u64>(labels).get(row).copied().map(i128::from),
        ElementType::I8 => elements::<i8>(labels).get(row).copied().map(i128::from),
        ElementType::I16 => elements::<i16>(labels).get(row).copied().map(i128::from),
        ElementType::I32 => elements::<i32>(labels).get(row).copied().map(i128::from),
        ElementType::I64 => elements::<i64>(labels).get(row).copied().map(i128::from),
        ElementType::Bytes => {
            let name = String::from_utf8_lossy(labels.strings().nth(row)?);
            return Some(Class::Name(name.into_owned()));
        }
        ElementType::Bool
        | ElementType::F16
        | ElementType::BF16
        | ElementType::F32
        | ElementType::F64 => None,
    };
    number.map(Class::Number)
}

fn row_scores(scores: &Tensor, row: usize) -> Option<Vec<f64>> {
    scores.slice_rows(row, 1).ok()?.to_f64_vec()
}

/// Returns the first index of the highest score; `None` when no score is a number.
fn best(scores: &[f64]) -> Option<usize> {
    let top = highest(scores);
    scores.iter().position(|&score| score == top)
}

fn highest(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
