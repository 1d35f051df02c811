//! Datatypes, shapes and raw tensors as they are on the wire.
//!
//! Decision: everything is checked against itself here and against the model later, so that a
//! reply tells a malformed request from one that does not fit the model.

use bytes::Bytes;
use contract::{ElementType, Error, NamedTensor, Result, Shape, Tensor};

use crate::offload::offload;

/// No tensor has so many dimensions, and messages that show a shape stay short.
const MAX_RANK: usize = 64;

/// Returns the element type of `datatype`, as declared for input `input`.
pub(crate) fn element_type(input: &str, datatype: &str) -> Result<ElementType> {
    ElementType::from_name(datatype).ok_or_else(|| {
        let known: Vec<_> = ElementType::ALL.iter().map(|known| known.name()).collect();
        Error::invalid(format!(
            "input `{input}`: datatype `{datatype}` is unknown; expected one of {}",
            known.join(", ")
        ))
    })
}

/// Returns the shape of input `input`, whose elements and bytes must be countable.
pub(crate) fn shape(input: &str, element_type: ElementType, dims: &[i64]) -> Result<Shape> {
    let parse = |why| Error::invalid(format!("input `{input}`: Unable to parse 'shape': {why}"));
    if dims.len() > MAX_RANK {
        let rank = dims.len();
        return Err(parse(format!("at most {MAX_RANK} dimensions, got {rank}")));
    }
    if let Some(dim) = dims.iter().find(|&&dim| dim < 0) {
        return Err(parse(format!("a size is 0 or more, got {dim} in {dims:?}")));
    }
    let shape = Shape::from_wire(dims).map_err(|error| in_input(error, input))?;
    let n_elements = shape
        .element_count()
        .map_err(|error| in_input(error, input))?;
    let n_bytes = n_elements.checked_mul(element_type.size_bytes().unwrap_or(1));
    if n_bytes.is_none_or(|n_bytes| i64::try_from(n_bytes).is_err()) {
        return Err(Error::invalid(format!(
            "input `{input}`: byte size overflow: shape {shape} of {element_type} has more than \
             2^63-1 bytes"
        )));
    }
    Ok(shape)
}

/// Returns the input `input` over shared bytes in the layout of the binary tensor extension.
pub(crate) fn raw_input(
    input: &str,
    element_type: ElementType,
    shape: Shape,
    data: Bytes,
) -> Result<NamedTensor> {
    // Every pattern of bits is a number, so numbers are not examined.
    let is_examined = matches!(element_type, ElementType::Bool | ElementType::Bytes);
    let n_examined = if is_examined { data.len() } else { 0 };
    let tensor = offload(n_examined, || Tensor::new(element_type, shape, data));
    let tensor = tensor.map_err(|error| in_input(error, input))?;
    Ok(NamedTensor {
        name: input.to_owned(),
        tensor,
    })
}

/// Adds the name of the input to `error`.
pub(crate) fn in_input(error: Error, input: &str) -> Error {
    error.in_context(format_args!("input `{input}`"))
}

/// Returns the name of the element type in a model configuration, such as `TYPE_FP32`.
pub(crate) const fn config_name(element_type: ElementType) -> &'static str {
    match element_type {
        ElementType::Bool => "TYPE_BOOL",
        ElementType::U8 => "TYPE_UINT8",
        ElementType::U16 => "TYPE_UINT16",
        ElementType::U32 => "TYPE_UINT32",
        ElementType::U64 => "TYPE_UINT64",
        ElementType::I8 => "TYPE_INT8",
        ElementType::I16 => "TYPE_INT16",
        ElementType::I32 => "TYPE_INT32",
        ElementType::I64 => "TYPE_INT64",
        ElementType::F16 => "TYPE_FP16",
        ElementType::BF16 => "TYPE_BF16",
        ElementType::F32 => "TYPE_FP32",
        ElementType::F64 => "TYPE_FP64",
        ElementType::Bytes => "TYPE_STRING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_cannot_be_counted_are_refused_with_the_known_words() {
        let cases: [(&[i64], &str); 5] = [
            (&[1; 65], "Unable to parse 'shape'"),
            (&[2, -1], "Unable to parse 'shape'"),
            (&[i64::MIN], "Unable to parse 'shape'"),
            (&[i64::MAX, 2], "exceed maximum size"),
            (&[i64::MAX / 2], "byte size overflow"),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter_map(|(dims, words)| {
                let message = match shape("x", ElementType::F32, dims) {
                    Ok(shape) => shape.to_string(),
                    Err(error) => error.to_string(),
                };
                let is_right = message.starts_with("input `x`: ") && message.contains(words);
                (!is_right).then_some((dims, message))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_size_of_zero_makes_any_other_size_countable() {
        let shape = shape("x", ElementType::F64, &[i64::MAX, 0, i64::MAX]).unwrap();
        assert_eq!(shape.element_count().unwrap(), 0);
    }

    #[test]
    fn raw_inputs_share_their_bytes() {
        let body = Bytes::from_static(&[0, 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
        let data = body.slice(1..);
        let address = data.as_ptr();
        let input = raw_input("x", ElementType::F32, Shape::from([2]), data).unwrap();
        assert_eq!(input.tensor.to_vec::<f32>(), Some(vec![1.0, -2.5]));
        assert_eq!(input.tensor.data().as_ptr(), address);
    }

    #[test]
    fn raw_inputs_of_the_wrong_size_are_named() {
        let data = Bytes::from_static(&[0; 7]);
        let error = raw_input("x", ElementType::F32, Shape::from([2]), data).unwrap_err();
        assert_eq!(
            error.message(),
            "input `x`: shape [2] of FP32 needs 8 bytes, got 7"
        );
    }

    #[test]
    fn configuration_names_are_the_wire_names_except_for_strings() {
        for element_type in ElementType::ALL {
            let expected = match element_type.name() {
                "BYTES" => "TYPE_STRING".to_owned(),
                name => format!("TYPE_{name}"),
            };
            assert_eq!(config_name(element_type), expected);
        }
    }
}
