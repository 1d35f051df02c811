//! Counters and histograms behind the events, and their text form.

mod exposition;
mod histogram;
mod names;
mod process;
mod series;
mod table;

pub use names::{Kind, Label, Metric};
pub(crate) use series::Registry;
