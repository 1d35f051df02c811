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
#[cfg(test)]
mod fake_webhooks;
mod instance;
mod loaded_version;
mod rollout_driver;
mod route;
mod server;
mod store;
mod tap;

pub use catalog::settings::DEFAULT_MODEL_SETTINGS;
pub use server::{Server, ServerOptions};
