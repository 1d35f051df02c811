//! Documents of the product: those that its own API exchanges, and reading of the files that users
//! write.
//!
//! Decision: each shape is stated once, as a type that serializes, deserializes and describes itself
//! in the OpenAPI document. Server, command line and documentation use the same type.

pub mod comparison;
pub mod components;
pub mod feedback;
pub mod history;
pub mod model;
pub mod rollout;
pub mod routing;
pub mod server;
pub mod split;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod version;
pub mod yaml;
