//! Tensors: an element type, a shape and bytes, checked once when they are made.
//!
//! The bytes are always in the layout of the binary tensor extension of the Open Inference
//! Protocol: row-major, little-endian, and for [`ElementType::Bytes`] each element behind its
//! length as a little-endian `u32`. So a tensor that arrives in binary form is a slice of the
//! request body and leaves as a slice of the engine's output, and only text formats convert.

mod buffer;
mod element;
mod shape;
mod strings;

use bytes::Bytes;

pub use buffer::TensorBuffer;
pub use element::{Element, ElementType};
pub use shape::Shape;
pub use strings::{StringBuffer, Strings};

use crate::error::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!("tensor bytes are little-endian and are read in place");

/// A row-major array of one element type.
///
/// Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    element_type: ElementType,
    shape: Shape,
    data: Bytes,
}

impl Tensor {
    /// Creates a tensor over untrusted bytes.
    ///
    /// # Errors
    /// `invalid_request` when the number of bytes does not fit shape and element type, when a
    /// `BOOL` is neither 0 nor 1, or when the lengths inside a `BYTES` tensor do not add up.
    pub fn new(element_type: ElementType, shape: Shape, data: Bytes) -> Result<Self> {
        let n_elements = shape.element_count()?;
        match element_type.size_bytes() {
            Some(size) => check_size(element_type, &shape, n_elements, size, data.len())?,
            None => strings::check(&data, n_elements)?,
        }
        if element_type == ElementType::Bool && data.iter().any(|&byte| byte > 1) {
            return Err(Error::invalid("a `BOOL` element must be the byte 0 or 1"));
        }
        Ok(Self {
            element_type,
            shape,
            data,
        })
    }

    /// Creates a tensor that owns `values`, which are moved and not copied.
    ///
    /// # Errors
    /// `invalid_request` when `shape` does not have `values.len()` elements.
    pub fn from_values<T: Element>(shape: Shape, values: Vec<T>) -> Result<Self> {
        Self::new(T::TYPE, shape, buffer::bytes_of(values))
    }

    /// Creates a `BYTES` tensor of the given strings.
    ///
    /// # Errors
    /// `invalid_request` when `shape` does not have as many elements, or a string is 4 GiB long.
    pub fn from_strings<S: AsRef<[u8]>>(
        shape: Shape,
        values: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let mut buffer = StringBuffer::default();
        for value in values {
            buffer.push(value.as_ref())?;
        }
        Self::new(ElementType::Bytes, shape, buffer.finish())
    }

    /// Creates a tensor of zeros, or of empty strings.
    ///
    /// # Errors
    /// `invalid_request` when the shape has too many elements.
    pub fn zeros(element_type: ElementType, shape: Shape) -> Result<Self> {
        let n_bytes = shape
            .element_count()?
            .saturating_mul(zero_bytes(element_type));
        Self::new(element_type, shape, TensorBuffer::zeroed(n_bytes).freeze())
    }

    /// The element type.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// Returns the shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the bytes, in the layout that the module describes.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn n_elements(&self) -> usize {
        self.shape.element_count().unwrap_or(0)
    }

    /// Returns the elements in place, when they are of type `T` and aligned for it.
    ///
    /// `None` for another element type and for bytes that start at an odd address; see
    /// [`Tensor::aligned`].
    #[must_use]
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        if T::TYPE != self.element_type {
            return None;
        }
        if self.data.is_empty() {
            return Some(&[]);
        }
        bytemuck::try_cast_slice(&self.data).ok()
    }

    /// Copies the elements into a vector, whatever their alignment; `None` for another type.
    #[must_use]
    pub fn to_vec<T: Element>(&self) -> Option<Vec<T>> {
        (T::TYPE == self.element_type).then(|| bytemuck::pod_collect_to_vec(&self.data[..]))
    }

    /// Copies the elements of a floating point tensor into a vector of `f64`; `None` for another
    /// type.
    #[must_use]
    pub fn to_f64_vec(&self) -> Option<Vec<f64>> {
        self.widened::<half::f16>()
            .or_else(|| self.widened::<half::bf16>())
            .or_else(|| self.widened::<f32>())
            .or_else(|| self.to_vec())
    }

    fn widened<T: Element + Into<f64>>(&self) -> Option<Vec<f64>> {
        let elements = self.to_vec::<T>()?;
        Some(elements.into_iter().map(Into::into).collect())
    }

    /// Returns the elements of a `BYTES` tensor in order; nothing for another element type.
    #[must_use]
    pub fn strings(&self) -> Strings<'_> {
        let has_strings = self.element_type == ElementType::Bytes;
        Strings::new(if has_strings { &self.data } else { &[] })
    }

    /// Returns the same tensor with bytes that [`Tensor::as_slice`] can read in place.
    ///
    /// Bytes that are aligned already are shared; others are copied once into an aligned buffer.
    #[must_use]
    pub fn aligned(&self) -> Self {
        let size = self.element_type.size_bytes().unwrap_or(1);
        if self.data.as_ptr().addr().is_multiple_of(size) {
            return self.clone();
        }
        let mut buffer = TensorBuffer::with_capacity(self.data.len());
        buffer.extend_from_slice(&self.data);
        Self {
            data: buffer.freeze(),
            ..self.clone()
        }
    }

    /// Returns the size of the first dimension; 1 for a scalar.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.shape.dims().first().copied().unwrap_or(1)
    }

    /// Returns rows `start..start + n_rows` along the first dimension, sharing the bytes.
    ///
    /// # Errors
    /// `internal` when the tensor is a scalar or has fewer rows, which is a defect of the caller.
    pub fn slice_rows(&self, start: usize, n_rows: usize) -> Result<Self> {
        let out_of_range = || {
            Error::internal(format!(
                "rows {start}+{n_rows} of a tensor of shape {}",
                self.shape
            ))
        };
        let end = start.checked_add(n_rows).ok_or_else(out_of_range)?;
        let row_elements = self.shape.row_elements().ok_or_else(out_of_range)?;
        if end > self.n_rows() {
            return Err(out_of_range());
        }
        let data = match self.element_type.size_bytes() {
            Some(size) => {
                let row_bytes = row_elements * size;
                self.data.slice(start * row_bytes..end * row_bytes)
            }
            None => {
                let from = strings::offset_of(&self.data, start * row_elements);
                let to = strings::offset_of(&self.data, end * row_elements);
                self.data.slice(from..to)
            }
        };
        Ok(Self {
            element_type: self.element_type,
            shape: self.shape.with_rows(n_rows),
            data,
        })
    }

    /// Concatenates tensors along the first dimension.
    ///
    /// One tensor is shared; more are copied into one aligned buffer.
    ///
    /// # Errors
    /// `internal` when there is none, or when element types or the other dimensions differ.
    pub fn concat_rows(tensors: &[&Self]) -> Result<Self> {
        let Some(&first) = tensors.first() else {
            return Err(Error::internal("no tensors to concatenate"));
        };
        if tensors.len() == 1 {
            return Ok(first.clone());
        }
        let alike = |tensor: &&Self| {
            tensor.element_type == first.element_type
                && tensor.shape.rank() > 0
                && tensor.shape.row_dims() == first.shape.row_dims()
        };
        if let Some(other) = tensors.iter().find(|tensor| !alike(tensor)) {
            return Err(Error::internal(format!(
                "a tensor of shape {} cannot join one of shape {}",
                other.shape, first.shape
            )));
        }
        let mut buffer = TensorBuffer::with_capacity(tensors.iter().map(|t| t.data.len()).sum());
        for tensor in tensors {
            buffer.extend_from_slice(&tensor.data);
        }
        Ok(Self {
            element_type: first.element_type,
            shape: first
                .shape
                .with_rows(tensors.iter().map(|t| t.n_rows()).sum()),
            data: buffer.freeze(),
        })
    }

    /// Pads the rows with zeros, or empty strings, up to `n_rows` in one new buffer; the tensor is
    /// shared when it has as many rows already.
    ///
    /// # Errors
    /// `internal` when the tensor is a scalar or has more rows, which is a defect of the caller.
    pub fn padded_rows(&self, n_rows: usize) -> Result<Self> {
        if self.n_rows() == n_rows && self.shape.rank() > 0 {
            return Ok(self.clone());
        }
        let missing = n_rows.checked_sub(self.n_rows());
        let per_row = self.shape.row_elements();
        let Some((n_missing, row_elements)) = missing.zip(per_row) else {
            let shape = &self.shape;
            return Err(Error::internal(format!(
                "{n_rows} rows of a tensor of shape {shape}"
            )));
        };
        let n_bytes = n_missing * row_elements * zero_bytes(self.element_type);
        let mut buffer = TensorBuffer::zeroed(self.data.len() + n_bytes);
        if let Some(rows) = buffer.as_mut_slice().get_mut(..self.data.len()) {
            rows.copy_from_slice(&self.data);
        }
        Ok(Self {
            element_type: self.element_type,
            shape: self.shape.with_rows(n_rows),
            data: buffer.freeze(),
        })
    }

    /// Returns the same bytes under another shape.
    ///
    /// # Errors
    /// `invalid_request` when the number of elements differs.
    pub fn reshaped(&self, shape: Shape) -> Result<Self> {
        if shape.element_count()? != self.n_elements() {
            return Err(Error::invalid(format!(
                "a tensor of shape {} cannot be read as shape {shape}",
                self.shape
            )));
        }
        Ok(Self {
            shape,
            ..self.clone()
        })
    }
}

/// Returns the size of a zero. A string is its length and its bytes, so an empty one is four zeros.
fn zero_bytes(element_type: ElementType) -> usize {
    element_type.size_bytes().unwrap_or(size_of::<u32>())
}

fn check_size(
    element_type: ElementType,
    shape: &Shape,
    n_elements: usize,
    size: usize,
    n_bytes: usize,
) -> Result<()> {
    let Some(expected) = n_elements.checked_mul(size) else {
        return Err(Error::invalid(format!(
            "shape {shape} of {element_type}: byte size overflow"
        )));
    };
    if expected != n_bytes {
        return Err(Error::invalid(format!(
            "shape {shape} of {element_type} needs {expected} bytes, got {n_bytes}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
