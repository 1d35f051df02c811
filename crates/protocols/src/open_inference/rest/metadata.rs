//! Routes for health, metadata, configuration and statistics.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use contract::{Code, Result};
use serde_json::{Value, json};

use super::{json_reply, sync_handler, target, versioned};
use crate::context::Context;
use crate::open_inference::metadata::{
    EXTENSIONS, SERVER_NAME, TensorMetadata, model_metadata, not_ready_reason,
};
use crate::open_inference::model_config::model_config;
use crate::open_inference::statistics::statistics;
use crate::rest::{Call, Reply};

/// Returns the routes that show the server and its models.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let metadata = get(sync_handler(ctx, server_metadata));
    let router = Router::new()
        .route("/v2", metadata.clone())
        .route("/v2/", metadata)
        .route("/v2/health/live", get(sync_handler(ctx, server_live)))
        .route("/v2/health/ready", get(sync_handler(ctx, server_ready)))
        .route("/v2/models", get(sync_handler(ctx, models)))
        .route("/v2/models/stats", get(sync_handler(ctx, all_stats)));
    let router = versioned(router, "", get(sync_handler(ctx, metadata_of_model)));
    let router = versioned(router, "/ready", get(sync_handler(ctx, model_ready)));
    let router = versioned(router, "/config", get(sync_handler(ctx, config)));
    versioned(router, "/stats", get(sync_handler(ctx, stats)))
}

fn server_metadata(ctx: &Context, _: &Call) -> Result<Reply> {
    Ok(json_reply(&json!({
        "name": SERVER_NAME,
        "version": ctx.server.version,
        "extensions": EXTENSIONS,
    })))
}

#[expect(clippy::unnecessary_wraps, reason = "every handler has this type")]
fn server_live(_: &Context, _: &Call) -> Result<Reply> {
    Ok(json_reply(&json!({"live": true})))
}

fn server_ready(ctx: &Context, _: &Call) -> Result<Reply> {
    let readiness = ctx.catalog.readiness();
    Ok(match readiness.is_ready {
        true => json_reply(&json!({"ready": true})),
        false => json_reply(&json!({"ready": false, "error": readiness.reason}))
            .with_code(Code::Unavailable),
    })
}

fn models(ctx: &Context, _: &Call) -> Result<Reply> {
    let models = ctx.catalog.models();
    let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
    Ok(json_reply(&json!({"models": names})))
}

fn metadata_of_model(ctx: &Context, call: &Call) -> Result<Reply> {
    let (name, version) = target(call)?;
    let metadata = model_metadata(ctx, &name, &version)?;
    Ok(json_reply(&json!({
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": metadata.platform,
        "inputs": tensors(&metadata.inputs),
        "outputs": tensors(&metadata.outputs),
    })))
}

fn tensors(tensors: &[TensorMetadata]) -> Value {
    tensors
        .iter()
        .map(|tensor| {
            json!({
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
            })
        })
        .collect()
}

fn model_ready(ctx: &Context, call: &Call) -> Result<Reply> {
    let (name, version) = target(call)?;
    let name_text = name.as_str();
    Ok(match not_ready_reason(ctx, &name, &version)? {
        None => json_reply(&json!({"name": name_text, "ready": true})),
        Some(reason) => json_reply(&json!({"name": name_text, "ready": false, "error": reason}))
            .with_code(Code::ModelNotReady),
    })
}

fn config(ctx: &Context, call: &Call) -> Result<Reply> {
    let (name, version) = target(call)?;
    let config = model_config(ctx, &name, &version)?;
    Ok(json_reply(&super::config::config_json(&config)))
}

fn all_stats(ctx: &Context, call: &Call) -> Result<Reply> {
    let list = statistics(ctx, None, &call.version())?;
    Ok(json_reply(&super::counters::statistics_json(&list)))
}

fn stats(ctx: &Context, call: &Call) -> Result<Reply> {
    let list = statistics(ctx, Some(&call.required_model()?), &call.version())?;
    Ok(json_reply(&super::counters::statistics_json(&list)))
}
