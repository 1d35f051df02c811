//! From an accepted request to an engine call: routing, admission, batching, instances, repository.
//!
//! The folders follow the request. Nothing here knows a protocol, a metric or a native runtime.

mod admission;
mod batch;
#[cfg(test)]
mod fake_engine;
#[cfg(test)]
mod fake_gatekeeper;
mod instance;
mod repository;
pub mod rollout;
mod route;
mod server;
mod statistics;
mod store;
mod tap;
mod variant;

pub use repository::settings::DEFAULT_MODEL_SETTINGS;
pub use route::Assigner;
pub use server::{Server, ServerOptions};
