//! Conversion of message parameters to those of the contract.

use std::collections::BTreeMap;

use contract::{Error, Parameter, Parameters, Result};

use super::generated::inference::InferParameter;
use super::generated::inference::infer_parameter::ParameterChoice;

/// Converts the parameters of a request, an input or an output.
pub(super) fn parameters(wire: BTreeMap<String, InferParameter>) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for (name, value) in wire {
        let Some(choice) = value.parameter_choice else {
            return Err(Error::invalid(format!(
                "parameter `{name}` has no value; set one of its fields"
            )));
        };
        parameters.insert(name, parameter(choice));
    }
    Ok(parameters)
}

fn parameter(choice: ParameterChoice) -> Parameter {
    match choice {
        ParameterChoice::BoolParam(value) => Parameter::Bool(value),
        ParameterChoice::Int64Param(value) => Parameter::Int(value),
        ParameterChoice::StringParam(value) => Parameter::Text(value),
        ParameterChoice::DoubleParam(value) => Parameter::Double(value),
        ParameterChoice::Uint64Param(value) => match i64::try_from(value) {
            Ok(value) => Parameter::Int(value),
            Err(_) => Parameter::Uint(value),
        },
    }
}
