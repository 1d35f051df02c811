//! JSON numbers, strings and nested arrays to tensors without a tree of values, and tensors to
//! JSON.
//!
//! Decision: a body is first split into slices ([`envelope`]) and a tensor is read from its slice
//! in one pass into its own buffer ([`read`]). The literals `NaN`, `Infinity` and `-Infinity` count
//! as numbers, because Python writes and reads them.

mod cursor;
pub(crate) mod envelope;
mod leaf;
mod nesting;
mod number;
pub(crate) mod read;
pub(crate) mod write;

use crate::context::Limits;

/// The limits of one JSON text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonLimits {
    /// Nesting of arrays and objects.
    pub(crate) depth: usize,
    /// Elements of one tensor.
    pub(crate) elements: usize,
}

impl From<&Limits> for JsonLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            depth: limits.json_depth,
            elements: limits.elements,
        }
    }
}
