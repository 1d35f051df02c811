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

pub use names::{Kind, Label, Metric};
pub(crate) use rollouts::Transition;
pub(crate) use series::Registry;
