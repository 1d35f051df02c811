//! Test doubles for other crates, and the conformance kit for engines.

pub mod conformance;
mod echo;
mod memory_rollouts;
mod observer;
pub mod shared_rollouts;
mod webhooks;

pub use echo::{EchoServer, model_info};
pub use memory_rollouts::{Link, MemoryRollouts};
pub use observer::RecordingObserver;
pub use webhooks::FakeWebhooks;
