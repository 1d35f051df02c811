//! JSON numbers, strings and nested arrays straight into tensors, and tensors into JSON.
//!
//! Decision: a body is cut into slices first ([`envelope`]) and a tensor is read from its slice in
//! one pass into its own buffer ([`read`]), so that no tree of values is ever built. The literals
//! `NaN`, `Infinity` and `-Infinity` count as numbers, because Python writes and reads them.

mod cursor;
pub(crate) mod envelope;
mod leaf;
mod nesting;
mod number;
pub(crate) mod read;
pub(crate) mod write;

use crate::context::Limits;

/// What one JSON text may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonLimits {
    /// Arrays and objects inside each other.
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
