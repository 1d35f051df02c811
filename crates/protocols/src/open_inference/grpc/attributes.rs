//! The attributes of a gRPC call for assignment: its metadata are its headers, and the parameters
//! of a message take the place of the body keys.

use std::borrow::Cow;
use std::collections::BTreeMap;

use contract::AssignmentAttributes;
use http::HeaderMap;

use super::generated::inference::InferParameter;
use super::generated::inference::infer_parameter::ParameterChoice;
use crate::attributes::{cookie, header};

/// The attributes of a gRPC request.
#[derive(Debug)]
pub(super) struct GrpcAttributes<'a> {
    /// The metadata.
    pub(super) metadata: &'a HeaderMap,
    /// The parameters of the message.
    pub(super) parameters: &'a BTreeMap<String, InferParameter>,
}

impl AssignmentAttributes for GrpcAttributes<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        header(self.metadata, name)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        cookie(self.metadata, name)
    }

    fn field(&self, path: &str) -> Option<Cow<'_, str>> {
        match self.parameters.get(path)?.parameter_choice.as_ref()? {
            ParameterChoice::StringParam(text) => Some(Cow::Borrowed(text)),
            ParameterChoice::Int64Param(number) => Some(Cow::Owned(number.to_string())),
            ParameterChoice::Uint64Param(number) => Some(Cow::Owned(number.to_string())),
            ParameterChoice::BoolParam(_) | ParameterChoice::DoubleParam(_) => None,
        }
    }
}
