//! Engines that run models: ONNX Runtime, and the echo engine for tests and calibration.
//!
//! An engine opens artifacts and returns sessions. [`contract::engine`] defines its obligations,
//! and the conformance kit of `contract::testing` checks them for every engine.

pub mod echo;
pub mod onnx;
mod protobuf;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use echo::EchoEngine;
pub use onnx::OnnxEngine;
