//! JSON numbers, strings and nested arrays straight into tensors, and tensors into JSON.
