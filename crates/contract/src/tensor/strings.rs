//! The layout of `BYTES` tensors: each element behind its length as a little-endian `u32`.

use bytes::Bytes;

use crate::error::{Error, Result};

const LENGTH_BYTES: usize = size_of::<u32>();

/// The elements of a `BYTES` tensor, in order.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    rest: &'a [u8],
}

impl<'a> Strings<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (element, rest) = split_first(self.rest)?;
        self.rest = rest;
        Some(element)
    }
}

/// Builds the bytes of a `BYTES` tensor, one element after the other.
#[derive(Debug, Default)]
pub struct StringBuffer {
    data: Vec<u8>,
    n_elements: usize,
}

impl StringBuffer {
    /// Appends one element.
    ///
    /// # Errors
    /// `invalid_request` when the element has 4 GiB or more, which its length field cannot express.
    pub fn push(&mut self, element: &[u8]) -> Result<()> {
        let length = u32::try_from(element.len())
            .map_err(|_| Error::invalid("an element of a `BYTES` tensor must be below 4 GiB"))?;
        self.data.extend_from_slice(&length.to_le_bytes());
        self.data.extend_from_slice(element);
        self.n_elements += 1;
        Ok(())
    }

    /// Returns the number of elements so far.
    #[must_use]
    pub fn n_elements(&self) -> usize {
        self.n_elements
    }

    /// Returns the bytes of the tensor.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.data.into()
    }
}

fn split_first(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// Checks that `data` holds exactly `n_elements` elements.
pub(super) fn check(data: &[u8], n_elements: usize) -> Result<()> {
    let mut rest = data;
    for index in 0..n_elements {
        let Some((_, after)) = split_first(rest) else {
            return Err(Error::invalid(format!(
                "a `BYTES` tensor of {n_elements} elements ends inside element {index}: each \
                 element is its length as a little-endian u32 followed by that many bytes"
            )));
        };
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Error::invalid(format!(
            "a `BYTES` tensor of {n_elements} elements has {} bytes left over",
            rest.len()
        )));
    }
    Ok(())
}

/// Returns the offset of element `index`; the end of `data` when there are fewer elements.
pub(super) fn offset_of(data: &[u8], index: usize) -> usize {
    let mut rest = data;
    for _ in 0..index {
        match split_first(rest) {
            Some((_, after)) => rest = after,
            None => return data.len(),
        }
    }
    data.len() - rest.len()
}
