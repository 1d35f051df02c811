//! The target of a message, read before it is decoded.
//!
//! Decision: only the fields at the top level are read, and there are few, since a tensor is one of
//! them. As in the decoder the last of several counts, and malformed messages are left to it. A
//! parameter that may be the priority is not read, but leaves the priority open.

use contract::{ModelName, Result, Target, VersionSelector};

use super::codec::next_field;
use crate::context::Context;
use crate::open_inference::inference::CallInfo;
use crate::rest::EarlyAdmission;

/// The numbers of fields of `ModelInferRequest`.
const MODEL_NAME: u32 = 1;
const MODEL_VERSION: u32 = 2;
const PARAMETERS: u32 = 4;
/// The number of the key in an entry of a map.
const ENTRY_KEY: u32 = 1;
/// The parameter with the priority.
const PRIORITY: &[u8] = b"priority";

/// Refuses a request early that would also be refused after `message` was decoded.
pub(super) fn refuse_early(ctx: &Context, call_info: &CallInfo, message: &[u8]) -> Result<()> {
    let early_admission = |deadline| Some((early_admission(message)?, deadline));
    match call_info.deadline.and_then(early_admission) {
        Some((early_admission, deadline)) => early_admission.refuse(ctx, deadline),
        None => Ok(()),
    }
}

/// Reads the certain parts of a message; `None` when it is malformed or names no model.
fn early_admission(mut message: &[u8]) -> Option<EarlyAdmission> {
    let (mut name, mut version) = (&b""[..], &b""[..]);
    let mut priority = Some(0);
    while !message.is_empty() {
        match next_field(&mut message)? {
            (MODEL_NAME, value) => name = value?,
            (MODEL_VERSION, value) => version = value?,
            (PARAMETERS, value) if may_be_priority(value?) => priority = None,
            _ => {}
        }
    }
    let text = |bytes| str::from_utf8(bytes).ok();
    let (name, version) = target(text(name)?, text(version)?).ok()?;
    let target = Target {
        model: Some(name),
        version,
    };
    Some(EarlyAdmission { target, priority })
}

/// Parses a model name and a version.
pub(super) fn target(name: &str, version: &str) -> Result<(ModelName, VersionSelector)> {
    Ok((ModelName::new(name)?, VersionSelector::parse(Some(version))))
}

fn may_be_priority(mut entry: &[u8]) -> bool {
    while !entry.is_empty() {
        match next_field(&mut entry) {
            Some((ENTRY_KEY, Some(key))) if key != PRIORITY => {}
            Some((ENTRY_KEY, _)) | None => return true,
            Some(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::open_inference::grpc::generated::inference::infer_parameter::ParameterChoice;
    use crate::open_inference::grpc::generated::inference::{InferParameter, ModelInferRequest};

    /// A message for version 2 of `m` with these parameters.
    fn message(parameters: &[&str]) -> Vec<u8> {
        let value = InferParameter {
            parameter_choice: Some(ParameterChoice::Int64Param(1)),
        };
        let request = ModelInferRequest {
            model_name: "m".to_owned(),
            model_version: "2".to_owned(),
            parameters: parameters
                .iter()
                .map(|key| ((*key).to_owned(), value.clone()))
                .collect(),
            raw_input_contents: vec![vec![7; 300].into()],
            ..ModelInferRequest::default()
        };
        request.encode_to_vec()
    }

    fn expected(version: &str, priority: Option<u32>) -> EarlyAdmission {
        EarlyAdmission {
            target: Target {
                model: Some(ModelName::new("m").unwrap()),
                version: VersionSelector::parse(Some(version)),
            },
            priority,
        }
    }

    #[test]
    fn the_model_version_and_possible_priority_of_a_message_are_read() {
        let version_3 = [0x12, 1, b'3'];
        let cases = [
            (message(&[]), Some(expected("2", Some(0)))),
            (message(&["a", "timeout"]), Some(expected("2", Some(0)))),
            (message(&["a", "priority"]), Some(expected("2", None))),
            (vec![0x0a, 1, b'm'], Some(expected("", Some(0)))),
            (
                [&message(&[]), &version_3[..]].concat(),
                Some(expected("3", Some(0))),
            ),
            // An entry that cannot be read, and one with a key before the last.
            (
                [&message(&[]), &[0x22, 1, 0xff][..]].concat(),
                Some(expected("2", None)),
            ),
            (message(&[])[..300].to_vec(), None),
            (vec![0x08, 1], None),
            (vec![0x0a, 1, 0xff], None),
            (Vec::new(), None),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(message, expected)| early_admission(message) != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
