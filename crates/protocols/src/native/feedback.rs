//! `POST /v1/feedback`: rewards and labels for answers, sent when they become known.
//!
//! Decision: a body that cannot be read is refused as a whole, with the path of the key; the items
//! of a valid body are processed and answered one by one, because callers send feedback that they
//! have collected over many servers.

use std::sync::Arc;

use api::feedback::{FeedbackError, FeedbackItem, FeedbackReply, FeedbackResult};
use contract::{Code, Error, Feedback, Result};

use super::media::require_json;
use crate::context::Context;
use crate::rest::{Call, Reply};
use crate::status::{Success, status, success};

/// Handles `POST /v1/feedback`.
pub(super) async fn feedback(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    require_json(&call)?;
    let is_list = call.body.trim_ascii_start().starts_with(b"[");
    let items = match is_list {
        true => parse_items(call.json()?, ctx.limits.batch_requests)?,
        false => vec![call.json::<FeedbackItem>()?.into_feedback()?],
    };
    let mut results = ctx.feedback.feedback(&items);
    if !is_list && results.iter().any(Result::is_err) {
        return match results.pop() {
            Some(Err(error)) => Err(error),
            Some(Ok(())) | None => Err(Error::internal("one feedback item has several results")),
        };
    }
    let reply = FeedbackReply {
        results: results.iter().map(item_result).collect(),
    };
    Ok(Reply::serialized(&reply)?.accepted())
}

fn parse_items(bodies: Vec<FeedbackItem>, limit: usize) -> Result<Vec<Feedback>> {
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
            body.into_feedback()
                .map_err(|error| error.in_context(format!("`[{index}]`")))
        })
        .collect()
}

fn item_result(result: &Result<()>) -> FeedbackResult {
    match result {
        Ok(()) => FeedbackResult {
            status: success(Success::Accepted).as_u16(),
            error: None,
        },
        Err(error) => FeedbackResult {
            status: status(error.code()).http.as_u16(),
            error: Some(FeedbackError {
                code: error.code().as_str().to_owned(),
                message: error.message().to_owned(),
            }),
        },
    }
}

#[cfg(test)]
mod tests;
