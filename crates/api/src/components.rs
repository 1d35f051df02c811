//! Components of an OpenAPI document, derived from types.

use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// A schema with its name.
pub type Component = (String, RefOr<Schema>);

/// Adds the schema of `T` and those that it refers to.
pub fn add<T: ToSchema>(components: &mut Vec<Component>) {
    components.push((T::name().into_owned(), T::schema()));
    T::schemas(components);
}
