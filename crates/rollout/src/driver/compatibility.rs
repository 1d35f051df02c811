//! Checks that two versions have compatible signatures, before the candidate gets any traffic.
//!
//! Rule: the candidate accepts every request that stable accepts, and returns outputs of the same
//! names, element types and fixed sizes in the same order. A size that only one of them fixes is a
//! difference.

use contract::{Signature, TensorSpec};

/// Returns the first difference; `None` when the candidate is compatible. Outputs are compared only
/// when `has_same_outputs` is set.
pub(super) fn difference(
    stable: &Signature,
    candidate: &Signature,
    has_same_outputs: bool,
) -> Option<String> {
    let inputs = inputs(&stable.inputs, &candidate.inputs);
    inputs.or_else(|| match has_same_outputs {
        true => outputs(&stable.outputs, &candidate.outputs),
        false => None,
    })
}

fn inputs(stable: &[TensorSpec], candidate: &[TensorSpec]) -> Option<String> {
    let find = |specs: &[TensorSpec], name: &str| {
        let mut specs = specs.iter();
        specs.find(|spec| spec.name == name).cloned()
    };
    for spec in stable {
        let Some(new) = find(candidate, &spec.name) else {
            return Some(format!("input `{}` is missing", spec.name));
        };
        let is_accepted = new.element_type == spec.element_type && accepts_sizes(&new, spec);
        if !is_accepted || (spec.is_optional && !new.is_optional) {
            return Some(describe_change("input", spec, &new));
        }
    }
    let mut new = candidate.iter().filter(|spec| !spec.is_optional);
    new.find(|spec| find(stable, &spec.name).is_none())
        .map(|spec| format!("input `{}` is new and not optional", spec.name))
}

/// Returns whether one input accepts every size that another one accepts.
fn accepts_sizes(new: &TensorSpec, old: &TensorSpec) -> bool {
    let mut sizes = new.dims.iter().zip(&old.dims);
    let accepts = sizes.all(|(new, old)| new.fixed().is_none() || new.fixed() == old.fixed());
    let has_rank = new.dims.len() == old.dims.len() && !old.has_unknown_rank();
    new.has_unknown_rank() || accepts && has_rank
}

fn outputs(stable: &[TensorSpec], candidate: &[TensorSpec]) -> Option<String> {
    if stable.len() != candidate.len() {
        let (now, new) = (stable.len(), candidate.len());
        return Some(format!(
            "the candidate has {new} outputs, but stable has {now}"
        ));
    }
    let mut pairs = stable.iter().zip(candidate);
    let other = pairs.find(|(now, new)| {
        now.name != new.name
            || now.element_type != new.element_type
            || now.wire_shape() != new.wire_shape()
    });
    other.map(|(now, new)| describe_change("output", now, new))
}

fn describe_change(what: &str, now: &TensorSpec, new: &TensorSpec) -> String {
    let describe = |spec: &TensorSpec| {
        let (name, kind, shape) = (&spec.name, spec.element_type, spec.wire_shape());
        format!("`{name}` ({kind} {shape:?})")
    };
    format!("{what} {} became {}", describe(now), describe(new))
}

#[cfg(test)]
mod tests;
