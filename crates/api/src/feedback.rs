//! Feedback on answers: rewards and labels, sent when they become known.

use contract::{Error, Feedback, FeedbackTarget, FeedbackValue, Label, ModelName, Result};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Ref;

/// One item: `request_id` or `unit`, and `reward` or `label`.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object such as {\"request_id\": \"…\", \"reward\": 1}"
)]
pub struct FeedbackItem {
    /// The id of the answer.
    #[serde(default)]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
    /// The unit of the request.
    #[serde(default)]
    #[schema(nullable = false)]
    pub unit: Option<JsonScalar>,
    /// The reward.
    #[serde(default)]
    #[schema(nullable = false)]
    pub reward: Option<f64>,
    /// The right class: the reward is 1 when the answer agrees, otherwise 0.
    #[serde(default)]
    #[schema(nullable = false)]
    pub label: Option<JsonScalar>,
    /// The model; any when it is left out.
    #[serde(default)]
    #[schema(nullable = false)]
    pub model: Option<String>,
    /// The time at which it became known, for logs of callers that keep the body; ignored here.
    #[serde(default, rename = "ts")]
    #[schema(value_type = serde_json::Value)]
    pub at: Option<IgnoredAny>,
}

/// A text, or a value with one exact text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or an integer")]
pub enum JsonScalar {
    /// A boolean; as a label, 0 or 1.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A result for each item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackReply {
    /// The results, in the order of the items.
    pub results: Vec<FeedbackResult>,
}

/// The result of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackResult {
    /// 202 when it was accepted.
    pub status: u16,
    /// The reason for a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<FeedbackError>,
}

/// The reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackError {
    /// The stable code of the failure.
    #[schema(schema_with = error_code)]
    pub code: String,
    /// The mistake and its remedy.
    pub message: String,
}

fn error_code() -> Ref {
    Ref::from_schema_name("ErrorCode")
}

impl FeedbackItem {
    /// Returns the feedback.
    ///
    /// # Errors
    /// `invalid_request` without exactly one target and one value, or for a malformed model name.
    pub fn into_feedback(self) -> Result<Feedback> {
        let target = match (self.request_id, self.unit) {
            (Some(id), None) => FeedbackTarget::Request(id),
            (None, Some(unit)) => FeedbackTarget::Unit(unit.into_text()),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::invalid("expected one of `request_id` and `unit`"));
            }
        };
        let value = match (self.reward, self.label) {
            (Some(reward), None) => FeedbackValue::Reward(reward),
            (None, Some(label)) => FeedbackValue::Label(label.into_label()),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::invalid("expected one of `reward` and `label`"));
            }
        };
        let model = self.model.as_deref().map(ModelName::new).transpose();
        Ok(Feedback {
            model: model.map_err(|error| error.in_context("`model`"))?,
            target,
            value,
        })
    }
}

impl JsonScalar {
    fn into_text(self) -> String {
        match self {
            Self::Bool(truth) => truth.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }

    /// Converts to a label; models answer booleans as 0 and 1.
    fn into_label(self) -> Label {
        match self {
            Self::Bool(truth) => Label::Integer(truth.into()),
            Self::Integer(number) => Label::Integer(number),
            Self::Text(text) => Label::Text(text),
        }
    }
}
