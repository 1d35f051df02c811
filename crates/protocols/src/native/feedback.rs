//! `POST /v1/feedback`: rewards and labels for answers, sent when they become known.
//!
//! Decision: a body that cannot be read is refused as a whole, with the path of the key; the items
//! of a valid body are processed and answered one by one, because callers send feedback that they
//! have collected over many servers.

use std::sync::Arc;

use contract::{Code, Error, Feedback, FeedbackTarget, FeedbackValue, Label, ModelName, Result};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::media::require_json;
use crate::context::Context;
use crate::rest::{Call, Reply};
use crate::status::{Success, status, success};

/// One item as it is written.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object such as {\"request_id\": \"…\", \"reward\": 1}"
)]
struct FeedbackBody {
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    unit: Option<JsonScalar>,
    #[serde(default)]
    reward: Option<f64>,
    #[serde(default)]
    label: Option<JsonScalar>,
    #[serde(default)]
    model: Option<String>,
    /// The time at which it became known, for logs of callers that keep the body; unused here.
    #[serde(default, rename = "ts")]
    _at: Option<IgnoredAny>,
}

/// A text, or a value with one exact text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or an integer")]
enum JsonScalar {
    Bool(bool),
    Integer(i64),
    Text(String),
}

#[derive(Serialize)]
struct FeedbackReply<'a> {
    results: Vec<ItemReply<'a>>,
}

#[derive(Serialize)]
struct ItemReply<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ItemError<'a>>,
}

#[derive(Serialize)]
struct ItemError<'a> {
    code: &'a str,
    message: &'a str,
}

/// Handles `POST /v1/feedback`.
pub(super) async fn feedback(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    require_json(&call)?;
    let is_list = call.body.trim_ascii_start().starts_with(b"[");
    let items = match is_list {
        true => parse_items(call.json()?, ctx.limits.batch_requests)?,
        false => vec![parse_item(call.json()?)?],
    };
    let mut results = ctx.control.feedback(&items);
    if !is_list && results.iter().any(Result::is_err) {
        return match results.pop() {
            Some(Err(error)) => Err(error),
            Some(Ok(())) | None => Err(Error::internal("one feedback item has several results")),
        };
    }
    let reply = FeedbackReply {
        results: results.iter().map(item_reply).collect(),
    };
    let json = serde_json::to_vec(&reply).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Reply::json(json).accepted())
}

fn parse_items(bodies: Vec<FeedbackBody>, limit: usize) -> Result<Vec<Feedback>> {
    if bodies.len() > limit {
        return Err(Error::new(
            Code::PayloadTooLarge,
            format!(
                "a call has at most {limit} items (`max_batch_requests`), got {}",
                bodies.len()
            ),
        ));
    }
    let items = bodies.into_iter().enumerate();
    items
        .map(|(index, body)| {
            parse_item(body).map_err(|error| error.in_context(format!("`[{index}]`")))
        })
        .collect()
}

fn parse_item(body: FeedbackBody) -> Result<Feedback> {
    let target = match (body.request_id, body.unit) {
        (Some(id), None) => FeedbackTarget::Request(id),
        (None, Some(unit)) => FeedbackTarget::Unit(unit.into_text()),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Error::invalid("expected one of `request_id` and `unit`"));
        }
    };
    let value = match (body.reward, body.label) {
        (Some(reward), None) => FeedbackValue::Reward(reward),
        (None, Some(label)) => FeedbackValue::Label(label.into_label()),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Error::invalid("expected one of `reward` and `label`"));
        }
    };
    let model = body.model.as_deref().map(ModelName::new).transpose();
    Ok(Feedback {
        model: model.map_err(|error| error.in_context("`model`"))?,
        target,
        value,
    })
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

fn item_reply(result: &Result<()>) -> ItemReply<'_> {
    match result {
        Ok(()) => ItemReply {
            status: success(Success::Accepted).as_u16(),
            error: None,
        },
        Err(error) => ItemReply {
            status: status(error.code()).http.as_u16(),
            error: Some(ItemError {
                code: error.code().as_str(),
                message: error.message(),
            }),
        },
    }
}

#[cfg(test)]
mod tests;
