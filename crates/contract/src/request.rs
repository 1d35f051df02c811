//! One inference request, independent of the dialect.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::tensor::Tensor;

/// The id that a request carries through logs, errors and replies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Creates an id from text that the protocol server has checked or made.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tensor under the name of an input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name of the input or output.
    pub name: String,
    /// Its value.
    pub tensor: Tensor,
}

/// The value of a request parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that does not fit `Int`.
    Uint(u64),
    /// A number.
    Double(f64),
    /// Text.
    Text(String),
}

/// Request parameters by name.
pub type Parameters = BTreeMap<String, Parameter>;

/// One inference request.
#[derive(Clone, Debug)]
pub struct InferRequest {
    /// The id of this request.
    pub id: RequestId,
    /// The inputs, in any order.
    pub inputs: Vec<NamedTensor>,
    /// The requested outputs, in this order; empty for all in the order of the model.
    pub outputs: Vec<String>,
    /// The moment after which the answer is of no use to the caller.
    pub deadline: Option<Instant>,
    /// 1 is the most urgent, larger numbers wait longer, 0 is the default of the model.
    pub priority: u32,
    /// Other parameters that the caller sent, in addition to those that the dialect understands.
    pub parameters: Parameters,
}

impl InferRequest {
    /// Creates a request for all outputs, without deadline or parameters.
    #[must_use]
    pub fn new(id: RequestId, inputs: Vec<NamedTensor>) -> Self {
        Self {
            id,
            inputs,
            outputs: Vec::new(),
            deadline: None,
            priority: 0,
            parameters: Parameters::new(),
        }
    }
}
