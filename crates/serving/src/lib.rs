//! From an accepted request to an engine call: routing, admission, batching, instances, repository.
//!
//! The folders follow the request. Nothing here knows a protocol, a metric or a native runtime.

mod admission;
mod batch;
mod instance;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the server starts the repository once it lands")
)]
mod repository;
mod statistics;
#[expect(dead_code, reason = "the repository starts variants once it lands")]
mod variant;

pub use repository::settings::DEFAULT_MODEL_SETTINGS;
