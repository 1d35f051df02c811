//! The file `model.echo`: a signature in the names of the wire format.
//!
//! Decision: a separate file format, because the types of the contract are not a file format.

use std::path::Path;

use contract::{Code, Dimension, ElementType, Error, Result, Signature, TensorSpec};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inputs: Vec<Entry>,
    #[serde(default)]
    outputs: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    datatype: String,
    /// -1 is a dynamic dimension.
    shape: Vec<i64>,
    #[serde(default)]
    optional: bool,
}

/// Reads the signature in the file at `path`.
pub(super) fn read(path: &Path) -> Result<Signature> {
    let refused = |reason: &dyn std::fmt::Display| {
        let text = format!("cannot read the model file `{}`: {reason}", path.display());
        Error::new(Code::EngineFailed, text)
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(&error))?;
    let file: File = serde_json::from_str(&text).map_err(|error| refused(&error))?;
    signature(&file).map_err(|reason| refused(&reason))
}

fn signature(file: &File) -> Result<Signature, String> {
    let specs =
        |entries: &[Entry]| -> Result<Vec<_>, String> { entries.iter().map(tensor_spec).collect() };
    let inputs = specs(&file.inputs)?;
    let outputs = match file.outputs.is_empty() {
        true => inputs.iter().map(mirror).collect(),
        false => specs(&file.outputs)?,
    };
    Ok(Signature { inputs, outputs })
}

fn mirror(input: &TensorSpec) -> TensorSpec {
    TensorSpec {
        is_optional: false,
        ..input.clone()
    }
}

fn tensor_spec(entry: &Entry) -> Result<TensorSpec, String> {
    let element_type = ElementType::from_name(&entry.datatype).ok_or_else(|| {
        let names = ElementType::ALL.map(ElementType::name).join("`, `");
        format!(
            "`{}`: unknown datatype `{}`; known are `{names}`",
            entry.name, entry.datatype
        )
    })?;
    let mut dims = Vec::with_capacity(entry.shape.len());
    for &size in &entry.shape {
        dims.push(match usize::try_from(size) {
            Ok(size) => Dimension::Fixed(size),
            Err(_) if size == -1 => Dimension::Dynamic,
            Err(_) => {
                return Err(format!(
                    "`{}`: a size is -1 or more, got {size}",
                    entry.name
                ));
            }
        });
    }
    Ok(TensorSpec {
        name: entry.name.clone(),
        element_type,
        dims,
        is_optional: entry.optional,
    })
}
