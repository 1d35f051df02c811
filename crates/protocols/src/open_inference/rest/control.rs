//! The repository over REST: its index, and loading and unloading models.

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use contract::Result;
use serde_json::{Map, Value, json};

use super::object::Object;
use super::{OpenInference, json_reply, sync_handler};
use crate::context::Context;
use crate::open_inference::repository::{
    Action, ControlParameter, IndexRow, control, index, named_repository,
};
use crate::rest::{Call, Reply, handler};
use crate::tensor_json::JsonLimits;

/// The routes of the repository.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let index = post(sync_handler(ctx, repository_index));
    let refused = post(sync_handler(ctx, refuse_named));
    Router::new()
        .route("/v2/repository/index", index.clone())
        .route("/v2/repository/{repository}/index", index)
        .route(
            "/v2/repository/models/{model}/load",
            post(handler::<OpenInference, _, _>(ctx, load)),
        )
        .route(
            "/v2/repository/models/{model}/unload",
            post(handler::<OpenInference, _, _>(ctx, unload)),
        )
        .route(
            "/v2/repository/{repository}/models/{model}/load",
            refused.clone(),
        )
        .route("/v2/repository/{repository}/models/{model}/unload", refused)
}

fn repository_index(ctx: &Context, call: &Call) -> Result<Reply> {
    let limits = JsonLimits::from(&ctx.limits);
    let is_ready_only = Object::body(&call.body, &limits)?.bool("ready")?;
    let rows = index(ctx, is_ready_only.unwrap_or_default());
    Ok(json_reply(&rows.iter().map(row).collect()))
}

fn row(row: &IndexRow) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(row.name));
    if let Some(version) = &row.version {
        fields.insert("version".to_owned(), json!(version));
    }
    fields.insert("state".to_owned(), json!(row.state));
    fields.insert("reason".to_owned(), json!(row.reason));
    Value::Object(fields)
}

async fn load(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let name = apply(&ctx, &call, Action::Load).await?;
    Ok(json_reply(&json!({"name": name, "load": true})))
}

async fn unload(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let name = apply(&ctx, &call, Action::Unload).await?;
    Ok(json_reply(&json!({"name": name, "unload": true})))
}

async fn apply(ctx: &Context, call: &Call, action: Action) -> Result<String> {
    // Checked before the body, so that its errors do not reveal whether control is on.
    ctx.check_control()?;
    let name = call.required_model()?;
    let limits = JsonLimits::from(&ctx.limits);
    let parameters = Object::body(&call.body, &limits)?.parameters()?;
    let parameters = parameters
        .iter()
        .map(|(key, value)| (key.as_str(), ControlParameter::Plain(value.clone())));
    control(ctx, action, &name, parameters).await?;
    Ok(name.to_string())
}

fn refuse_named(_: &Context, call: &Call) -> Result<Reply> {
    let repository = call.path_parameter("repository").unwrap_or_default();
    Err(named_repository(repository))
}
