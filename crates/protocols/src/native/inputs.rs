//! Inputs of `/predict`: from raw JSON to the tensors of a model.
//!
//! Rule: an object has the inputs by name, an array of objects has records with one row of every
//! input, and any other value is the only input. A body without a key for inputs has them as its own
//! fields, which then are exactly inputs of the model; beside such a key, fields that are no inputs
//! are ignored, because callers send fields of their own. A value without its batch dimension is a
//! batch of one row, except in records, and last dimensions of size 1 may be left out, as in the
//! columns of a table.

use std::borrow::Cow;
use std::iter::repeat_n;

use contract::{Error, ModelInfo, NamedTensor, Result, Shape, Signature, TensorSpec};

use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{array_items, object_members};
use crate::tensor_json::read::read_nested;

/// The number of keys that an error lists.
const MAX_KEYS_SHOWN: usize = 8;

/// More records than a body of usual size has; columns take less.
const MAX_RECORDS: usize = 1 << 20;

/// The keys of a body that have its inputs.
const INPUT_KEYS: [&str; 4] = ["data", "input", "inputs", "instances"];

/// The keys of a body that have its options.
const OPTION_KEYS: [&str; 4] = ["model", "model_version", "outputs", "timeout_ms"];

/// The inputs of a body as raw JSON.
#[derive(Debug, Default)]
pub(super) struct RawInputs<'a> {
    /// The key of the inputs and its value.
    keyed: Option<(Cow<'a, str>, &'a [u8])>,
    /// The fields of the body that are no keys of this API.
    fields: Vec<(Cow<'a, str>, &'a [u8])>,
}

impl<'a> RawInputs<'a> {
    /// Returns the inputs of a body that is an array.
    pub(super) fn of_array(json: &'a [u8]) -> Self {
        Self {
            keyed: Some((Cow::Borrowed("data"), json)),
            fields: Vec::new(),
        }
    }

    /// Takes a member of the body that is not an option.
    pub(super) fn take(&mut self, key: Cow<'a, str>, json: &'a [u8]) -> Result<()> {
        if !INPUT_KEYS.contains(&&*key) {
            self.fields.push((key, json));
            return Ok(());
        }
        if let Some((other, _)) = &self.keyed {
            return Err(Error::invalid(format!(
                "the body has both `{other}` and `{key}`; send one of `data`, `input`, `inputs` \
                 and `instances`"
            )));
        }
        if key == "inputs" && !json.starts_with(b"{") && !is_records(json) {
            return Err(Error::invalid(
                "`inputs` must be an object of values by name, as in `{\"inputs\": {\"x\": [[1, \
                 2]]}}`, or an array of such objects with one row each; use `data` for the value \
                 of the only input, and `/v2/models/{model}/infer` for the Open Inference Protocol",
            ));
        }
        self.keyed = Some((key, json));
        Ok(())
    }

    /// Reads the inputs of the model that will answer.
    pub(super) fn read(&self, info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
        let Some((key, json)) = &self.keyed else {
            return self.read_fields(info, limits);
        };
        let mut fields = self.fields.iter();
        if let Some((name, _)) = fields.find(|(name, _)| info.signature.input(name).is_some()) {
            return Err(Error::invalid(format!(
                "input `{name}` stands beside `{key}`; send all inputs in one object, as `inputs`"
            )));
        }
        if json.starts_with(b"{") {
            let members = object_members(json, limits);
            let members = members.map_err(|error| error.in_context(format_args!("`{key}`")))?;
            return read_members(&members, info, limits);
        }
        if is_records(json) {
            return read_records(json, info, limits);
        }
        let only = std::iter::once(only_input(info).map(|spec| (spec, *json)));
        read_values(only, info.signature.has_batch_dimension(), limits)
    }

    /// Reads the fields of a body that has no key for inputs.
    fn read_fields(&self, info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
        let signature = &info.signature;
        let unknown: Vec<_> = self
            .fields
            .iter()
            .map(|(name, _)| &**name)
            .filter(|name| signature.input(name).is_none())
            .collect();
        if unknown.len() == self.fields.len() {
            return Err(no_input(&unknown));
        }
        if let Some(name) = unknown.first() {
            return Err(Error::invalid(format!(
                "field `{}` is not an input of the model, which has {}; beside `inputs`, a body \
                 may have fields of its own",
                name.escape_debug(),
                input_names(signature)
            )));
        }
        if let Some(spec) = signature.inputs.iter().find(|spec| is_key(&spec.name)) {
            return Err(Error::invalid(format!(
                "input `{}` has the name of a key of requests; send all inputs in one object, as \
                 `inputs`",
                spec.name
            )));
        }
        let inputs = read_members(&self.fields, info, limits)?;
        if signature.has_batch_dimension() {
            check_lengths(&inputs)?;
        }
        Ok(inputs)
    }
}

fn is_key(name: &str) -> bool {
    INPUT_KEYS.contains(&name) || OPTION_KEYS.contains(&name)
}

/// Returns whether a value is an array whose first item is an object.
fn is_records(json: &[u8]) -> bool {
    let items = json.trim_ascii_start().strip_prefix(b"[");
    let first = items.map(<[u8]>::trim_ascii_start);
    first.is_some_and(|first| first.starts_with(b"{"))
}

/// Refuses columns of different lengths.
fn check_lengths(inputs: &[NamedTensor]) -> Result<()> {
    let length = |input: &NamedTensor| input.tensor.shape().dims().first().copied();
    for (first, other) in inputs.iter().zip(inputs.iter().skip(1)) {
        if let (Some(expected), Some(got)) = (length(first), length(other))
            && expected != got
        {
            return Err(Error::invalid(format!(
                "input `{}` has {expected} rows, but `{}` has {got}; all columns need the same \
                 number",
                first.name, other.name
            )));
        }
    }
    Ok(())
}

/// Returns the input of a model that takes a value without a name.
pub(super) fn only_input(info: &ModelInfo) -> Result<&TensorSpec> {
    let inputs = &info.signature.inputs;
    let mut required = inputs.iter().filter(|spec| !spec.is_optional);
    let only = match (inputs.as_slice(), required.next(), required.next()) {
        ([only], _, _) | (_, Some(only), None) => Some(only),
        _ => None,
    };
    only.ok_or_else(|| {
        let example: Vec<_> = inputs
            .iter()
            .map(|spec| format!("{:?}: ...", spec.name))
            .collect();
        Error::invalid(format!(
            "model `{}` has the inputs {}; send them by name, as in `{{\"inputs\": {{{}}}}}`",
            info.model,
            input_names(&info.signature),
            example.join(", ")
        ))
    })
}

fn no_input(keys: &[&str]) -> Error {
    let mut shown: Vec<_> = keys
        .iter()
        .take(MAX_KEYS_SHOWN)
        .map(|key| format!("`{}`", key.escape_debug()))
        .collect();
    if keys.len() > MAX_KEYS_SHOWN {
        shown.push("...".to_owned());
    }
    let got = match shown.is_empty() {
        true => "none".to_owned(),
        false => shown.join(", "),
    };
    Error::invalid(format!(
        "the body has no input: expected `data` (or `input`, `instances`) with the value of the \
         only input, `inputs` with an object of values by name, or the names of the inputs as \
         keys; got {got}"
    ))
}

/// Reads values by the names of their inputs.
fn read_members<'a>(
    members: &'a [(Cow<'a, str>, &'a [u8])],
    info: &'a ModelInfo,
    limits: &JsonLimits,
) -> Result<Vec<NamedTensor>> {
    let values = members.iter().map(|(name, json)| {
        let input = info.signature.input(name);
        let (_, spec) = input.ok_or_else(|| info.signature.unknown_input(name))?;
        Ok((spec, *json))
    });
    read_values(values, info.signature.has_batch_dimension(), limits)
}

/// Reads the values of inputs, which share the limit of elements.
fn read_values<'a>(
    values: impl Iterator<Item = Result<(&'a TensorSpec, &'a [u8])>>,
    may_be_rows: bool,
    limits: &JsonLimits,
) -> Result<Vec<NamedTensor>> {
    let mut left = *limits;
    let mut inputs = Vec::with_capacity(values.size_hint().0);
    for value in values {
        let (spec, json) = value?;
        let input = read_input(spec, may_be_rows, json, &left)?;
        left.elements -= input.tensor.n_elements().min(left.elements);
        inputs.push(input);
    }
    Ok(inputs)
}

/// The values of one input in all records.
struct Column<'a> {
    spec: &'a TensorSpec,
    n_values: usize,
    /// The values as a JSON array, so that a column is read like any other tensor.
    json: Vec<u8>,
}

/// Reads records: objects of the inputs, with one row of each.
fn read_records(json: &[u8], info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
    let signature = &info.signature;
    if !signature.has_batch_dimension() {
        return Err(Error::invalid(format!(
            "model `{}` has no batch dimension and takes no array of records; send one object with \
             the whole value of every input",
            info.model
        )));
    }
    let columns = signature.inputs.iter().map(|spec| Column {
        spec,
        n_values: 0,
        json: Vec::new(),
    });
    let mut columns: Vec<_> = columns.collect();
    for (index, record) in array_items(json, limits, MAX_RECORDS)?
        .into_iter()
        .enumerate()
    {
        add_record(&mut columns, index, record, signature, limits)
            .map_err(|error| error.in_context(format_args!("record {index}")))?;
    }
    columns.retain(|column| column.n_values > 0);
    for column in &mut columns {
        column.json.push(b']');
    }
    let values = columns
        .iter()
        .map(|column| Ok((column.spec, &*column.json)));
    read_values(values, false, limits)
}

/// Adds the values of one record, which comes after `n_before` others.
fn add_record(
    columns: &mut [Column<'_>],
    n_before: usize,
    record: &[u8],
    signature: &Signature,
    limits: &JsonLimits,
) -> Result<()> {
    for (name, value) in object_members(record, limits)? {
        let Some(column) = columns.iter_mut().find(|column| column.spec.name == name) else {
            return Err(signature.unknown_input(&name));
        };
        column.json.push(match column.n_values {
            0 => b'[',
            _ => b',',
        });
        column.json.extend_from_slice(value);
        column.n_values += 1;
    }
    let is_complete = |column: &&Column<'_>| {
        column.n_values == n_before + 1 || (column.spec.is_optional && column.n_values == 0)
    };
    match columns.iter().find(|column| !is_complete(column)) {
        None => Ok(()),
        Some(Column { spec, .. }) => Err(Error::invalid(match spec.is_optional {
            true => format!("input `{}` must be in every record, or in none", spec.name),
            false => format!("input `{}` is missing; every record needs it", spec.name),
        })),
    }
}

/// Reads one input, which `may_be_row` when its batch dimension may be left out.
fn read_input(
    spec: &TensorSpec,
    may_be_row: bool,
    json: &[u8],
    limits: &JsonLimits,
) -> Result<NamedTensor> {
    let tensor = read_nested(json, spec.element_type, limits)
        .map_err(|error| error.in_context(format_args!("input `{}`", spec.name)))?;
    let tensor = match full_shape(spec, tensor.shape().dims(), may_be_row) {
        Some(shape) => tensor.reshaped(shape)?,
        None => tensor,
    };
    let name = spec.name.clone();
    Ok(NamedTensor { name, tensor })
}

/// Returns the shape of an input with the dimensions that its value leaves out: the batch dimension
/// of one row, and last ones that are always 1. `None` when there are none.
fn full_shape(spec: &TensorSpec, dims: &[usize], may_be_row: bool) -> Option<Shape> {
    let n_missing = spec.dims.len().checked_sub(dims.len());
    let n_missing = n_missing.filter(|&n_missing| n_missing > 0)?;
    let with = |n_first: usize| {
        let n_last = n_missing - n_first;
        let shape = repeat_n(1, n_first).chain(dims.iter().copied());
        let shape: Shape = shape.chain(repeat_n(1, n_last)).collect();
        let mut pairs = spec.dims.iter().zip(shape.dims());
        let mut last = spec.dims.iter().rev().take(n_last);
        let fits = pairs.all(|(dim, size)| dim.fixed().is_none_or(|fixed| fixed == *size))
            && last.all(|dim| dim.fixed().is_some());
        fits.then_some(shape)
    };
    may_be_row.then(|| with(1)).flatten().or_else(|| with(0))
}

fn input_names(signature: &Signature) -> String {
    let names: Vec<_> = signature
        .inputs
        .iter()
        .map(|spec| format!("`{}`", spec.name))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
