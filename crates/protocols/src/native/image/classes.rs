//! The best classes from the scores of a classifier.
//!
//! Rule: the highest score comes first, the lower class number on a tie, and NaN last. A number is
//! called `probability` only when all scores together are a distribution, as after
//! `output.softmax`, and `score` otherwise: logits, and outputs of several labels.

use std::cmp::Ordering;

use contract::{Error, ModelInfo, NamedTensor, Result};
use serde::Serialize;

/// The distance from 1 that the sum of a distribution may have: bf16 keeps eight bits, which is off
/// by at most 0.004, and sums of unrelated scores are seldom that close.
const SUM_TOLERANCE: f32 = 0.01;

/// The excess over 1 that a probability may have, for the last bits of a softmax in single
/// precision.
const ROUNDING: f32 = 1e-5;

/// One class of a reply, with either a probability or a score.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Class<'a> {
    class_id: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
}

/// Returns the `top_k` best classes of a tensor of scores.
pub(super) fn best_classes<'a>(
    scores: &NamedTensor,
    info: &'a ModelInfo,
    top_k: usize,
) -> Result<Vec<Class<'a>>> {
    let no_scores = || {
        Error::invalid(format!(
            "output `{}` of shape {} is not a list of class scores; use `/predict`",
            scores.name,
            scores.tensor.shape()
        ))
    };
    let long_dims = scores.tensor.shape().dims().iter().filter(|dim| **dim != 1);
    if long_dims.count() > 1 {
        return Err(no_scores());
    }
    let scores = scores.tensor.to_f64_vec().ok_or_else(no_scores)?;
    let mut scores: Vec<_> = scores.into_iter().map(narrow).collect();
    if info.output.softmax {
        softmax(&mut scores);
    }
    let is_distribution = is_distribution(&scores);
    let mut ranked: Vec<_> = scores.into_iter().enumerate().collect();
    ranked.sort_by(|a, b| best_first(a.1, b.1));
    let class = |(class_id, value)| Class {
        class_id,
        probability: is_distribution.then_some(value),
        score: (!is_distribution).then_some(value),
        label: info.label(class_id),
    };
    Ok(ranked.into_iter().take(top_k).map(class).collect())
}

fn best_first(a: f32, b: f32) -> Ordering {
    a.is_nan()
        .cmp(&b.is_nan())
        .then_with(|| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

/// Checks that scores lie between 0 and 1 and have the sum 1, within [`SUM_TOLERANCE`].
fn is_distribution(scores: &[f32]) -> bool {
    let range = 0.0..=1.0 + ROUNDING;
    let sum: f32 = scores.iter().sum();
    scores.iter().all(|score| range.contains(score)) && (sum - 1.0).abs() <= SUM_TOLERANCE
}

/// Turns logits into probabilities; the largest is taken away first, so that nothing overflows.
fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for score in &mut *scores {
        *score = (*score - largest).exp();
    }
    let sum: f32 = scores.iter().sum();
    for score in scores {
        *score /= sum;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a probability needs no more digits"
)]
fn narrow(score: f64) -> f32 {
    score as f32
}

#[cfg(test)]
mod tests {
    use contract::testing::model_info;
    use contract::{Shape, Signature, Tensor};

    use super::*;

    fn ranked(values: &[f32], softmax: bool) -> Vec<(usize, f32)> {
        let tensor = Tensor::from_values(Shape::from([1, values.len()]), values.to_vec()).unwrap();
        let mut info = model_info("m", "1", Signature::default());
        info.output.softmax = softmax;
        let scores = NamedTensor {
            name: "scores".to_owned(),
            tensor,
        };
        let classes = best_classes(&scores, &info, 3).unwrap();
        let value = |class: &Class<'_>| class.probability.or(class.score).unwrap();
        classes
            .iter()
            .map(|class| (class.class_id, value(class)))
            .collect()
    }

    /// Returns the key that the numbers of a reply have.
    fn key(values: &[f32], softmax: bool) -> &'static str {
        let tensor = Tensor::from_values(Shape::from([1, values.len()]), values.to_vec()).unwrap();
        let mut info = model_info("m", "1", Signature::default());
        info.output.softmax = softmax;
        let scores = NamedTensor {
            name: "scores".to_owned(),
            tensor,
        };
        let classes = best_classes(&scores, &info, 3).unwrap();
        match classes.iter().all(|class| class.probability.is_some()) {
            true => "probability",
            false => "score",
        }
    }

    #[test]
    fn only_a_distribution_is_called_probability() {
        // (scores, softmax, key)
        let rows: [(&[f32], bool, &str); 14] = [
            (&[0.7, 0.2, 0.1], false, "probability"),
            (&[1.0, 0.0], false, "probability"),
            (&[1.000_000_1, 0.0], false, "probability"),
            (&[1.005, 0.0], false, "score"),
            // Rounded to bf16, and a softmax that was rounded on its way.
            (
                &[0.333_984_38, 0.333_984_38, 0.333_984_38],
                false,
                "probability",
            ),
            (&[0.5, 0.491], false, "probability"),
            (&[0.5, 0.48], false, "score"),
            (&[0.5, 0.52], false, "score"),
            // Logits, as the torchvision models have them, and several labels at once.
            (&[3.07, -3.05, 0.98], false, "score"),
            (&[1.5, -0.5], false, "score"),
            (&[0.9, 0.8, 0.1], false, "score"),
            (&[f32::NAN, 1.0], false, "score"),
            (&[3.07, -3.05, 0.98], true, "probability"),
            (&[f32::NAN, 1.0], true, "score"),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .filter(|(scores, softmax, wanted)| key(scores, *softmax) != *wanted)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_best_classes_come_first_and_ties_by_number() {
        assert_eq!(
            ranked(&[0.1, 0.4, 0.1, 0.4], false),
            [(1, 0.4), (3, 0.4), (0, 0.1)]
        );
        assert_eq!(ranked(&[0.5], false), [(0, 0.5)]);
        assert!(ranked(&[], false).is_empty());
    }

    #[test]
    fn scores_that_are_no_numbers_come_last() {
        let classes: Vec<_> = ranked(&[f32::NAN, 0.2, f32::NAN], false);
        assert_eq!(
            classes.iter().map(|class| class.0).collect::<Vec<_>>(),
            [1, 0, 2]
        );
    }

    #[test]
    fn logits_of_any_size_become_probabilities() {
        let classes = ranked(&[1000.0, 1000.0, -1000.0], true);
        assert_eq!(classes, [(0, 0.5), (1, 0.5), (2, 0.0)]);
    }

    #[test]
    fn an_output_of_several_rows_is_no_list_of_scores() {
        let tensor = Tensor::from_values(Shape::from([2, 2]), vec![0_f32; 4]).unwrap();
        let scores = NamedTensor {
            name: "scores".to_owned(),
            tensor,
        };
        let info = model_info("m", "1", Signature::default());
        assert!(best_classes(&scores, &info, 1).is_err());
    }
}
