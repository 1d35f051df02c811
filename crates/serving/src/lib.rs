//! From an accepted request to an engine call: routing, admission, batching, instances, repository.
//!
//! The folders follow the request. This crate knows no protocol, metric or native runtime.

mod admission;
mod batch;
mod catalog;
mod control;
mod counters;
#[cfg(test)]
mod fake_engine;
mod instance;
mod loaded_version;
mod route;
mod server;
mod tap;
mod traffic_control;

pub use catalog::settings::DEFAULT_MODEL_SETTINGS;
pub use server::{Server, ServerOptions};
