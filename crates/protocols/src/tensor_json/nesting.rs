//! The shape of nested arrays, found while they are read.
//!
//! Rule: the first array that closes at a depth sets the size of that dimension, and the first
//! value (or the first empty array) sets the number of dimensions; later differences are refused
//! with both places. Nothing is known at the start; a refusal ends the reading.

use contract::{Error, Result, Shape};
use smallvec::SmallVec;

use super::JsonLimits;
use super::cursor::too_deep;

/// The requirement on the shape of the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Regularity {
    /// All arrays of one depth have the same size, and all values lie at one depth.
    Required,
    /// Only the values count.
    Ignored,
}

/// The arrays around the current position, and the known part of the shape.
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
    /// Returns the state outside of all arrays.
    pub(super) fn new(regularity: Regularity, limits: &JsonLimits) -> Self {
        Self {
            regularity,
            max_depth: limits.depth,
            open: SmallVec::new(),
            sizes: SmallVec::new(),
            rank: None,
        }
    }

    /// Returns whether no array is open.
    pub(super) fn is_outside(&self) -> bool {
        self.open.is_empty()
    }

    /// Opens an array.
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

    /// Checks that values may follow.
    pub(super) fn values(&mut self) -> Result<()> {
        let rank = *self.rank.get_or_insert(self.open.len());
        match self.is_regular() && rank != self.open.len() {
            true => Err(self.mixed("a value", "an array")),
            false => Ok(()),
        }
    }

    /// Counts `n_values` values.
    pub(super) fn advance(&mut self, n_values: usize) {
        if let Some(count) = self.open.last_mut() {
            *count += n_values;
        }
    }

    /// Closes the innermost array.
    pub(super) fn close(&mut self) -> Result<()> {
        self.rank.get_or_insert(self.open.len());
        let Some(size) = self.open.pop() else {
            return Err(Error::internal("array ended outside of all arrays"));
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

    /// Returns the shape of the values read.
    pub(super) fn shape(&self) -> Shape {
        self.sizes.iter().map(|size| size.unwrap_or(0)).collect()
    }

    /// Returns the index of the next element, such as `[1][3]`.
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
