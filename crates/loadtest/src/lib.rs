//! Load tests: when to send requests, the generators that send them, and the evaluation of their
//! latencies.
//!
//! Decision: arrivals and evaluation are pure functions over plain numbers, so they are tested in
//! virtual time. The generators are behind the feature `generators`: a user that starts them as
//! another process does not build an HTTP client. They send finished bytes and know no dialect.

pub mod arrivals;
#[cfg(feature = "generators")]
pub mod generator;
mod latency;
mod random;
pub mod records;
mod request;
mod summary;

pub use random::Random;
pub use request::post;
pub use summary::Summary;
