//! `POST /predict/batch`: several inferences in one call, each answered or refused separately.

use std::sync::Arc;

use contract::{Code, Error, RequestId, Result, ServedBy};
use futures_util::future::join_all;
use tokio::task::consume_budget;

use super::media::require_json;
use super::predict::Prediction;
use crate::context::Context;
use crate::offload::offload;
use crate::rest::{Call, Reply, native_error};
use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{array_items, object_members, require_utf8};

/// Handles `POST /predict/batch`.
pub(super) async fn predict_batch(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    require_json(&call)?;
    let requests = offload(call.body.len(), || requests(&call.body, &ctx))?;
    let n_in_call = requests.len();
    let answers = requests.into_iter().enumerate().map(|(index, json)| {
        let id = RequestId::new(&format!("{}-{index}", call.id));
        let prediction = Prediction {
            id: id.clone(),
            json,
            n_in_call,
        };
        let (ctx, call) = (&ctx, &call);
        async move {
            // Short runs do not wait, and other connections must get their turn.
            consume_budget().await;
            let result = prediction.run(ctx, call).await;
            result.map_or_else(|error| native_error(&error, &id), with_arm)
        }
    });
    let answers = join_all(answers).await;
    let n_bytes = answers.iter().map(Vec::len).sum();
    Ok(Reply::json(offload(n_bytes, || results(&answers))))
}

/// Adds the arm to the body of one answer, because the head of the reply is shared by all of them.
/// The version is in the body already, the arm is text that JSON need not escape, and the
/// propensity is a number.
fn with_arm((served_by, mut body): (ServedBy, Vec<u8>)) -> Vec<u8> {
    if let (Some(arm), Some(b'}')) = (&served_by.arm, body.last()) {
        body.pop();
        body.extend_from_slice(b",\"arm\":\"");
        body.extend_from_slice(arm);
        body.push(b'"');
        if let Some(propensity) = &served_by.propensity {
            body.extend_from_slice(b",\"propensity\":");
            body.extend_from_slice(propensity);
        }
        body.push(b'}');
    }
    body
}

/// Returns the raw requests of a body: a bare array, or the array `requests`.
fn requests<'a>(json: &'a [u8], ctx: &Context) -> Result<Vec<&'a [u8]>> {
    require_utf8(json)?;
    let limits = JsonLimits::from(&ctx.limits);
    let list = match json.trim_ascii_start().starts_with(b"[") {
        true => json,
        false => object_members(json, &limits)?
            .into_iter()
            .find(|(key, _)| key == "requests")
            .map(|(_, value)| value)
            .ok_or_else(|| {
                Error::invalid(
                    "the body has no `requests`; expected an array of bodies of `/predict`, as in \
                     `{\"requests\": [{\"data\": [[1, 2]]}, {\"data\": [[3, 4]]}]}`",
                )
            })?,
    };
    let limit = ctx.limits.batch_requests;
    array_items(list, &limits, limit).map_err(|error| match error.code() == Code::PayloadTooLarge {
        true => Error::new(
            Code::PayloadTooLarge,
            format!("a call has at most {limit} requests (`max_batch_requests`), got more"),
        ),
        false => error.in_context("`requests`"),
    })
}

fn results(items: &[Vec<u8>]) -> Vec<u8> {
    let n_bytes: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut body = Vec::with_capacity(n_bytes + 16);
    body.extend_from_slice(b"{\"results\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(item);
    }
    body.extend_from_slice(b"]}");
    body
}
