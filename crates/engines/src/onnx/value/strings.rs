//! `BYTES` tensors to and from string tensors of ONNX Runtime.
//!
//! Decision: lengths are passed, not C strings. The `ort` crate offers only strings that end with
//! NUL and are UTF-8; the runtime itself stores any bytes, so an unusual string of one request is
//! neither cut short nor makes its batch fail.

use std::ptr;

use contract::{StringBuffer, Tensor};
use ort::{Error, Result};

use super::Value;

/// Creates a string tensor of the runtime with the strings of `tensor`.
pub(super) fn to_value(tensor: &Tensor) -> Result<Value<'static>> {
    let mut value = Value::empty_strings(tensor.shape())?;
    for (index, string) in tensor.strings().enumerate() {
        set(&mut value, index, string)?;
    }
    Ok(value)
}

#[expect(unsafe_code, reason = "`ort` has no way to set a string by its length")]
fn set(value: &mut Value<'static>, index: usize, string: &[u8]) -> Result<()> {
    let resize = ort::api().GetResizedStringTensorElementBuffer;
    let mut buffer = ptr::null_mut();
    // SAFETY: `value` is a string tensor, and the call checks `index` against its shape.
    unsafe {
        Error::result_from_status(resize(
            value.pointer(),
            index,
            string.len(),
            &raw mut buffer,
        ))?;
    }
    if !string.is_empty() {
        // SAFETY: the call above made `buffer` exactly `string.len()` bytes long, and it belongs to
        // `value`, which is borrowed exclusively.
        unsafe { ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast(), string.len()) };
    }
    Ok(())
}

/// Copies the strings of a string tensor of the runtime with `n_elements` elements.
pub(super) fn from_value(value: &Value<'_>, n_elements: usize) -> Result<StringBuffer> {
    let (content, starts) = content(value, n_elements)?;
    let ends = starts.iter().skip(1).copied().chain([content.len()]);
    let mut strings = StringBuffer::default();
    for (&start, end) in starts.iter().zip(ends) {
        let string = content
            .get(start..end)
            .ok_or_else(|| Error::new("the offsets of a string tensor do not ascend"))?;
        strings
            .push(string)
            .map_err(|error| Error::new(error.message()))?;
    }
    Ok(strings)
}

/// Returns all strings one after the other, and the start of each.
#[expect(unsafe_code, reason = "`ort` reads only strings that are UTF-8")]
fn content(value: &Value<'_>, n_elements: usize) -> Result<(Vec<u8>, Vec<usize>)> {
    let api = ort::api();
    let mut n_bytes = 0;
    // SAFETY: the call checks that `value` is a string tensor and writes one number.
    unsafe {
        let status = (api.GetStringTensorDataLength)(value.pointer(), &raw mut n_bytes);
        Error::result_from_status(status)?;
    }
    let mut content = vec![0_u8; n_bytes];
    let mut starts = vec![0_usize; n_elements];
    // SAFETY: both buffers are as long as stated, and the call fails when they do not fit.
    unsafe {
        let status = (api.GetStringTensorContent)(
            value.pointer(),
            content.as_mut_ptr().cast(),
            content.len(),
            starts.as_mut_ptr(),
            starts.len(),
        );
        Error::result_from_status(status)?;
    }
    Ok((content, starts))
}
