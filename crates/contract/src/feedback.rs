//! `FeedbackSink`: takes feedback, which is a reward or label for an answer, sent when it becomes
//! known.

use std::fmt;

use crate::error::Result;
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

/// Takes feedback. May be called from many tasks at once.
pub trait FeedbackSink: Send + Sync + fmt::Debug {
    /// Credits feedback to the arms that answered, and returns one result for each item. Cheap, and
    /// does not wait.
    ///
    /// # Errors
    /// `request_not_found` for an unknown answer or unit, `model_not_found`, and `invalid_request`
    /// for a label of an answer without a class.
    fn feedback(&self, feedback: &[Feedback]) -> Vec<Result<()>>;
}
