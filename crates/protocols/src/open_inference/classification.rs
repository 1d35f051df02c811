//! Classification: the best classes of each row as text, in place of the scores.
//!
//! Input: the scores of a row, N. Rule: larger scores first, equal scores by class number, NaN
//! last; the first min(N, scores of the row) become `score:class` or `score:class:label`.
//! Half-precision scores are widened, which Triton refuses, because widening them is exact.

use std::cmp::Ordering;
use std::num::NonZeroUsize;

use bytes::Bytes;
use contract::{Element, ElementType, Error, ModelInfo, Result, Shape, StringBuffer, Tensor};

/// The most scores of a row that are ranked, which bounds the work of a request.
const MAX_ROW_ELEMENTS: usize = 1_000_000;

/// Returns the `count` best classes of every row of the output `output`.
pub(crate) fn classify(
    info: &ModelInfo,
    output: &str,
    tensor: &Tensor,
    count: NonZeroUsize,
) -> Result<Tensor> {
    let (n_rows, row_elements) = match info.max_request_rows {
        Some(_) => (tensor.n_rows(), tensor.shape().row_elements().unwrap_or(1)),
        None => (1, tensor.n_elements()),
    };
    if row_elements > MAX_ROW_ELEMENTS {
        return Err(Error::invalid(format!(
            "output `{output}`: classification takes at most {MAX_ROW_ELEMENTS} scores per row, \
             got {row_elements}"
        )));
    }
    let count = count.get().min(row_elements);
    let data = match scores(output, tensor)? {
        Scores::Integers(scores) => {
            let order = |a: &i128, b: &i128| b.cmp(a);
            best(&scores, row_elements, count, order, &info.labels)
        }
        Scores::Floats(scores) => best(&scores, row_elements, count, larger_first, &info.labels),
    }?;
    let shape = match info.max_request_rows {
        Some(_) => Shape::from([n_rows, count]),
        None => Shape::from([count]),
    };
    Tensor::new(ElementType::Bytes, shape, data)
}

/// Scores in the two types that hold every score exactly.
enum Scores {
    Integers(Vec<i128>),
    Floats(Vec<f64>),
}

fn scores(output: &str, tensor: &Tensor) -> Result<Scores> {
    Ok(match tensor.element_type() {
        ElementType::U8 => Scores::Integers(widened::<u8, _>(tensor)),
        ElementType::U16 => Scores::Integers(widened::<u16, _>(tensor)),
        ElementType::U32 => Scores::Integers(widened::<u32, _>(tensor)),
        ElementType::U64 => Scores::Integers(widened::<u64, _>(tensor)),
        ElementType::I8 => Scores::Integers(widened::<i8, _>(tensor)),
        ElementType::I16 => Scores::Integers(widened::<i16, _>(tensor)),
        ElementType::I32 => Scores::Integers(widened::<i32, _>(tensor)),
        ElementType::I64 => Scores::Integers(widened::<i64, _>(tensor)),
        ElementType::F16 => Scores::Floats(widened::<half::f16, _>(tensor)),
        ElementType::BF16 => Scores::Floats(widened::<half::bf16, _>(tensor)),
        ElementType::F32 => Scores::Floats(widened::<f32, _>(tensor)),
        ElementType::F64 => Scores::Floats(widened::<f64, _>(tensor)),
        ElementType::Bool | ElementType::Bytes => {
            return Err(Error::invalid(format!(
                "output `{output}`: classification needs numbers, but the datatype is {}",
                tensor.element_type()
            )));
        }
    })
}

fn widened<T: Element + Into<W>, W>(tensor: &Tensor) -> Vec<W> {
    let values = tensor.to_vec::<T>().unwrap_or_default();
    values.into_iter().map(Into::into).collect()
}

fn larger_first(a: &f64, b: &f64) -> Ordering {
    a.is_nan()
        .cmp(&b.is_nan())
        .then_with(|| b.partial_cmp(a).unwrap_or(Ordering::Equal))
}

/// Returns the bytes of the ranked classes of all rows.
fn best<T: Copy + Score>(
    scores: &[T],
    row_elements: usize,
    count: usize,
    order: impl Fn(&T, &T) -> Ordering,
    labels: &[String],
) -> Result<Bytes> {
    let mut buffer = StringBuffer::default();
    // A row without scores gives no classes, and `chunks_exact` panics on a size of 0.
    for row in scores.chunks_exact(row_elements.max(1)) {
        let mut ranked: Vec<(usize, T)> = row.iter().copied().enumerate().collect();
        let order = |a: &(usize, T), b: &(usize, T)| order(&a.1, &b.1).then(a.0.cmp(&b.0));
        if count < ranked.len() {
            ranked.select_nth_unstable_by(count, order);
            ranked.truncate(count);
        }
        ranked.sort_unstable_by(order);
        for (class, score) in ranked {
            let label = labels.get(class).filter(|label| !label.is_empty());
            let text = match label {
                Some(label) => format!("{}:{class}:{label}", score.text()),
                None => format!("{}:{class}", score.text()),
            };
            buffer.push(text.as_bytes())?;
        }
    }
    Ok(buffer.finish())
}

/// A score that can be printed.
trait Score {
    fn text(self) -> String;
}

impl Score for i128 {
    fn text(self) -> String {
        self.to_string()
    }
}

impl Score for f64 {
    /// Formats a score like C's `%f`, which clients parse.
    fn text(self) -> String {
        match self.is_nan() {
            true => "nan".to_owned(),
            false => format!("{self:.6}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::testing::model_info;
    use contract::{Dimension, Signature, TensorSpec};
    use half::{bf16, f16};

    use super::*;

    fn info(is_batching: bool, labels: &[&str]) -> ModelInfo {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            element_type: ElementType::F32,
            dims: vec![Dimension::Dynamic, Dimension::Dynamic],
            is_optional: false,
        };
        let signature = Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
        };
        let mut info = model_info("m", "1", signature);
        info.max_request_rows = is_batching.then_some(NonZeroUsize::MIN);
        info.labels = labels.iter().map(|&label| label.to_owned()).collect();
        info
    }

    fn check(info: &ModelInfo, tensor: &Tensor, count: usize, shape: &[usize], expected: &[&str]) {
        let count = NonZeroUsize::new(count).unwrap();
        let ranked = classify(info, "y", tensor, count).unwrap();
        let strings: Vec<_> = ranked
            .strings()
            .map(|text| std::str::from_utf8(text).unwrap())
            .collect();
        assert_eq!(strings, expected);
        assert_eq!(ranked.shape().dims(), shape);
    }

    fn tensor<T: Element>(shape: &[usize], values: Vec<T>) -> Tensor {
        Tensor::from_values(Shape::new(shape), values).unwrap()
    }

    #[test]
    fn rows_of_a_batch_are_ranked_each_for_itself() {
        let scores = tensor(&[2, 3], vec![0.05_f32, 0.05, 0.9, 7.5, -1.0, 0.0]);
        let labels = info(true, &["cat", "dog", ""]);
        let expected = [
            "0.900000:2",
            "0.050000:0:cat",
            "7.500000:0:cat",
            "0.000000:2",
        ];
        check(&labels, &scores, 2, &[2, 2], &expected);
    }

    #[test]
    fn a_model_without_batches_has_one_row() {
        let scores = tensor(&[2, 2], vec![1_i64, i64::MAX, -3, i64::MIN]);
        let expected = [
            "9223372036854775807:1",
            "1:0",
            "-3:2",
            "-9223372036854775808:3",
        ];
        check(&info(false, &[]), &scores, 9, &[4], &expected);
    }

    #[test]
    fn what_is_no_number_comes_last() {
        let scores = tensor(
            &[1, 4],
            vec![f64::NAN, f64::NEG_INFINITY, f64::INFINITY, f64::NAN],
        );
        let expected = ["inf:2", "-inf:1", "nan:0", "nan:3"];
        check(&info(true, &[]), &scores, 4, &[1, 4], &expected);
    }

    #[test]
    fn every_number_type_can_be_ranked() {
        let model = info(false, &[]);
        check(&model, &tensor(&[2], vec![1_u8, 255]), 1, &[1], &["255:1"]);
        check(
            &model,
            &tensor(&[2], vec![u64::MAX, 0]),
            1,
            &[1],
            &["18446744073709551615:0"],
        );
        check(&model, &tensor(&[2], vec![-5_i8, -128]), 1, &[1], &["-5:0"]);
        let halves = tensor(&[2], vec![f16::from_f32(0.1), f16::ZERO]);
        check(&model, &halves, 1, &[1], &["0.099976:0"]);
        let halves = tensor(&[2], vec![bf16::ZERO, bf16::from_f32(3.140_625)]);
        check(&model, &halves, 1, &[1], &["3.140625:1"]);
    }

    #[test]
    fn rows_without_scores_have_no_classes() {
        check(
            &info(true, &[]),
            &tensor::<f32>(&[2, 0], vec![]),
            3,
            &[2, 0],
            &[],
        );
        check(
            &info(true, &[]),
            &tensor::<f32>(&[0, 3], vec![]),
            3,
            &[0, 3],
            &[],
        );
    }

    #[test]
    fn what_cannot_be_ranked_is_refused_with_the_name_of_the_output() {
        let strings = Tensor::from_strings(Shape::from([1]), ["a"]).unwrap();
        let long = tensor(&[MAX_ROW_ELEMENTS + 1], vec![0_u8; MAX_ROW_ELEMENTS + 1]);
        for tensor in [strings, long] {
            let error = classify(&info(false, &[]), "y", &tensor, NonZeroUsize::MIN).unwrap_err();
            assert!(
                error.message().starts_with("output `y`: classification"),
                "{error}"
            );
        }
    }
}
