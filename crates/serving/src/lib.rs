//! From an accepted request to an engine call: routing, admission, batching, instances, repository.
//!
//! The folders follow the request. Nothing here knows a protocol, a metric or a native runtime.

#[expect(dead_code, reason = "the repository starts variants once it lands")]
mod variant;
