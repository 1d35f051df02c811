//! Tensors to and from values of ONNX Runtime.
//!
//! Decision: inputs are borrowed where their bytes are aligned, outputs are copied once. So a run
//! holds no memory of its session after it, and the session's arena stays its own.

use bytes::Bytes;
use contract::{Element, ElementType, Shape, Tensor};
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef};
use ort::{Error, Result};

use super::strings;

/// Which element type of ours stands for which of the runtime.
const ELEMENT_TYPES: [(TensorElementType, ElementType); 14] = [
    (TensorElementType::Bool, ElementType::Bool),
    (TensorElementType::Uint8, ElementType::U8),
    (TensorElementType::Uint16, ElementType::U16),
    (TensorElementType::Uint32, ElementType::U32),
    (TensorElementType::Uint64, ElementType::U64),
    (TensorElementType::Int8, ElementType::I8),
    (TensorElementType::Int16, ElementType::I16),
    (TensorElementType::Int32, ElementType::I32),
    (TensorElementType::Int64, ElementType::I64),
    (TensorElementType::Float16, ElementType::F16),
    (TensorElementType::Bfloat16, ElementType::BF16),
    (TensorElementType::Float32, ElementType::F32),
    (TensorElementType::Float64, ElementType::F64),
    (TensorElementType::String, ElementType::Bytes),
];

/// The element type of ours that stands for one of the runtime; `None` where there is none.
pub(super) fn element_type(runtime: TensorElementType) -> Option<ElementType> {
    ELEMENT_TYPES
        .into_iter()
        .find(|(theirs, _)| *theirs == runtime)
        .map(|(_, ours)| ours)
}

/// The value that a run takes for `tensor`, whose bytes must be aligned.
pub(super) fn to_value(tensor: &Tensor) -> Result<SessionInputValue<'_>> {
    match tensor.element_type() {
        ElementType::Bool => {
            let values: &[bool] = bytemuck::checked::try_cast_slice(tensor.data())
                .map_err(|_| Error::new("a boolean is neither 0 nor 1"))?;
            view(tensor, values)
        }
        ElementType::U8 => numbers::<u8>(tensor),
        ElementType::U16 => numbers::<u16>(tensor),
        ElementType::U32 => numbers::<u32>(tensor),
        ElementType::U64 => numbers::<u64>(tensor),
        ElementType::I8 => numbers::<i8>(tensor),
        ElementType::I16 => numbers::<i16>(tensor),
        ElementType::I32 => numbers::<i32>(tensor),
        ElementType::I64 => numbers::<i64>(tensor),
        ElementType::F16 => numbers::<f16>(tensor),
        ElementType::BF16 => numbers::<bf16>(tensor),
        ElementType::F32 => numbers::<f32>(tensor),
        ElementType::F64 => numbers::<f64>(tensor),
        ElementType::Bytes => strings::to_value(tensor).map(SessionInputValue::from),
    }
}

fn numbers<T: Element + PrimitiveTensorElementType>(
    tensor: &Tensor,
) -> Result<SessionInputValue<'_>> {
    let values = tensor
        .as_slice::<T>()
        .ok_or_else(|| Error::new("the bytes of a tensor are not aligned"))?;
    view(tensor, values)
}

fn view<'a, T>(tensor: &'a Tensor, values: &'a [T]) -> Result<SessionInputValue<'a>>
where
    T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static,
{
    TensorRef::from_array_view((tensor.shape().dims(), values)).map(SessionInputValue::from)
}

/// A copy of a value that a run gave.
pub(super) fn from_value(value: &DynValue) -> Result<Tensor> {
    let found = value
        .dtype()
        .tensor_type()
        .ok_or_else(|| Error::new("the value is no tensor"))?;
    let known = element_type(found)
        .ok_or_else(|| Error::new(format!("elements of type {found} have no tensor form")))?;
    match known {
        ElementType::Bool => {
            let (shape, values) = value.try_extract_tensor::<bool>()?;
            let bytes = Bytes::copy_from_slice(bytemuck::cast_slice(values));
            checked(Tensor::new(ElementType::Bool, sizes(shape)?, bytes))
        }
        ElementType::U8 => copy::<u8>(value),
        ElementType::U16 => copy::<u16>(value),
        ElementType::U32 => copy::<u32>(value),
        ElementType::U64 => copy::<u64>(value),
        ElementType::I8 => copy::<i8>(value),
        ElementType::I16 => copy::<i16>(value),
        ElementType::I32 => copy::<i32>(value),
        ElementType::I64 => copy::<i64>(value),
        ElementType::F16 => copy::<f16>(value),
        ElementType::BF16 => copy::<bf16>(value),
        ElementType::F32 => copy::<f32>(value),
        ElementType::F64 => copy::<f64>(value),
        ElementType::Bytes => {
            let dims = value
                .dtype()
                .tensor_shape()
                .ok_or_else(|| Error::new("the value is no tensor"))?;
            let shape = sizes(dims)?;
            let strings = strings::from_value(value, checked(shape.element_count())?)?;
            checked(Tensor::new(ElementType::Bytes, shape, strings.finish()))
        }
    }
}

fn copy<T: Element + PrimitiveTensorElementType>(value: &DynValue) -> Result<Tensor> {
    let (shape, values) = value.try_extract_tensor::<T>()?;
    checked(Tensor::from_values(sizes(shape)?, values.to_vec()))
}

fn sizes(dims: &[i64]) -> Result<Shape> {
    checked(Shape::from_wire(dims))
}

fn checked<T>(result: contract::Result<T>) -> Result<T> {
    result.map_err(|error| Error::new(error.message()))
}
