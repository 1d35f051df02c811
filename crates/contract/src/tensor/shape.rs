//! Shapes: the sizes of the dimensions of one concrete tensor.

use std::fmt;

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// The sizes of all dimensions; `[]` is a scalar, a size may be zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// Creates a shape from sizes.
    #[must_use]
    pub fn new(dims: &[usize]) -> Self {
        Self(SmallVec::from_slice(dims))
    }

    /// Creates a shape from the signed sizes of the wire.
    ///
    /// # Errors
    /// `invalid_request` for a negative size, or when the number of elements overflows.
    pub fn from_wire(dims: &[i64]) -> Result<Self> {
        let mut sizes = SmallVec::with_capacity(dims.len());
        for &dim in dims {
            let size = usize::try_from(dim).map_err(|_| {
                Error::invalid(format!(
                    "unable to parse `shape`: a size is 0 or more, got {dim} in {dims:?}"
                ))
            })?;
            sizes.push(size);
        }
        let shape = Self(sizes);
        shape.element_count()?;
        Ok(shape)
    }

    /// Returns the sizes.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Returns the sizes as on the wire.
    pub fn wire_dims(&self) -> impl Iterator<Item = i64> + '_ {
        self.0
            .iter()
            .map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX))
    }

    /// Returns the number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Returns the product of all sizes; 1 for a scalar.
    ///
    /// # Errors
    /// `invalid_request` when it exceeds `i64::MAX`, the limit of every protocol.
    pub fn element_count(&self) -> Result<usize> {
        if self.0.contains(&0) {
            return Ok(0);
        }
        self.0
            .iter()
            .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
            .filter(|&product| i64::try_from(product).is_ok())
            .ok_or_else(|| {
                Error::invalid(format!(
                    "the elements of shape {self} exceed maximum size 2^63-1"
                ))
            })
    }

    /// Returns the sizes after the first dimension; empty for a scalar.
    #[must_use]
    pub fn row_dims(&self) -> &[usize] {
        self.0.get(1..).unwrap_or_default()
    }

    /// Returns the number of elements of one row; `None` for a scalar, which has no rows.
    #[must_use]
    pub fn row_elements(&self) -> Option<usize> {
        let product = |dims: &[usize]| dims.iter().fold(1_usize, |n, &dim| n.saturating_mul(dim));
        (!self.0.is_empty()).then(|| product(self.row_dims()))
    }

    /// Returns this shape with another first dimension; a scalar stays a scalar.
    #[must_use]
    pub fn with_rows(&self, n_rows: usize) -> Self {
        let mut shape = self.clone();
        if let Some(first) = shape.0.first_mut() {
            *first = n_rows;
        }
        shape
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_slice())
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Self(dims.into_iter().collect())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self::new(&dims)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_from_the_wire_are_checked() {
        let table: [(&[i64], Option<usize>); 8] = [
            (&[], Some(1)),
            (&[0], Some(0)),
            (&[2, 3], Some(6)),
            (&[i64::MAX], usize::try_from(i64::MAX).ok()),
            (&[i64::MAX, 0, i64::MAX], Some(0)),
            (&[i64::MAX, 2], None),
            (&[1 << 32, 1 << 31], None),
            (&[2, -1], None),
        ];
        for (dims, expected) in table {
            let count = Shape::from_wire(dims).and_then(|shape| shape.element_count());
            assert_eq!(count.ok(), expected, "{dims:?}");
        }
    }

    #[test]
    fn a_scalar_has_no_rows() {
        let scalar = Shape::new(&[]);
        assert_eq!((scalar.rank(), scalar.row_elements()), (0, None));
        assert_eq!(scalar.with_rows(7), scalar);
        assert!(scalar.row_dims().is_empty());
    }

    proptest! {
        #[test]
        fn sizes_come_back_from_the_wire(dims in proptest::collection::vec(0..9_i64, 0..6)) {
            let shape = Shape::from_wire(&dims).unwrap();
            prop_assert_eq!(shape.wire_dims().collect::<Vec<_>>(), dims);
        }

        #[test]
        fn all_elements_are_those_of_the_rows(
            dims in proptest::collection::vec(0..9_usize, 1..6),
            n_rows in 0..9_usize,
        ) {
            let shape = Shape::new(&dims).with_rows(n_rows);
            let in_a_row = shape.row_elements().unwrap();
            prop_assert_eq!(shape.element_count().unwrap(), n_rows * in_a_row);
            prop_assert_eq!(shape.row_dims(), &dims[1..]);
            prop_assert_eq!(shape.rank(), dims.len());
        }
    }
}
