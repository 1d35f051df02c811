//! Typed elements: the eight lists of `InferTensorContents`.
//!
//! Rule: the elements of a tensor stand in the one list that fits its element type, which has as
//! many entries as the shape asks for; small integers travel in 32 bits and must fit their type.
//! Half-precision types have no list and are always raw.

use bytes::Bytes;
use contract::{Element, ElementType, Error, Result, Shape, Tensor};

use super::generated::inference::InferTensorContents;

/// Returns the name of the list that holds elements of `element_type`.
const fn list_name(element_type: ElementType) -> Option<&'static str> {
    match element_type {
        ElementType::Bool => Some("bool_contents"),
        ElementType::I8 | ElementType::I16 | ElementType::I32 => Some("int_contents"),
        ElementType::I64 => Some("int64_contents"),
        ElementType::U8 | ElementType::U16 | ElementType::U32 => Some("uint_contents"),
        ElementType::U64 => Some("uint64_contents"),
        ElementType::F32 => Some("fp32_contents"),
        ElementType::F64 => Some("fp64_contents"),
        ElementType::Bytes => Some("bytes_contents"),
        ElementType::F16 | ElementType::BF16 => None,
    }
}

/// Returns whether elements of `element_type` can be typed at all.
pub(super) const fn can_be_typed(element_type: ElementType) -> bool {
    list_name(element_type).is_some()
}

/// Returns about the size of the lists in memory.
pub(super) fn n_bytes(contents: &InferTensorContents) -> usize {
    let entries = lists(contents).into_iter().map(|(_, n_entries)| n_entries);
    entries.sum::<usize>().saturating_mul(size_of::<i64>())
}

/// Builds the tensor that `contents` holds.
pub(super) fn tensor(
    element_type: ElementType,
    shape: Shape,
    contents: InferTensorContents,
) -> Result<Tensor> {
    check_lists(element_type, &shape, &contents)?;
    match element_type {
        ElementType::Bool => {
            let bytes: Vec<u8> = contents.bool_contents.iter().map(|&b| b.into()).collect();
            Tensor::new(element_type, shape, bytes.into())
        }
        ElementType::U8 => narrow::<_, u8>(shape, contents.uint_contents),
        ElementType::U16 => narrow::<_, u16>(shape, contents.uint_contents),
        ElementType::U32 => Tensor::from_values(shape, contents.uint_contents),
        ElementType::U64 => Tensor::from_values(shape, contents.uint64_contents),
        ElementType::I8 => narrow::<_, i8>(shape, contents.int_contents),
        ElementType::I16 => narrow::<_, i16>(shape, contents.int_contents),
        ElementType::I32 => Tensor::from_values(shape, contents.int_contents),
        ElementType::I64 => Tensor::from_values(shape, contents.int64_contents),
        ElementType::F32 => Tensor::from_values(shape, contents.fp32_contents),
        ElementType::F64 => Tensor::from_values(shape, contents.fp64_contents),
        ElementType::Bytes => Tensor::from_strings(shape, contents.bytes_contents),
        // No list was filled, so this is a tensor without elements.
        ElementType::F16 | ElementType::BF16 => Tensor::new(element_type, shape, Bytes::new()),
    }
}

fn check_lists(
    element_type: ElementType,
    shape: &Shape,
    contents: &InferTensorContents,
) -> Result<()> {
    let right = list_name(element_type);
    let mut found = 0;
    for (name, n_entries) in lists(contents) {
        if Some(name) == right {
            found = n_entries;
        } else if n_entries > 0 {
            return Err(wrong_list(element_type, name));
        }
    }
    let expected = shape.element_count()?;
    match right {
        _ if found == expected => Ok(()),
        Some(name) => Err(Error::invalid(format!(
            "shape {shape} has {expected} elements, got {found} in `{name}`"
        ))),
        None => Err(Error::invalid(format!(
            "elements of {element_type} travel in `raw_input_contents` only"
        ))),
    }
}

fn wrong_list(element_type: ElementType, got: &str) -> Error {
    let right = list_name(element_type).unwrap_or("raw_input_contents");
    Error::invalid(format!(
        "elements of {element_type} belong in `{right}`, got some in `{got}`"
    ))
}

fn lists(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

fn narrow<W, T>(shape: Shape, values: Vec<W>) -> Result<Tensor>
where
    W: Copy + std::fmt::Display,
    T: Element + TryFrom<W>,
{
    let mut narrowed = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        narrowed.push(T::try_from(value).map_err(|_| {
            Error::invalid(format!(
                "element {index} is {value}, which is out of range for {}",
                T::TYPE
            ))
        })?);
    }
    Tensor::from_values(shape, narrowed)
}

/// Returns the elements of `tensor`, if [`can_be_typed`]; otherwise nothing.
pub(super) fn contents(tensor: &Tensor) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match tensor.element_type() {
        ElementType::Bool => {
            contents.bool_contents = tensor.data().iter().map(|&byte| byte != 0).collect();
        }
        ElementType::U8 => contents.uint_contents = widened::<u8, _>(tensor),
        ElementType::U16 => contents.uint_contents = widened::<u16, _>(tensor),
        ElementType::U32 => contents.uint_contents = widened::<u32, _>(tensor),
        ElementType::U64 => contents.uint64_contents = widened::<u64, _>(tensor),
        ElementType::I8 => contents.int_contents = widened::<i8, _>(tensor),
        ElementType::I16 => contents.int_contents = widened::<i16, _>(tensor),
        ElementType::I32 => contents.int_contents = widened::<i32, _>(tensor),
        ElementType::I64 => contents.int64_contents = widened::<i64, _>(tensor),
        ElementType::F32 => contents.fp32_contents = widened::<f32, _>(tensor),
        ElementType::F64 => contents.fp64_contents = widened::<f64, _>(tensor),
        ElementType::Bytes => {
            let share = |text: &[u8]| tensor.data().slice_ref(text);
            contents.bytes_contents = tensor.strings().map(share).collect();
        }
        ElementType::F16 | ElementType::BF16 => {}
    }
    contents
}

fn widened<T: Element + Into<W>, W>(tensor: &Tensor) -> Vec<W> {
    let values = tensor.to_vec::<T>().unwrap_or_default();
    values.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests;
