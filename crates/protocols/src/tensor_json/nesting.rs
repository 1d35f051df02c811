//! The shape of nested arrays, found while they are read.
//!
//! Rule: the first array that closes at a depth sets the size of that dimension, and the first
//! value (or the first empty array) sets the number of dimensions; whatever differs later is
//! refused with both places. Nothing is known at the start; a refusal ends the reading.

use contract::{Error, Result, Shape};
use smallvec::SmallVec;

use super::JsonLimits;
use super::cursor::too_deep;

/// Whether the arrays must have a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Regularity {
    /// All arrays of one depth have the same size, and all values lie at one depth.
    Required,
    /// Only the values count.
    Ignored,
}

/// The arrays around the present place, and what is known about the shape.
#[derive(Debug)]
pub(super) struct Nesting {
    regularity: Regularity,
    max_depth: usize,
    /// The number of finished elements of every open array, outermost first.
    open: SmallVec<[usize; 8]>,
    /// The sizes of the dimensions that have been closed once.
    sizes: SmallVec<[Option<usize>; 8]>,
    /// The number of dimensions.
    rank: Option<usize>,
}

impl Nesting {
    /// Outside of all arrays.
    pub(super) fn new(regularity: Regularity, limits: &JsonLimits) -> Self {
        Self {
            regularity,
            max_depth: limits.depth,
            open: SmallVec::new(),
            sizes: SmallVec::new(),
            rank: None,
        }
    }

    /// Whether no array is open.
    pub(super) fn is_outside(&self) -> bool {
        self.open.is_empty()
    }

    /// An array begins.
    pub(super) fn open(&mut self, limits: &JsonLimits) -> Result<()> {
        if self.open.len() >= self.max_depth {
            return Err(too_deep(limits));
        }
        if self.is_regular() && self.rank.is_some_and(|rank| rank <= self.open.len()) {
            return Err(self.mixed("an array", "a value"));
        }
        self.open.push(0);
        if self.sizes.len() < self.open.len() {
            self.sizes.push(None);
        }
        Ok(())
    }

    /// Values follow.
    pub(super) fn values(&mut self) -> Result<()> {
        let rank = *self.rank.get_or_insert(self.open.len());
        match self.is_regular() && rank != self.open.len() {
            true => Err(self.mixed("a value", "an array")),
            false => Ok(()),
        }
    }

    /// `n_values` values have been read.
    pub(super) fn advance(&mut self, n_values: usize) {
        if let Some(count) = self.open.last_mut() {
            *count += n_values;
        }
    }

    /// The innermost array ends.
    pub(super) fn close(&mut self) -> Result<()> {
        self.rank.get_or_insert(self.open.len());
        let Some(size) = self.open.pop() else {
            return Err(Error::internal("an array ended outside of all arrays"));
        };
        if let Some(known) = self.sizes.get_mut(self.open.len()) {
            let known = *known.get_or_insert(size);
            if self.is_regular() && known != size {
                return Err(self.ragged(size, known));
            }
        }
        self.advance(1);
        Ok(())
    }

    /// The shape of what has been read.
    pub(super) fn shape(&self) -> Shape {
        self.sizes.iter().map(|size| size.unwrap_or(0)).collect()
    }

    /// Where the next element lies, as `[1][3]`.
    pub(super) fn index_path(&self) -> String {
        self.open.iter().map(|index| format!("[{index}]")).collect()
    }

    fn is_regular(&self) -> bool {
        self.regularity == Regularity::Required
    }

    fn first_index_path(&self) -> String {
        "[0]".repeat(self.open.len())
    }

    fn mixed(&self, here: &str, before: &str) -> Error {
        Error::invalid(format!(
            "ragged array: {} is {here}, {} is {before}",
            self.index_path(),
            self.first_index_path()
        ))
    }

    fn ragged(&self, size: usize, known: usize) -> Error {
        Error::invalid(format!(
            "ragged array: {} has {size} elements, {} has {known}",
            self.index_path(),
            self.first_index_path()
        ))
    }
}
