//! Values of the runtime: tensors that a run reads in place, and its results, copied once.
//!
//! Decision: the C interface is called directly. The wrappers of `ort` describe every value in full
//! and open an allocator for every output, which for a small model takes longer than its run. No
//! value keeps memory of a session after its run, so the session's arena stays its own.

mod strings;

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use contract::{ElementType, Shape, Tensor, TensorBuffer};
use ort::memory::MemoryInfo;
use ort::sys::{ONNXTensorElementDataType, OrtTensorTypeAndShapeInfo, OrtValue};
use ort::value::TensorElementType;
use ort::{AsPointer, Error, Result};
use smallvec::{SmallVec, smallvec};

/// Element types of the runtime and the matching ones of the contract.
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

/// The sizes of the dimensions of a tensor, in the number type of the runtime.
pub(super) type Sizes = SmallVec<[i64; 8]>;

/// Converts an element type of the runtime; `None` where there is no match.
pub(super) fn element_type(runtime: TensorElementType) -> Option<ElementType> {
    ELEMENT_TYPES
        .into_iter()
        .find(|(theirs, _)| *theirs == runtime)
        .map(|(_, ours)| ours)
}

/// Returns the number of an element type in the C interface. The table has every type.
fn number_of(element_type: ElementType) -> ONNXTensorElementDataType {
    ELEMENT_TYPES
        .into_iter()
        .find(|(_, ours)| *ours == element_type)
        .map_or(TensorElementType::Undefined, |(theirs, _)| theirs)
        .into()
}

/// A value of the runtime, released when it is dropped; `'a` is the lifetime of the bytes it reads.
pub(super) struct Value<'a> {
    pointer: NonNull<OrtValue>,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Value<'a> {
    /// Creates a value that reads `tensor` in place, whose bytes must be aligned; strings are
    /// copied.
    pub(super) fn reading(tensor: &'a Tensor, memory: &MemoryInfo<'static>) -> Result<Self> {
        match tensor.element_type().size_bytes() {
            Some(_) if !is_aligned(tensor) => {
                Err(Error::new("the bytes of a tensor are not aligned"))
            }
            Some(_) => Self::view(tensor, memory),
            None => strings::to_value(tensor),
        }
    }

    #[expect(unsafe_code, reason = "makes a value of the runtime")]
    fn view(tensor: &'a Tensor, memory: &MemoryInfo<'static>) -> Result<Self> {
        let sizes: Sizes = tensor.shape().wire_dims().collect();
        let data = tensor.data();
        let mut pointer = ptr::null_mut();
        // SAFETY: the bytes belong to `tensor`, which outlives the value by `'a`; there are as many
        // as type and shape need, which the constructor of `Tensor` has checked, and a run only
        // reads its inputs.
        unsafe {
            Error::result_from_status((ort::api().CreateTensorWithDataAsOrtValue)(
                memory.ptr(),
                data.as_ptr().cast_mut().cast(),
                data.len(),
                sizes.as_ptr(),
                sizes.len(),
                number_of(tensor.element_type()),
                &raw mut pointer,
            ))?;
        }
        Self::owning(pointer)
    }

    /// Creates a value of strings that are still empty.
    #[expect(unsafe_code, reason = "makes a value of the runtime")]
    pub(super) fn empty_strings(shape: &Shape) -> Result<Value<'static>> {
        let sizes: Sizes = shape.wire_dims().collect();
        let (mut allocator, mut pointer) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the first call returns the allocator of the process, which is never released; the
        // second reads the sizes and writes one pointer.
        unsafe {
            let status = (ort::api().GetAllocatorWithDefaultOptions)(&raw mut allocator);
            Error::result_from_status(status)?;
            Error::result_from_status((ort::api().CreateTensorAsOrtValue)(
                allocator,
                sizes.as_ptr(),
                sizes.len(),
                number_of(ElementType::Bytes),
                &raw mut pointer,
            ))?;
        }
        Value::owning(pointer)
    }

    /// Takes ownership of a pointer that a call has just returned to this caller alone.
    fn owning(pointer: *mut OrtValue) -> Result<Self> {
        Self::given(pointer).ok_or_else(|| Error::new("the runtime returned no value"))
    }

    /// Takes ownership of a pointer that a run wrote; `None` where it wrote nothing.
    pub(super) fn given(pointer: *mut OrtValue) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self {
            pointer,
            bytes: PhantomData,
        })
    }

    /// Returns the pointer, which the value still owns. Code that writes through it must borrow the
    /// value exclusively.
    pub(super) fn pointer(&self) -> *mut OrtValue {
        self.pointer.as_ptr()
    }

    /// Copies the value into a tensor.
    pub(super) fn to_tensor(&self) -> Result<Tensor> {
        let (element_type, shape) = self.describe()?;
        let n_elements = checked(shape.element_count())?;
        let data = match element_type.size_bytes() {
            Some(size) => self.copy_bytes(n_elements.saturating_mul(size))?.freeze(),
            None => strings::from_value(self, n_elements)?.finish(),
        };
        checked(Tensor::new(element_type, shape, data))
    }

    fn describe(&self) -> Result<(ElementType, Shape)> {
        let description = Description::new(self)?;
        let number = description.element_type()?;
        let known = |(theirs, _): &(TensorElementType, ElementType)| {
            ONNXTensorElementDataType::from(*theirs) as i32 == number
        };
        let Some((_, element_type)) = ELEMENT_TYPES.into_iter().find(known) else {
            let text = format!("elements of type number {number} cannot be served");
            return Err(Error::new(text));
        };
        let shape = checked(Shape::from_wire(&description.sizes()?))?;
        Ok((element_type, shape))
    }

    #[expect(unsafe_code, reason = "reads memory of the runtime")]
    fn copy_bytes(&self, n_bytes: usize) -> Result<TensorBuffer> {
        let mut buffer = TensorBuffer::with_capacity(n_bytes);
        if n_bytes == 0 {
            return Ok(buffer);
        }
        let mut data = ptr::null_mut();
        // SAFETY: the value is a tensor of numbers, so the call returns the start of its elements,
        // which are `n_bytes` long by its own type and shape and stay where they are until it is
        // released.
        let bytes = unsafe {
            let status = (ort::api().GetTensorMutableData)(self.pointer.as_ptr(), &raw mut data);
            Error::result_from_status(status)?;
            slice::from_raw_parts(data.cast::<u8>().cast_const(), n_bytes)
        };
        buffer.extend_from_slice(bytes);
        Ok(buffer)
    }
}

impl Drop for Value<'_> {
    #[expect(unsafe_code, reason = "releases a value of the runtime")]
    fn drop(&mut self) {
        // SAFETY: the pointer came from the runtime, and only this value has it.
        unsafe { (ort::api().ReleaseValue)(self.pointer.as_ptr()) };
    }
}

/// The description of a tensor by the runtime, released when it is dropped.
struct Description(*mut OrtTensorTypeAndShapeInfo);

#[expect(unsafe_code, reason = "reads the description of a tensor")]
impl Description {
    fn new(value: &Value<'_>) -> Result<Self> {
        let mut pointer = ptr::null_mut();
        // SAFETY: the call rejects anything but a tensor, and otherwise writes a description that
        // the caller owns.
        unsafe {
            let status = (ort::api().GetTensorTypeAndShape)(value.pointer(), &raw mut pointer);
            Error::result_from_status(status)?;
        }
        Ok(Self(pointer))
    }

    /// Returns a number, because a newer runtime may know more types than the enumeration here.
    fn element_type(&self) -> Result<i32> {
        let mut number = 0_i32;
        // SAFETY: an element type of the C interface is a number of 32 bits.
        unsafe {
            let status = (ort::api().GetTensorElementType)(self.0, (&raw mut number).cast());
            Error::result_from_status(status)?;
        }
        Ok(number)
    }

    fn sizes(&self) -> Result<Sizes> {
        let mut rank = 0;
        // SAFETY: the call writes one number.
        unsafe {
            let status = (ort::api().GetDimensionsCount)(self.0, &raw mut rank);
            Error::result_from_status(status)?;
        }
        let mut sizes: Sizes = smallvec![0; rank];
        // SAFETY: the buffer is as long as stated.
        unsafe {
            let status = (ort::api().GetDimensions)(self.0, sizes.as_mut_ptr(), sizes.len());
            Error::result_from_status(status)?;
        }
        Ok(sizes)
    }
}

impl Drop for Description {
    #[expect(unsafe_code, reason = "releases a description of the runtime")]
    fn drop(&mut self) {
        // SAFETY: the pointer came from the runtime, and only this description has it.
        unsafe { (ort::api().ReleaseTensorTypeAndShapeInfo)(self.0) };
    }
}

/// Returns whether a run can read the elements in place.
pub(super) fn is_aligned(tensor: &Tensor) -> bool {
    let size = tensor.element_type().size_bytes().unwrap_or(1);
    tensor.data().as_ptr().addr().is_multiple_of(size)
}

fn checked<T>(result: contract::Result<T>) -> Result<T> {
    result.map_err(|error| Error::new(error.message()))
}
