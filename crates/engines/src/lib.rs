//! Things that run models: ONNX Runtime, and the echo engine of tests and calibration.
//!
//! An engine opens artefacts and hands out sessions; what that promises stands in
//! [`contract::engine`], and the conformance kit of `contract::testing` checks it for each of them.

pub mod echo;
pub mod onnx;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use echo::EchoEngine;
pub use onnx::OnnxEngine;
