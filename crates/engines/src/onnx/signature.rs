//! The signature and metadata of a loaded model.
//!
//! Decision: an input whose value the file also holds (an initializer that may be overridden) is an
//! optional input. Inputs and outputs that are not tensors are rejected when the model is loaded,
//! not when a request arrives.

use std::collections::{BTreeMap, HashSet};

use contract::{Code, Dimension, Error, Result, Signature, TensorSpec};
use ort::session::Session;
use ort::value::ValueType;

use super::value;

/// The version that the runtime returns for a model that states none.
const NO_VERSION: [i64; 2] = [0, i64::MAX];

/// Returns the signature of a session, with or without its optional inputs. `unranked` are the
/// inputs and outputs that the file declares without a shape, which the runtime reports as scalars.
pub(super) fn signature(
    session: &Session,
    has_optional_inputs: bool,
    unranked: &HashSet<String>,
) -> Result<Signature> {
    let with_rank = |spec: TensorSpec| match spec.dims.is_empty() && unranked.contains(&spec.name) {
        true => TensorSpec {
            dims: vec![Dimension::Rest],
            ..spec
        },
        false => spec,
    };
    let mut inputs = Vec::new();
    for outlet in session.inputs() {
        let spec = tensor_spec("input", outlet.name(), outlet.dtype(), false)?;
        inputs.push(with_rank(spec));
    }
    if has_optional_inputs {
        for outlet in session.overridable_initializers() {
            inputs.push(tensor_spec("input", outlet.name(), outlet.dtype(), true)?);
        }
    }
    let mut outputs = Vec::new();
    for outlet in session.outputs() {
        let spec = tensor_spec("output", outlet.name(), outlet.dtype(), false)?;
        outputs.push(with_rank(spec));
    }
    Ok(Signature { inputs, outputs })
}

fn tensor_spec(
    side: &str,
    name: &str,
    value_type: &ValueType,
    is_optional: bool,
) -> Result<TensorSpec> {
    let refused = |reason: String| {
        Err(Error::new(
            Code::EngineFailed,
            format!("{side} `{name}` {reason}"),
        ))
    };
    let (ty, shape, symbols) = match value_type {
        ValueType::Tensor {
            ty,
            shape,
            dimension_symbols,
        } => (ty, shape, dimension_symbols),
        ValueType::Sequence(_) | ValueType::Map { .. } => {
            return refused(format!(
                "is a {value_type}, and only tensors can be served; convert a classifier of \
                 scikit-learn with `to_onnx(model, x, options={{\"zipmap\": False}})`, one of \
                 LightGBM with `convert_lightgbm(model, initial_types=types, zipmap=False)`, and \
                 join the tensors of another sequence with the operator `ConcatFromSequence`"
            ));
        }
        ValueType::Optional(_) => {
            return refused(format!(
                "is an {value_type}, and only tensors can be served"
            ));
        }
    };
    let Some(element_type) = value::element_type(*ty) else {
        return refused(format!("has elements of type {ty}, which cannot be served"));
    };
    let dims = shape.iter().enumerate().map(|(index, &size)| {
        let symbol = symbols.get(index).map_or("", String::as_str);
        match (usize::try_from(size), symbol) {
            (Ok(size), _) => Dimension::Fixed(size),
            (Err(_), symbol) if is_placeholder(symbol) => Dimension::Dynamic,
            (Err(_), symbol) => Dimension::Symbol(symbol.to_owned()),
        }
    });
    Ok(TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.collect(),
        is_optional,
    })
}

/// Returns whether a name of a dimension only means that its size is unknown, as exporters write it
/// for each dimension anew or for all of them alike. Such a name does not make two sizes equal.
fn is_placeholder(symbol: &str) -> bool {
    // TensorFlow, Keras, Paddle, ONNX's own shape inference, and people.
    const UNKNOWN: [&str; 21] = [
        "",
        "?",
        "*",
        "none",
        "null",
        "nan",
        "n/a",
        "any",
        "unk",
        "unknown",
        "unknown_dim",
        "unspecified",
        "undefined",
        "variable",
        "dyn",
        "dynamic",
        "dynamic_dim",
        "dynamic_axes",
        "dynamicdimension",
        "dim",
        "dim_param",
    ];
    // PyTorch names an axis after its tensor, ONNX Runtime after its node: all followed by a number.
    const UNNAMED_AXIS: [&str; 3] = ["_dynamic_axes", "output_dim", "_o0__d"];
    let symbol = symbol.trim().to_ascii_lowercase();
    let stem = symbol.trim_end_matches(|end: char| end.is_ascii_digit());
    let is_numbered = stem.len() < symbol.len();
    let stem = stem.trim_end_matches(['_', '.', '-', ':', ' ']);
    let is_size = symbol.parse::<usize>().is_ok();
    (UNKNOWN.contains(&stem) && !is_size)
        || is_numbered && UNNAMED_AXIS.iter().any(|axis| stem.ends_with(axis))
}

/// Returns whether any dimension but the first of a tensor differs from run to run.
pub(super) fn varies_beyond_rows(signature: &Signature) -> bool {
    signature.inputs.iter().any(|spec| {
        let mut rest = spec.dims.iter().skip(1);
        spec.has_unknown_rank() || rest.any(|dim| dim.fixed().is_none())
    })
}

/// Returns the metadata of the file: its own keys unchanged, the fields of the format under
/// `onnx.`.
pub(super) fn metadata(session: &Session) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            metadata.insert(key.to_owned(), value);
        }
    };
    if let Ok(found) = session.metadata() {
        for key in found.custom_keys().unwrap_or_default() {
            put(&key, found.custom(&key));
        }
        put("onnx.producer", found.producer());
        put("onnx.graph", found.name());
        put("onnx.domain", found.domain());
        put("onnx.description", found.description());
        let version = found
            .version()
            .filter(|version| !NO_VERSION.contains(version));
        put(
            "onnx.model_version",
            version.map(|version| version.to_string()),
        );
    }
    let opset = session.opset_for_domain("");
    put("onnx.opset", opset.map(|opset| opset.to_string()));
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_say_unknown_bind_nothing() {
        let placeholders = [
            "",
            " ",
            "?",
            "?_3",
            "*",
            "-1",
            "None",
            "none",
            "None_2",
            "NaN",
            "dynamic",
            "Dynamic_0",
            "Unknown",
            "unk",
            "unk__13",
            "unk__0",
            "unknown_2",
            "DynamicDimension.0",
            "input_dynamic_axes_1",
            "dynamic_axes_2",
            "dyn3",
            "dim_0",
            "Softmaxoutput_dim_0",
            "Slice_10_o0__d1",
        ];
        let wrong: Vec<_> = placeholders
            .iter()
            .filter(|name| !is_placeholder(name))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let names = [
            "batch",
            "N",
            "n",
            "batch_size",
            "sequence",
            "s0",
            "d1",
            "dynamo",
            "unk__13x",
            "time_2",
            "input_dim",
            "embedding_dim_1",
            "anything",
            "12",
        ];
        let wrong: Vec<_> = names.iter().filter(|name| is_placeholder(name)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
