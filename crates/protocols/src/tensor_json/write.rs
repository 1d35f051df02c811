//! Encoding of tensors as JSON, nested or flat.
//!
//! Decision: a float is printed with the fewest digits that read back as the same value of its own
//! type, so a single 0.1 is `0.1`; 16-bit floats are printed as the exact value, as doubles.

use contract::{Element, ElementType, Error, Result, Tensor};
use half::{bf16, f16};

/// A typical number with its comma, to reserve room.
const BYTES_PER_NUMBER: usize = 12;

/// The spelling of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonFinite {
    /// `NaN`, `Infinity`, `-Infinity`, which is not JSON, but what Python writes and reads.
    Literal,
    /// `null`, as JavaScript writes them.
    Null,
}

impl NonFinite {
    /// Returns the style for a server that writes strict JSON, or not.
    pub(crate) fn of(is_strict_json: bool) -> Self {
        match is_strict_json {
            true => Self::Null,
            false => Self::Literal,
        }
    }
}

/// Appends the tensor as nested arrays; a scalar as its value.
///
/// # Errors
/// `invalid_request` when a string is not UTF-8: the caller has to request binary data.
pub(crate) fn write_nested(tensor: &Tensor, style: NonFinite, out: &mut Vec<u8>) -> Result<()> {
    write(tensor, tensor.shape().dims(), style, out)
}

/// Appends the tensor as one flat array.
///
/// # Errors
/// Those of [`write_nested`].
pub(crate) fn write_flat(tensor: &Tensor, style: NonFinite, out: &mut Vec<u8>) -> Result<()> {
    write(tensor, &[tensor.n_elements()], style, out)
}

fn write(tensor: &Tensor, dims: &[usize], style: NonFinite, out: &mut Vec<u8>) -> Result<()> {
    out.reserve(tensor.n_elements().saturating_mul(BYTES_PER_NUMBER));
    match tensor.element_type() {
        ElementType::Bool => write_bools(tensor, dims, out),
        ElementType::U8 => write_integers::<u8>(tensor, dims, out),
        ElementType::U16 => write_integers::<u16>(tensor, dims, out),
        ElementType::U32 => write_integers::<u32>(tensor, dims, out),
        ElementType::U64 => write_integers::<u64>(tensor, dims, out),
        ElementType::I8 => write_integers::<i8>(tensor, dims, out),
        ElementType::I16 => write_integers::<i16>(tensor, dims, out),
        ElementType::I32 => write_integers::<i32>(tensor, dims, out),
        ElementType::I64 => write_integers::<i64>(tensor, dims, out),
        ElementType::F16 => write_floats::<f16, f64>(tensor, dims, style, out),
        ElementType::BF16 => write_floats::<bf16, f64>(tensor, dims, style, out),
        ElementType::F32 => write_floats::<f32, f32>(tensor, dims, style, out),
        ElementType::F64 => write_floats::<f64, f64>(tensor, dims, style, out),
        ElementType::Bytes => write_strings(tensor, dims, out),
    }
}

fn write_bools(tensor: &Tensor, dims: &[usize], out: &mut Vec<u8>) -> Result<()> {
    let values = tensor.data().iter();
    write_arrays(values, dims, out, |&byte, out| {
        out.extend_from_slice(if byte == 0 { b"false" } else { b"true" });
        Ok(())
    })
}

fn write_integers<T>(tensor: &Tensor, dims: &[usize], out: &mut Vec<u8>) -> Result<()>
where
    T: Element + itoa::Integer,
{
    let mut digits = itoa::Buffer::new();
    write_arrays(
        values::<T>(&tensor.aligned())?.iter(),
        dims,
        out,
        |&value, out| {
            out.extend_from_slice(digits.format(value).as_bytes());
            Ok(())
        },
    )
}

fn write_floats<T, Printed>(
    tensor: &Tensor,
    dims: &[usize],
    style: NonFinite,
    out: &mut Vec<u8>,
) -> Result<()>
where
    T: Element + Into<Printed>,
    Printed: zmij::Float + Into<f64> + Copy,
{
    let mut digits = zmij::Buffer::new();
    write_arrays(
        values::<T>(&tensor.aligned())?.iter(),
        dims,
        out,
        |&value, out| {
            let printed: Printed = value.into();
            let wide: f64 = printed.into();
            let text = match wide.is_finite() {
                true => digits.format_finite(printed),
                false => non_finite(wide, style),
            };
            out.extend_from_slice(text.as_bytes());
            Ok(())
        },
    )
}

fn non_finite(value: f64, style: NonFinite) -> &'static str {
    match style {
        NonFinite::Null => "null",
        NonFinite::Literal if value.is_nan() => "NaN",
        NonFinite::Literal if value > 0.0 => "Infinity",
        NonFinite::Literal => "-Infinity",
    }
}

fn write_strings(tensor: &Tensor, dims: &[usize], out: &mut Vec<u8>) -> Result<()> {
    let mut index = 0_usize;
    write_arrays(tensor.strings(), dims, out, |bytes, out| {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Error::invalid(format!(
                "element {index} is not UTF-8 text, which JSON cannot carry; request this output \
                 as binary data of the Open Inference Protocol"
            ))
        })?;
        index += 1;
        serde_json::to_writer(out, text).map_err(|error| Error::internal(error.to_string()))
    })
}

/// Returns the elements of an aligned tensor.
fn values<T: Element>(tensor: &Tensor) -> Result<&[T]> {
    tensor
        .as_slice()
        .ok_or_else(|| Error::internal(format!("tensor is not of aligned {}", T::TYPE)))
}

/// Appends `values` in arrays of the sizes `dims`, each value by `write`.
fn write_arrays<I, W>(values: I, dims: &[usize], out: &mut Vec<u8>, mut write: W) -> Result<()>
where
    I: Iterator,
    W: FnMut(I::Item, &mut Vec<u8>) -> Result<()>,
{
    let mut values = values;
    // The contents of an empty dimension are never written.
    let n_dims = dims
        .iter()
        .position(|&dim| dim == 0)
        .map_or(dims.len(), |zero| zero + 1);
    let Some((&row, outer)) = dims.get(..n_dims).and_then(<[usize]>::split_last) else {
        return values.next().map_or(Ok(()), |value| write(value, out));
    };
    let mut counts = vec![0_usize; outer.len()];
    let mut n_opened = outer.len();
    loop {
        out.extend(std::iter::repeat_n(b'[', n_opened + 1));
        for (index, value) in values.by_ref().take(row).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(value, out)?;
        }
        n_opened = count_on(&mut counts, outer);
        out.extend(std::iter::repeat_n(b']', n_opened + 1));
        if n_opened == outer.len() {
            return Ok(());
        }
        out.push(b',');
    }
}

/// Advances the counters by one row; returns how many of the outer arrays end with it.
fn count_on(counts: &mut [usize], outer: &[usize]) -> usize {
    let mut n_ended = 0;
    for (count, &size) in counts.iter_mut().zip(outer).rev() {
        *count += 1;
        if *count < size {
            break;
        }
        *count = 0;
        n_ended += 1;
    }
    n_ended
}

#[cfg(test)]
mod tests;
