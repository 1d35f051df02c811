//! `GET /`: an overview of the routes.

use std::sync::Arc;

use api::server::Index;
use contract::Result;

use super::API_VERSION;
use crate::context::Context;
use crate::rest::{Call, Reply};

/// Handles `GET /`.
pub(super) async fn index(ctx: Arc<Context>, _: Call) -> Result<Reply> {
    Reply::serialized(&Index {
        name: "lockgate".to_owned(),
        version: ctx.server.version.clone(),
        api_version: API_VERSION.to_owned(),
        status: "alive".to_owned(),
        predict: "/predict".to_owned(),
        models: "/models".to_owned(),
        health: "/health".to_owned(),
        metrics: "/metrics".to_owned(),
        open_inference: "/v2".to_owned(),
        openapi: "/openapi.json".to_owned(),
        docs: "/docs".to_owned(),
    })
}
