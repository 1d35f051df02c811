//! Test doubles for other crates, and the conformance kit for engines.

pub mod conformance;
mod echo;
mod observer;
mod webhooks;

pub use echo::{EchoServer, model_info};
pub use observer::RecordingObserver;
pub use webhooks::FakeWebhooks;
