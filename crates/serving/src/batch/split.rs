//! Splitting: returns the outputs of a batch to its requests.
//!
//! Decision: outputs are sliced, never copied, and a batch whose outputs do not have its rows is an
//! error, because a wrong split would give callers the answers of others.

use contract::{Code, Error, Result, Signature, Tensor};

/// The part of a batch that belongs to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<'a> {
    /// Its rows.
    pub(crate) n_rows: usize,
    /// The positions of the requested outputs.
    pub(crate) outputs: &'a [usize],
}

/// The outputs of a batch, with the positions that they have in the signature.
#[derive(Debug)]
pub(crate) struct BatchOutputs<'a> {
    signature: &'a Signature,
    positions: &'a [usize],
    tensors: Vec<Tensor>,
}

impl<'a> BatchOutputs<'a> {
    /// Creates the outputs that an engine returned for `positions`.
    ///
    /// # Errors
    /// `engine_failed` when it returned another number of outputs.
    pub(crate) fn new(
        signature: &'a Signature,
        positions: &'a [usize],
        tensors: Vec<Tensor>,
    ) -> Result<Self> {
        if tensors.len() != positions.len() {
            return Err(Error::new(
                Code::EngineFailed,
                format!(
                    "engine returned {} outputs, expected {}",
                    tensors.len(),
                    positions.len()
                ),
            ));
        }
        Ok(Self {
            signature,
            positions,
            tensors,
        })
    }

    /// Checks that every output has one row for each row of the batch.
    ///
    /// # Errors
    /// `engine_failed` with the name of the output.
    pub(crate) fn check_rows(&self, n_rows: usize) -> Result<()> {
        for (&position, tensor) in self.positions.iter().zip(&self.tensors) {
            if tensor.shape().dims().first() != Some(&n_rows) {
                let name = self.signature.outputs.get(position).map(|spec| &*spec.name);
                return Err(Error::new(
                    Code::EngineFailed,
                    format!(
                        "output `{}`: expected {n_rows} rows as in the batch, got shape {}; \
                         a model whose outputs do not follow its input rows needs batching off",
                        name.unwrap_or_default(),
                        tensor.shape()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Splits the outputs by request, in the order of the requests.
    ///
    /// # Errors
    /// `internal` when the shares do not fit the outputs.
    pub(crate) fn split(self, shares: &[Share<'_>]) -> Result<Vec<Vec<Tensor>>> {
        if let [share] = shares
            && share.outputs == self.positions
        {
            return Ok(vec![self.tensors]);
        }
        let mut split = Vec::with_capacity(shares.len());
        let mut start = 0;
        for share in shares {
            split.push(self.pick(share, start)?);
            start += share.n_rows;
        }
        Ok(split)
    }

    fn pick(&self, share: &Share<'_>, start: usize) -> Result<Vec<Tensor>> {
        let mut tensors = Vec::with_capacity(share.outputs.len());
        for position in share.outputs {
            let index = self.positions.iter().position(|found| found == position);
            let Some(tensor) = index.and_then(|index| self.tensors.get(index)) else {
                return Err(Error::internal(format!(
                    "output {position} was not computed"
                )));
            };
            tensors.push(tensor.slice_rows(start, share.n_rows)?);
        }
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests {
    use contract::{Dimension, ElementType, TensorSpec};

    use super::*;

    fn signature() -> Signature {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            element_type: ElementType::F32,
            dims: vec![Dimension::Dynamic],
            is_optional: false,
        };
        Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y"), spec("z")],
        }
    }

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_values([values.len()].into(), values.to_vec()).unwrap()
    }

    fn share(n_rows: usize, outputs: &[usize]) -> Share<'_> {
        Share { n_rows, outputs }
    }

    #[test]
    fn each_request_gets_its_rows_of_its_outputs_without_a_copy() {
        let signature = signature();
        let (y, z) = (tensor(&[1.0, 2.0, 3.0]), tensor(&[4.0, 5.0, 6.0]));
        let address = y.data().as_ptr().addr();
        let outputs = BatchOutputs::new(&signature, &[0, 1], vec![y, z]).unwrap();
        let split = outputs.split(&[share(1, &[1, 0]), share(2, &[0])]).unwrap();
        let expected = [
            vec![tensor(&[4.0]), tensor(&[1.0])],
            vec![tensor(&[2.0, 3.0])],
        ];
        assert_eq!(split, expected);
        assert_eq!(split[1][0].data().as_ptr().addr(), address + 4);
    }

    #[test]
    fn outputs_without_the_rows_of_the_batch_are_refused() {
        let signature = signature();
        for shape in [vec![], vec![1], vec![3, 1]] {
            let n_elements = shape.iter().product();
            let wrong =
                Tensor::from_values(shape.iter().copied().collect(), vec![0_f32; n_elements]);
            let outputs = BatchOutputs::new(&signature, &[1], vec![wrong.unwrap()]).unwrap();
            let error = outputs.check_rows(2).unwrap_err();
            assert_eq!(error.code(), Code::EngineFailed, "{shape:?}");
            assert!(
                error.message().contains("output `z`: expected 2 rows"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_engine_that_gives_too_few_outputs_has_failed() {
        let error = BatchOutputs::new(&signature(), &[0, 1], vec![tensor(&[])]).unwrap_err();
        assert_eq!(error.code(), Code::EngineFailed);
    }
}
