//! A request that consists of the elements of the only input of a model.
//!
//! Rule: one dimension may be open, and its size follows from the length of the body. Models that
//! batch get one row. A `BYTES` input must be a single element, which is the whole body.

use bytes::Bytes;
use contract::{Dimension, Error, ModelInfo, NamedTensor, Result, Shape, Tensor, TensorSpec};

use crate::offload::offload;
use crate::open_inference::datatype::raw_input;

/// Returns `body` as the input of the model of `info`.
pub(super) fn raw_request(info: &ModelInfo, body: Bytes) -> Result<NamedTensor> {
    let [input] = info.signature.inputs.as_slice() else {
        return Err(Error::invalid(format!(
            "a raw binary request needs a model with exactly one input, but `{}` has {}",
            info.model,
            info.signature.inputs.len()
        )));
    };
    let n_batch_dims = usize::from(info.max_request_rows.is_some());
    let dims = input.dims.get(n_batch_dims..).unwrap_or_default();
    let (mut shape, data) = match input.element_type.size_bytes() {
        None => single_element(input, dims, &body)?,
        Some(size_bytes) => (sizes(input, dims, size_bytes, body.len())?, body),
    };
    if info.max_request_rows.is_some() {
        shape.insert(0, 1);
    }
    raw_input(&input.name, input.element_type, Shape::new(&shape), data)
}

fn single_element(
    input: &TensorSpec,
    dims: &[Dimension],
    body: &[u8],
) -> Result<(Vec<usize>, Bytes)> {
    if *dims != [Dimension::Fixed(1)] {
        return Err(refusal(input, "takes `BYTES` of shape [1] only"));
    }
    let tensor = offload(body.len(), || {
        Tensor::from_strings(Shape::from([1]), [body])
    })?;
    Ok((vec![1], tensor.data().clone()))
}

/// Returns the sizes of `dims` that make a tensor of `n_bytes`.
fn sizes(
    input: &TensorSpec,
    dims: &[Dimension],
    size_bytes: usize,
    n_bytes: usize,
) -> Result<Vec<usize>> {
    let mut known = Some(size_bytes);
    let mut n_open = 0;
    for dim in dims {
        match dim.fixed() {
            Some(size) => known = known.and_then(|known| known.checked_mul(size)),
            None => n_open += 1,
        }
    }
    if n_open > 1 {
        return Err(refusal(
            input,
            "takes at most one dimension of variable size",
        ));
    }
    let deduced = match known.filter(|&known| known > 0 && n_bytes.is_multiple_of(known)) {
        Some(known) => n_bytes / known,
        None if n_open == 0 => 0,
        None => {
            return Err(refusal(
                input,
                &format!("cannot divide {n_bytes} bytes evenly"),
            ));
        }
    };
    let size = |dim: &Dimension| dim.fixed().unwrap_or(deduced);
    Ok(dims.iter().map(size).collect())
}

fn refusal(input: &TensorSpec, why: &str) -> Error {
    Error::invalid(format!(
        "input `{}` of shape {:?} and datatype {}: a raw binary request {why}",
        input.name,
        input.wire_shape(),
        input.element_type
    ))
}

#[cfg(test)]
mod tests {
    use contract::testing::model_info;
    use contract::{ElementType, Signature};

    use super::*;

    const OPEN: usize = usize::MAX;

    fn shape_of(
        element_type: ElementType,
        dims: &[usize],
        is_batching: bool,
        body: &[u8],
    ) -> Result<Tensor> {
        let dimension = |&dim: &usize| match dim {
            OPEN => Dimension::Dynamic,
            size => Dimension::Fixed(size),
        };
        let input = TensorSpec {
            name: "x".to_owned(),
            element_type,
            dims: dims.iter().map(dimension).collect(),
            is_optional: false,
        };
        let signature = Signature {
            inputs: vec![input.clone()],
            outputs: vec![input],
        };
        let mut info = model_info("m", "1", signature);
        info.max_request_rows = is_batching.then_some(std::num::NonZeroUsize::MIN);
        Ok(raw_request(&info, Bytes::copy_from_slice(body))?.tensor)
    }

    #[test]
    fn one_open_dimension_follows_from_the_length() {
        let cases: [(&[usize], bool, usize, &[usize]); 7] = [
            (&[OPEN, 2], true, 8, &[1, 2]),
            (&[OPEN, OPEN, 2], true, 16, &[1, 2, 2]),
            (&[OPEN, 2], false, 24, &[3, 2]),
            (&[OPEN], false, 0, &[0]),
            (&[2], false, 8, &[2]),
            (&[], false, 4, &[]),
            (&[OPEN, 0], true, 0, &[1, 0]),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|&(dims, is_batching, n_bytes, expected)| {
                let tensor = shape_of(ElementType::F32, dims, is_batching, &vec![0; n_bytes]);
                tensor.map_or(true, |tensor| tensor.shape().dims() != expected)
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn what_does_not_follow_is_refused_with_the_name_of_the_input() {
        let cases: [(ElementType, &[usize], bool, usize); 6] = [
            (ElementType::F32, &[OPEN, OPEN], false, 8),
            (ElementType::F32, &[OPEN, 2], false, 12),
            (ElementType::F32, &[2], false, 12),
            (ElementType::F32, &[OPEN, 0], false, 4),
            (ElementType::Bytes, &[2], false, 8),
            (ElementType::Bytes, &[OPEN], false, 8),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|&(element_type, dims, is_batching, n_bytes)| {
                let result = shape_of(element_type, dims, is_batching, &vec![0; n_bytes]);
                !result.is_err_and(|error| error.message().starts_with("input `x`"))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_string_is_the_whole_body_without_a_length() {
        for (dims, is_batching, expected) in [
            (&[1][..], false, &[1][..]),
            (&[OPEN, 1][..], true, &[1, 1][..]),
        ] {
            let tensor = shape_of(ElementType::Bytes, dims, is_batching, b"a\0b").unwrap();
            assert_eq!(tensor.shape().dims(), expected);
            assert_eq!(tensor.strings().collect::<Vec<_>>(), [b"a\0b"]);
        }
    }
}
