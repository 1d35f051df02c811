//! The parameters to which the protocol gives a meaning, separated from the others.
//!
//! Decision: a reserved name with a value of the wrong type is refused and never ignored; a name
//! that is not reserved stays in [`RequestParameters::others`] and goes to the model.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use contract::{Code, Error, Parameter, Parameters, Result};

/// The parameters of a request, sorted by their consumer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RequestParameters {
    /// The time limit of the whole request.
    pub(crate) timeout: Option<Duration>,
    /// 1 is the most urgent, 0 is the default of the model.
    pub(crate) priority: u32,
    /// Is true when outputs are binary by default; on gRPC, when the reply is raw.
    pub(crate) binary_data_output: Option<bool>,
    /// Parameters unknown to the protocol.
    pub(crate) others: Parameters,
}

impl RequestParameters {
    /// Sorts the parameters of a request. The gRPC transport removes those that only it allows
    /// before.
    pub(crate) fn new(mut others: Parameters) -> Result<Self> {
        let timeout = others.remove("timeout").as_ref().map(timeout).transpose()?;
        let priority = others
            .remove("priority")
            .as_ref()
            .map(priority)
            .transpose()?;
        let binary = take_bool(&mut others, "binary_data_output")?;
        drop_sequence(&mut others)?;
        if let Some(name) = others.keys().find(|name| is_reserved(name)) {
            return Err(Error::invalid(format!(
                "parameter `{name}` is reserved; choose a name other than `headers` that does \
                 not start with `triton_`"
            )));
        }
        Ok(Self {
            timeout: timeout.flatten(),
            priority: priority.unwrap_or_default(),
            binary_data_output: binary,
            others,
        })
    }

    /// Returns the earlier one of `deadline`, from the transport, and the end of the time limit.
    pub(crate) fn deadline(&self, received: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let own = self
            .timeout
            .and_then(|timeout| received.checked_add(timeout));
        match (own, deadline) {
            (Some(own), Some(outer)) => Some(own.min(outer)),
            (own, outer) => own.or(outer),
        }
    }
}

/// The parameters of one requested output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputParameters {
    /// The number of best classes to return instead of the scores.
    pub(crate) classification: Option<NonZeroUsize>,
    /// Is true when the output is binary.
    pub(crate) binary_data: Option<bool>,
}

impl OutputParameters {
    /// Reads the parameters of the requested output `output`; unknown ones have no meaning.
    pub(crate) fn new(output: &str, mut parameters: Parameters) -> Result<Self> {
        read_output(&mut parameters)
            .map_err(|error| error.in_context(format_args!("output `{output}`")))
    }
}

fn read_output(parameters: &mut Parameters) -> Result<OutputParameters> {
    refuse_shared_memory(parameters)?;
    let classification = parameters.remove("classification");
    Ok(OutputParameters {
        classification: classification
            .as_ref()
            .map(classification_count)
            .transpose()?,
        binary_data: take_bool(parameters, "binary_data")?,
    })
}

/// Refuses tensors in the memory of the host.
pub(crate) fn refuse_shared_memory(parameters: &Parameters) -> Result<()> {
    match parameters.contains_key("shared_memory_region") {
        true => Err(shared_memory()),
        false => Ok(()),
    }
}

/// Returns the refusal for everything about shared memory.
pub(crate) fn shared_memory() -> Error {
    Error::new(
        Code::Unsupported,
        "shared memory is not supported; send the tensor as `data` or as binary data",
    )
}

/// Parses a number of bytes such as `binary_data_size`.
pub(crate) fn size(name: &str, value: &Parameter) -> Result<usize> {
    whole(value).ok_or_else(|| wrong(name, "a number of bytes", value))
}

/// Parses a time-out; `None` for 0, by which clients say that they have none.
fn timeout(value: &Parameter) -> Result<Option<Duration>> {
    let micros = whole(value);
    let micros = micros.ok_or_else(|| wrong("timeout", "an integer of microseconds", value))?;
    Ok((micros > 0).then_some(Duration::from_micros(micros)))
}

fn priority(value: &Parameter) -> Result<u32> {
    whole(value).ok_or_else(|| wrong("priority", "an integer from 0 to 4294967295", value))
}

fn classification_count(value: &Parameter) -> Result<NonZeroUsize> {
    let count = whole(value).and_then(NonZeroUsize::new);
    count.ok_or_else(|| wrong("classification", "a number of classes, 1 or more", value))
}

/// Returns a whole number that `T` holds.
fn whole<T: TryFrom<i64> + TryFrom<u64>>(value: &Parameter) -> Option<T> {
    match value {
        Parameter::Int(value) => T::try_from(*value).ok(),
        Parameter::Uint(value) => T::try_from(*value).ok(),
        Parameter::Bool(_) | Parameter::Double(_) | Parameter::Text(_) => None,
    }
}

fn take_bool(parameters: &mut Parameters, name: &str) -> Result<Option<bool>> {
    match parameters.remove(name) {
        None => Ok(None),
        Some(Parameter::Bool(value)) => Ok(Some(value)),
        Some(
            value @ (Parameter::Int(_)
            | Parameter::Uint(_)
            | Parameter::Double(_)
            | Parameter::Text(_)),
        ) => Err(wrong(name, "`true` or `false`", &value)),
    }
}

/// Checks and removes sequence parameters; no model here keeps state between requests, so they have
/// no effect.
fn drop_sequence(parameters: &mut Parameters) -> Result<()> {
    take_bool(parameters, "sequence_start")?;
    take_bool(parameters, "sequence_end")?;
    let Some(id) = parameters.remove("sequence_id") else {
        return Ok(());
    };
    let is_id = match id {
        Parameter::Int(value) => value >= 0,
        Parameter::Uint(_) | Parameter::Text(_) => true,
        Parameter::Bool(_) | Parameter::Double(_) => false,
    };
    match is_id {
        true => Ok(()),
        false => Err(wrong("sequence_id", "an integer, 0 or more, or text", &id)),
    }
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("triton_") || name == "headers"
}

fn wrong(name: &str, expected: &str, got: &Parameter) -> Error {
    let got = match got {
        Parameter::Bool(value) => value.to_string(),
        Parameter::Int(value) => value.to_string(),
        Parameter::Uint(value) => value.to_string(),
        Parameter::Double(value) => format!("the number {value}"),
        Parameter::Text(value) => format!("the text {value:?}"),
    };
    Error::invalid(format!(
        "parameter `{name}`: expected {expected}, got {got}"
    ))
}

#[cfg(test)]
mod tests;
