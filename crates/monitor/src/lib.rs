//! Metrics: turns events into counters, gauges and histograms.
//!
//! Decision: an event costs a look-up in an immutable table and a few atomic additions, so that
//! nothing on the path of a request waits here. Names live in one enum, [`Metric`], against which
//! dashboards and docs can be checked.

mod metrics;
mod noop;
mod observer;

pub use metrics::{Kind, Label, Metric};
pub use noop::NoopObserver;
pub use observer::Monitor;
