//! Counters and histograms behind the events, and their text form.

mod admission;
mod exposition;
mod histogram;
mod names;
mod process;
mod rollouts;
mod samples;
mod series;
mod table;

pub(crate) use exposition::{END_OF_OPEN_METRICS, prometheus_text};
pub use names::{Kind, Label, Metric};
pub(crate) use rollouts::Transition;
pub(crate) use series::Registry;
