//! Trace and log settings over REST.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use contract::Result;
use serde_json::{Map, Value, json};

use super::object::Object;
use super::{json_reply, sync_handler};
use crate::context::Context;
use crate::open_inference::settings::{
    LOG, RequestedValue, Setting, Settings, TRACE, check_change,
};
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;

/// The routes of the settings.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    Router::new()
        .route(
            "/v2/trace/setting",
            get(sync_handler(ctx, trace)).post(sync_handler(ctx, change_trace)),
        )
        .route(
            "/v2/models/{model}/trace/setting",
            get(sync_handler(ctx, model_trace)).post(sync_handler(ctx, change_model_trace)),
        )
        .route(
            "/v2/logging",
            get(sync_handler(ctx, log)).post(sync_handler(ctx, change_log)),
        )
}

fn trace(_: &Context, _: &Call) -> Result<Reply> {
    Ok(show(TRACE))
}

fn change_trace(ctx: &Context, call: &Call) -> Result<Reply> {
    change(ctx, call, TRACE)
}

fn model_trace(ctx: &Context, call: &Call) -> Result<Reply> {
    ctx.catalog.model(&call.required_model()?)?;
    Ok(show(TRACE))
}

fn change_model_trace(ctx: &Context, call: &Call) -> Result<Reply> {
    ctx.catalog.model(&call.required_model()?)?;
    change(ctx, call, TRACE)
}

fn log(_: &Context, _: &Call) -> Result<Reply> {
    Ok(show(LOG))
}

fn change_log(ctx: &Context, call: &Call) -> Result<Reply> {
    change(ctx, call, LOG)
}

fn show(settings: &Settings) -> Reply {
    let fields: Map<_, _> = settings
        .iter()
        .map(|(name, setting)| {
            let value = match setting {
                Setting::Bool(value) => json!(value),
                Setting::Number(value) => json!(value),
                Setting::Text(value) => json!(value),
                Setting::List(value) => json!(value),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    json_reply(&Value::Object(fields))
}

fn change(ctx: &Context, call: &Call, settings: &Settings) -> Result<Reply> {
    let limits = JsonLimits::from(&ctx.limits);
    let body = Object::body(&call.body, &limits)?;
    for (name, json) in body.members() {
        let requested =
            requested(json).ok_or_else(|| body.error(name, "is not a valid value of a setting"))?;
        check_change(settings, name, &requested)?;
    }
    Ok(show(settings))
}

fn requested(json: &[u8]) -> Option<RequestedValue> {
    match serde_json::from_slice(json).ok()? {
        Value::Null => Some(RequestedValue::Reset),
        Value::Bool(value) => Some(RequestedValue::Bool(value)),
        Value::Number(value) => u32::try_from(value.as_u64()?)
            .ok()
            .map(RequestedValue::Number),
        Value::String(value) => Some(RequestedValue::Text(value)),
        Value::Array(values) => values
            .into_iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(RequestedValue::List),
        Value::Object(_) => None,
    }
}
