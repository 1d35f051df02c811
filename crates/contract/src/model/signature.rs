//! Signatures: the inputs and outputs of a model, and the check of a request against them.
//!
//! Decision: a request is checked here, before it is admitted, so that it can never spoil a batch.

use std::collections::HashMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::request::NamedTensor;
use crate::tensor::{ElementType, Shape, Tensor};

/// One dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Always this size.
    Fixed(usize),
    /// Any size.
    Dynamic,
    /// Any size, the same for every dimension with this symbol.
    Symbol(String),
    /// Any number of dimensions of any size: the only one of a tensor of unknown rank.
    Rest,
}

impl Dimension {
    /// Returns the size when it is fixed.
    #[must_use]
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Dynamic | Self::Symbol(_) | Self::Rest => None,
        }
    }
}

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the model.
    pub name: String,
    /// The type of its elements.
    pub element_type: ElementType,
    /// Its dimensions, the batch dimension included.
    pub dims: Vec<Dimension>,
    /// True when a request may leave it out.
    pub is_optional: bool,
}

impl TensorSpec {
    /// Returns the shape on the wire: -1 for every dimension that is not fixed.
    #[must_use]
    pub fn wire_shape(&self) -> Vec<i64> {
        let size = |dim: &Dimension| dim.fixed().and_then(|size| i64::try_from(size).ok());
        self.dims
            .iter()
            .map(|dim| size(dim).unwrap_or(-1))
            .collect()
    }

    /// Returns whether the number of its dimensions is unknown.
    #[must_use]
    pub fn has_unknown_rank(&self) -> bool {
        self.dims == [Dimension::Rest]
    }

    fn accepts(&self, shape: &Shape) -> bool {
        let fits =
            |(dim, &size): (&Dimension, &usize)| dim.fixed().is_none_or(|fixed| fixed == size);
        self.has_unknown_rank()
            || shape.rank() == self.dims.len() && self.dims.iter().zip(shape.dims()).all(fits)
    }
}

/// Displays the shape as on the wire.
struct WireShape<'a>(&'a TensorSpec);

impl fmt::Display for WireShape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.wire_shape())
    }
}

/// The inputs and outputs of a model, in its own order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Signature {
    /// The inputs.
    pub inputs: Vec<TensorSpec>,
    /// The outputs.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// Returns whether the first dimension of every input and output looks like one batch
    /// dimension. Shapes cannot prove that rows are independent of each other; dynamic batching
    /// tries it.
    ///
    /// Symbols must agree: two first dimensions with two symbols are no batch dimension. No other
    /// dimension may have the symbol, as in a matrix of similarities between all rows, whose
    /// columns would mix the requests of a batch.
    #[must_use]
    pub fn has_batch_dimension(&self) -> bool {
        let mut symbol: Option<&str> = None;
        let mut specs = self.inputs.iter().chain(&self.outputs);
        let starts_alike = specs.all(|spec| match spec.dims.first() {
            None | Some(Dimension::Fixed(_) | Dimension::Rest) => false,
            Some(Dimension::Dynamic) => true,
            Some(Dimension::Symbol(name)) => *symbol.get_or_insert(name) == name,
        });
        let stands_elsewhere = |spec: &TensorSpec| {
            let mut rest = spec.dims.iter().skip(1);
            rest.any(|dim| matches!(dim, Dimension::Symbol(name) if Some(&**name) == symbol))
        };
        let mut specs = self.inputs.iter().chain(&self.outputs);
        !self.inputs.is_empty() && starts_alike && !specs.any(stands_elsewhere)
    }

    /// Returns whether the first dimension of every input and output may have any size, whatever
    /// its name, so that rows can be joined where the settings say that they are independent.
    #[must_use]
    pub fn starts_dynamically(&self) -> bool {
        let mut specs = self.inputs.iter().chain(&self.outputs);
        let is_dynamic = |spec: &TensorSpec| {
            let first = spec.dims.first();
            !spec.has_unknown_rank() && first.is_some_and(|dim| dim.fixed().is_none())
        };
        !self.inputs.is_empty() && specs.all(is_dynamic)
    }

    /// Returns the input of that name and its position.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<(usize, &TensorSpec)> {
        self.inputs
            .iter()
            .enumerate()
            .find(|(_, spec)| spec.name == name)
    }

    /// Returns the output of that name and its position.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<(usize, &TensorSpec)> {
        self.outputs
            .iter()
            .enumerate()
            .find(|(_, spec)| spec.name == name)
    }

    /// Puts the inputs of a request into the order of the signature, `None` where an optional input
    /// is left out, and checks names, element types and shapes.
    ///
    /// # Errors
    /// `invalid_request` with the input and what would be right.
    pub fn bind_inputs(&self, inputs: Vec<NamedTensor>) -> Result<Vec<Option<Tensor>>> {
        let mut bound: Vec<Option<Tensor>> = vec![None; self.inputs.len()];
        for input in inputs {
            let Some((index, spec)) = self.input(&input.name) else {
                return Err(self.unknown_input(&input.name));
            };
            let tensor = scalar_from_one(spec, input.tensor)?;
            check_tensor(spec, &tensor)?;
            let slot = bound.get_mut(index);
            if slot.and_then(|slot| slot.replace(tensor)).is_some() {
                return Err(Error::invalid(format!(
                    "input `{}` already exists in request; send it once",
                    input.name
                )));
            }
        }
        self.check_complete(&bound)?;
        self.check_symbols(&bound)?;
        Ok(bound)
    }

    /// Returns the positions of the requested outputs, all of them when none is named.
    ///
    /// # Errors
    /// `invalid_request` when an output is unknown or named twice.
    pub fn bind_outputs<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok((0..self.outputs.len()).collect());
        }
        let mut bound = Vec::with_capacity(names.len());
        for name in names.iter().map(AsRef::as_ref) {
            let Some((index, _)) = self.output(name) else {
                return Err(Error::invalid(format!(
                    "unexpected inference output `{name}`; the model has {}",
                    name_list(&self.outputs)
                )));
            };
            if bound.contains(&index) {
                return Err(Error::invalid(format!(
                    "output `{name}` already exists in request; ask for it once"
                )));
            }
            bound.push(index);
        }
        Ok(bound)
    }

    /// Returns the error of a request with an input that the model does not have.
    #[must_use]
    pub fn unknown_input(&self, name: &str) -> Error {
        Error::invalid(format!(
            "unexpected inference input `{}`; the model has {}",
            name.escape_debug(),
            name_list(&self.inputs)
        ))
    }

    fn check_complete(&self, bound: &[Option<Tensor>]) -> Result<()> {
        let mut missing = self.inputs.iter().zip(bound);
        let missing = missing.find(|(spec, slot)| slot.is_none() && !spec.is_optional);
        let Some((spec, _)) = missing else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "expected {} inputs but got {} inputs: input `{}` is missing; expected {} of shape {}",
            self.inputs.len(),
            bound.iter().flatten().count(),
            spec.name,
            spec.element_type,
            WireShape(spec)
        )))
    }

    fn check_symbols(&self, bound: &[Option<Tensor>]) -> Result<()> {
        let mut sizes: HashMap<&str, (usize, &str)> = HashMap::new();
        for (spec, tensor) in self.inputs.iter().zip(bound) {
            let Some(tensor) = tensor else { continue };
            for (dim, &size) in spec.dims.iter().zip(tensor.shape().dims()) {
                let Dimension::Symbol(symbol) = dim else {
                    continue;
                };
                let &mut (known, first) = sizes.entry(symbol).or_insert((size, &spec.name));
                if known != size {
                    return Err(Error::invalid(format!(
                        "input `{}`: dimension `{symbol}` is {size}, but {known} in input \
                         `{first}`; both must agree",
                        spec.name
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Takes a list of one element for a scalar: the protocol of Triton has no scalars, so its clients
/// send these.
fn scalar_from_one(spec: &TensorSpec, tensor: Tensor) -> Result<Tensor> {
    match spec.dims.is_empty() && tensor.shape().dims() == [1] {
        true => tensor.reshaped([].into()),
        false => Ok(tensor),
    }
}

fn check_tensor(spec: &TensorSpec, tensor: &Tensor) -> Result<()> {
    if tensor.element_type() != spec.element_type {
        return Err(Error::invalid(format!(
            "inference input `{}` data-type is {}, but the model expects {}",
            spec.name,
            tensor.element_type(),
            spec.element_type
        )));
    }
    if !spec.accepts(tensor.shape()) {
        return Err(Error::invalid(format!(
            "unexpected shape for input `{}`: expected shape {}, got {}",
            spec.name,
            WireShape(spec),
            tensor.shape()
        )));
    }
    Ok(())
}

fn name_list(specs: &[TensorSpec]) -> String {
    let names: Vec<_> = specs
        .iter()
        .map(|spec| format!("`{}`", spec.name))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
