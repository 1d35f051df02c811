//! Feedback: a reward or label for an answer, sent when it becomes known.

use crate::model::ModelName;

/// Feedback about one answer, or about one unit of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The model; any model when `None`.
    pub model: Option<ModelName>,
    /// The answer or unit that it is about.
    pub target: FeedbackTarget,
    /// The reward or label.
    pub value: FeedbackValue,
}

/// Subject of feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedbackTarget {
    /// The answer to the request of this id.
    Request(String),
    /// All requests of this unit.
    Unit(String),
}

/// Value of feedback.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedbackValue {
    /// A reward for the answer.
    Reward(f64),
    /// The right answer: the reward is 1 when it was given, and 0 otherwise.
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
