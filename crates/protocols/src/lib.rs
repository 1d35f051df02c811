//! Wire protocols: one folder per dialect, and the listeners.
//!
//! Decision: dialects differ only in decoding and encoding. A REST handler turns a [`rest::Call`]
//! into a [`rest::Reply`]; reading bodies, limits, request ids, errors and statuses are done once
//! for all of them.

mod admin;
mod attributes;
mod context;
mod documentation;
mod golden;
mod memory_budget;
mod native;
mod offload;
mod open_inference;
mod phase;
#[cfg(test)]
mod recorded_log;
mod rest;
mod routed;
mod server;
mod status;
mod tensor_json;
#[cfg(test)]
mod testing;

pub use context::{Context, Limits, ServerInfo};
pub use golden::GoldenJson;
pub use server::{
    CallHead, Cors, DialectId, Dialects, Endpoint, Guard, ListenerHandle, Peer, ServeOptions,
    endpoint, router, serve,
};
