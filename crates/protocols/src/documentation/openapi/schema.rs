//! Short builders for schemas: objects of fields, lists, texts and numbers.
//!
//! Decision: every schema built here is open. A reply may gain fields, and unknown fields of a
//! request are ignored, so none has `additionalProperties: false`; types of `api` that refuse
//! unknown keys say so.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Ref, Schema, SchemaType, Type};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder};

/// A schema, or a reference to one.
pub(super) type AnySchema = RefOr<Schema>;

/// One field of an object.
pub(super) struct Field {
    name: String,
    schema: AnySchema,
    is_required: bool,
}

/// A field that is always there.
pub(super) fn required(name: &str, schema: impl Into<AnySchema>) -> Field {
    Field {
        name: name.to_owned(),
        schema: schema.into(),
        is_required: true,
    }
}

/// A field that may be missing.
pub(super) fn optional(name: &str, schema: impl Into<AnySchema>) -> Field {
    Field {
        is_required: false,
        ..required(name, schema)
    }
}

/// An object with these fields.
pub(super) fn object(description: &str, fields: impl IntoIterator<Item = Field>) -> AnySchema {
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(non_empty(description));
    for field in fields {
        if field.is_required {
            object = object.required(&field.name);
        }
        object = object.property(field.name, field.schema);
    }
    object.into()
}

/// An object whose fields have names that are not known beforehand.
pub(super) fn map(description: &str, value: impl Into<AnySchema>) -> AnySchema {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(non_empty(description))
        .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
        .into()
}

/// A list of any length.
pub(super) fn list(description: &str, item: impl Into<AnySchema>) -> AnySchema {
    ArrayBuilder::new()
        .items(item.into())
        .description(non_empty(description))
        .into()
}

/// A scalar of this type.
pub(super) fn scalar(kind: Type, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(kind)
        .description(non_empty(description))
}

/// A value of one of these types.
pub(super) fn either(kinds: [Type; 2], description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(kinds.into()))
        .description(non_empty(description))
}

/// A text.
pub(super) fn text(description: &str) -> ObjectBuilder {
    scalar(Type::String, description)
}

/// One of these texts.
pub(super) fn text_enum<S: Into<String>>(
    description: &str,
    words: impl IntoIterator<Item = S>,
) -> ObjectBuilder {
    text(description).enum_values(Some(words.into_iter().map(Into::into)))
}

/// A number of things.
pub(super) fn count(description: &str) -> ObjectBuilder {
    scalar(Type::Integer, description).minimum(Some(0))
}

/// Any value.
pub(super) fn anything(description: &str) -> AnySchema {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(non_empty(description))
        .into()
}

/// Exactly one of these.
pub(super) fn one_of(description: &str, items: impl IntoIterator<Item = AnySchema>) -> AnySchema {
    let empty = OneOfBuilder::new().description(non_empty(description));
    items.into_iter().fold(empty, OneOfBuilder::item).into()
}

/// One or more of these.
pub(super) fn any_of(description: &str, items: impl IntoIterator<Item = AnySchema>) -> AnySchema {
    let empty = AnyOfBuilder::new().description(non_empty(description));
    items.into_iter().fold(empty, AnyOfBuilder::item).into()
}

/// The component of that name.
pub(super) fn component(name: &str) -> AnySchema {
    Ref::from_schema_name(name).into()
}

fn non_empty(description: &str) -> Option<&str> {
    (!description.is_empty()).then_some(description)
}
