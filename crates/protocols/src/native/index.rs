//! `GET /`: an overview of the routes.

use std::sync::Arc;

use contract::Result;
use serde::Serialize;

use super::API_VERSION;
use crate::context::Context;
use crate::rest::{Call, Reply};

#[derive(Serialize)]
struct Index<'a> {
    name: &'a str,
    version: &'a str,
    api_version: &'a str,
    // Probes of the KServe protocol, version 1, look for this key.
    status: &'a str,
    predict: &'a str,
    models: &'a str,
    health: &'a str,
    metrics: &'a str,
    open_inference: &'a str,
    openapi: &'a str,
    docs: &'a str,
}

/// Handles `GET /`.
pub(super) async fn index(ctx: Arc<Context>, _: Call) -> Result<Reply> {
    Reply::serialized(&Index {
        name: "lockgate",
        version: &ctx.server.version,
        api_version: API_VERSION,
        status: "alive",
        predict: "/predict",
        models: "/models",
        health: "/health",
        metrics: "/metrics",
        open_inference: "/v2",
        openapi: "/openapi.json",
        docs: "/docs",
    })
}
