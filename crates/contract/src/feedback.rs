//! Feedback: what became known about an answer after it was given.

use crate::model::ModelName;

/// What became known about one answer, or about one unit of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The model; any model when `None`.
    pub model: Option<ModelName>,
    /// Whom or what it is about.
    pub target: FeedbackTarget,
    /// What became known.
    pub value: FeedbackValue,
}

/// Whom or what feedback is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedbackTarget {
    /// The answer to the request of this id.
    Request(String),
    /// Whoever was assigned by this unit.
    Unit(String),
}

/// What became known.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedbackValue {
    /// What the answer was worth.
    Reward(f64),
    /// What the right answer would have been: the reward is 1 when it was given, and 0 otherwise.
    Label(Label),
}

/// A class, as a model may answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The number of the class.
    Integer(i64),
    /// The text of the class.
    Text(String),
}
