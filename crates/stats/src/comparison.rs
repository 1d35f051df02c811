//! Comparing the answers of two versions: pure functions over their outputs, and the report over
//! many pairs.
//!
//! Decision: they live beside the tensors, because two sides that may not know each other need
//! them: the shadow traffic of a rollout in `serving`, and `POST /api/compare` in `protocols`.

mod class;
mod pair;
mod report;
mod report_builder;

pub use class::{Class, has_class_output, predicted_class, same_class};
pub use pair::{OutputDifference, PairComparison, Tolerance, compare};
pub use report::{
    Accuracy, ClassReport, Confusion, LabelReport, Latency, OutputReport, PairReport, Report,
    VersionReport,
};
pub use report_builder::{Answer, Item, ReportBuilder};

#[cfg(test)]
mod tests;
