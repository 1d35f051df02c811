//! End-to-end tests: the real binary, ONNX Runtime, and the clients that users have.
//!
//! `cargo xtask test` installs what they need and says where it is in the environment; a test that
//! lacks something fails with that hint.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod batch_invariance;
mod command_line;
mod compare;
mod documents;
mod endless_runs;
mod examples;
mod golden_requests;
mod http;
mod live_rollouts;
mod log;
mod metrics;
mod new_versions;
mod notifications;
mod output;
mod process;
mod prometheus;
mod python_clients;
mod reload;
mod replicas;
mod robustness;
mod rollout_files;
mod rollouts;
mod schemas;
mod shutdown;
mod tables;
mod traffic;
