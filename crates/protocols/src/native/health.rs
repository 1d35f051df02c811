//! `GET /health`, `/health/live` and `/health/ready`.
//!
//! Decision: readiness comes from `Catalog` and is never computed here, so all dialects and the
//! process manager agree.

use std::sync::Arc;

use api::server::{Health, HealthStatus, Live, ModelHealth, Ready};
use contract::{Code, ModelName, ModelStatus, Result};

use crate::context::Context;
use crate::rest::{Call, Reply};

/// Handles `GET /health`: 503 while the server is not ready.
pub(super) async fn health(ctx: Arc<Context>, _: Call) -> Result<Reply> {
    let readiness = ctx.catalog.readiness();
    let models = ctx.catalog.models();
    let only = match models.as_slice() {
        [only] => only.latest(),
        _ => None,
    };
    let reply = Reply::serialized(&Health {
        status: if readiness.is_ready {
            HealthStatus::Healthy
        } else {
            HealthStatus::Unhealthy
        },
        reason: readiness.reason,
        warnings: readiness.warnings,
        model_loaded: models.iter().any(|model| model.latest().is_some()),
        model_version: only.map(|status| status.version.to_string()),
        gpu_available: ctx.server.is_gpu_available,
        models: models
            .iter()
            .map(|model| (model.name.to_string(), model.into()))
            .collect(),
    })?;
    Ok(with_readiness(reply, readiness.is_ready, Code::Unavailable))
}

/// Handles `GET /health/live`: the process serves HTTP.
pub(super) async fn live(_: Arc<Context>, _: Call) -> Result<Reply> {
    Reply::serialized(&Live { live: true })
}

/// Handles `GET /health/ready` for the server or, with `model`, for one model.
pub(super) async fn ready(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let model = match call.model()? {
        Some(model) => Some(model),
        None => call
            .query_parameter("model")
            .map(|name| ModelName::new(&name))
            .transpose()?,
    };
    match model {
        Some(name) => model_ready(&ctx.catalog.model(&name)?),
        None => {
            let readiness = ctx.catalog.readiness();
            let reply = Reply::serialized(&Ready {
                model: None,
                ready: readiness.is_ready,
                model_version: None,
                reason: readiness.reason,
            })?;
            Ok(with_readiness(reply, readiness.is_ready, Code::Unavailable))
        }
    }
}

fn model_ready(model: &ModelStatus) -> Result<Reply> {
    let health = ModelHealth::from(model);
    let reply = Reply::serialized(&Ready {
        model: Some(model.name.to_string()),
        ready: health.ready,
        model_version: health.model_version,
        reason: health.reason.unwrap_or_default(),
    })?;
    Ok(with_readiness(reply, health.ready, Code::ModelNotReady))
}

fn with_readiness(reply: Reply, is_ready: bool, otherwise: Code) -> Reply {
    match is_ready {
        true => reply,
        false => reply.with_code(otherwise),
    }
}
