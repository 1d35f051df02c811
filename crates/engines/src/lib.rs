//! Things that run models: ONNX Runtime, and the echo engine of tests and calibration.
