//! Comparison of the answers of versions: pure functions over their outputs, and the report over
//! many pairs.
//!
//! Decision: the comparison is a part of the statistics, because two crates that must not depend on
//! each other need it: `protocols` for `POST /api/compare`, and `serving` for the shadow requests
//! of a rollout.

mod class;
mod element_text;
mod mcnemar;
mod median;
mod order;
mod pair;
mod report;
mod report_builder;

pub use class::{Class, has_class_output, predicted_class, same_class};
pub use element_text::element_text;
pub use mcnemar::AccuracyDifference;
pub use median::Median;
pub use order::VersionOrder;
pub use pair::{OutputDifference, PairComparison, Tolerance, compare};
pub use report::{
    Accuracy, ClassReport, Confusion, LabelReport, Latency, OutputReport, PairReport, Report,
    VersionReport,
};
pub use report_builder::{Answer, Item, ReportBuilder};

#[cfg(test)]
mod tests;
