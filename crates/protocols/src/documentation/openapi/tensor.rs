//! Inputs and outputs of models as schemas and as examples.
//!
//! Rule of examples: zeros or empty texts, with one in place of a size that is not fixed. Above
//! `EXAMPLE_ELEMENTS` a text describes the tensor, because a page that shows a whole photograph in
//! numbers is of no use and stops browsers.

use contract::{Dimension, ElementType, TensorSpec};
use serde_json::{Value, json};
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};

use super::schema::{AnySchema, any_of, component, count, object, optional, required, text_enum};

/// Enough for an example with a picture of 64 by 64 pixels, whose rows are a line each on the page.
const EXAMPLE_ELEMENTS: usize = 4096;

/// Returns the schema of a tensor in the simple JSON API: nested arrays, one level per dimension.
pub(super) fn nested(spec: &TensorSpec) -> AnySchema {
    let shape = spec.wire_shape();
    let description = format!("{} of shape {shape:?}", spec.element_type);
    if spec.has_unknown_rank() {
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        return any.description(Some(description)).into();
    }
    nested_dims(spec.element_type, &spec.dims, Some(description))
}

fn nested_dims(
    element_type: ElementType,
    dims: &[Dimension],
    description: Option<String>,
) -> AnySchema {
    let Some((first, rest)) = dims.split_first() else {
        return element(element_type).description(description).into();
    };
    ArrayBuilder::new()
        .items(nested_dims(element_type, rest, None))
        .min_items(first.fixed())
        .max_items(first.fixed())
        .description(description)
        .into()
}

/// Returns the schema of one element in JSON.
fn element(element_type: ElementType) -> ObjectBuilder {
    let of = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::Type(kind));
    let known = |format| Some(SchemaFormat::KnownFormat(format));
    // NaN and infinities are `null`.
    let float = |format| {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::Null]))
            .format(known(format))
    };
    let integer = |min: i32, max: u32| of(Type::Integer).minimum(Some(min)).maximum(Some(max));
    match element_type {
        ElementType::Bool => of(Type::Boolean),
        ElementType::U8 => integer(0, u8::MAX.into()),
        ElementType::U16 => integer(0, u16::MAX.into()),
        ElementType::U32 => integer(0, u32::MAX),
        ElementType::U64 => of(Type::Integer)
            .minimum(Some(0))
            .format(Some(SchemaFormat::Custom("uint64".to_owned()))),
        ElementType::I8 => integer(i8::MIN.into(), i8::MAX.unsigned_abs().into()),
        ElementType::I16 => integer(i16::MIN.into(), i16::MAX.unsigned_abs().into()),
        ElementType::I32 => of(Type::Integer).format(known(KnownFormat::Int32)),
        ElementType::I64 => of(Type::Integer).format(known(KnownFormat::Int64)),
        ElementType::F16 | ElementType::BF16 | ElementType::F32 => float(KnownFormat::Float),
        ElementType::F64 => float(KnownFormat::Double),
        ElementType::Bytes => of(Type::String),
    }
}

/// Returns the schema of an input in the Open Inference Protocol: its data may be flat or nested.
pub(super) fn wire_input(spec: &TensorSpec) -> AnySchema {
    match spec.dims.len() {
        0 | 1 if !spec.has_unknown_rank() => wire_output(spec),
        // Not "one of": an empty list is both.
        _ => wire_tensor(spec, any_of(DATA, [flat(spec).into(), nested(spec)])),
    }
}

/// Returns the schema of an output in the Open Inference Protocol.
pub(super) fn wire_output(spec: &TensorSpec) -> AnySchema {
    wire_tensor(spec, flat(spec).description(Some(DATA)).into())
}

const DATA: &str = "All elements, row after row; missing when they follow the JSON as bytes";

fn flat(spec: &TensorSpec) -> ArrayBuilder {
    ArrayBuilder::new().items(element(spec.element_type))
}

fn wire_tensor(spec: &TensorSpec, data: AnySchema) -> AnySchema {
    let rank = (!spec.has_unknown_rank()).then_some(spec.dims.len());
    let shape = ArrayBuilder::new()
        .items(count(""))
        .min_items(rank)
        .max_items(rank)
        .description(Some(format!("Fits {:?}", spec.wire_shape())));
    let fields = [
        required("name", text_enum("", [spec.name.as_str()])),
        required("datatype", text_enum("", [spec.element_type.name()])),
        required("shape", shape),
        optional("parameters", component("Parameters")),
        optional("data", data),
    ];
    object("", fields)
}

/// Returns an example tensor for the simple JSON API.
pub(super) fn nested_example(spec: &TensorSpec) -> Value {
    let zero = zero(spec.element_type);
    match example_elements(spec) {
        Some(_) => example_dims(spec)
            .rev()
            .fold(zero, |inner, size| Value::Array(vec![inner; size])),
        None => placeholder(spec),
    }
}

/// Returns an example tensor for the Open Inference Protocol.
pub(super) fn wire_example(spec: &TensorSpec) -> Value {
    let data = match example_elements(spec) {
        Some(n_elements) => Value::Array(vec![zero(spec.element_type); n_elements]),
        None => placeholder(spec),
    };
    json!({
        "name": spec.name,
        "datatype": spec.element_type.name(),
        "shape": example_dims(spec).collect::<Vec<_>>(),
        "data": data,
    })
}

fn example_dims(spec: &TensorSpec) -> impl DoubleEndedIterator<Item = usize> + '_ {
    spec.dims.iter().map(|dim| dim.fixed().unwrap_or(1))
}

/// Returns the number of elements, unless there are too many to show.
fn example_elements(spec: &TensorSpec) -> Option<usize> {
    example_dims(spec)
        .try_fold(1_usize, usize::checked_mul)
        .filter(|&n_elements| n_elements <= EXAMPLE_ELEMENTS)
}

fn placeholder(spec: &TensorSpec) -> Value {
    let shape: Vec<_> = example_dims(spec).collect();
    json!(format!(
        "{} of shape {shape:?}, which is too long to be shown",
        spec.element_type
    ))
}

fn zero(element_type: ElementType) -> Value {
    match element_type {
        ElementType::Bool => json!(false),
        ElementType::Bytes => json!(""),
        ElementType::F16 | ElementType::BF16 | ElementType::F32 | ElementType::F64 => json!(0.0),
        ElementType::U8
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64 => json!(0),
    }
}
