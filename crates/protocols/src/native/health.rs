//! `GET /health`, `/health/live` and `/health/ready`.
//!
//! Decision: readiness comes from `Control` and is never computed here, so all dialects and the
//! process manager agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Code, ModelName, ModelStatus, Result};
use serde::Serialize;

use crate::context::Context;
use crate::rest::{Call, Reply};

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    model_loaded: bool,
    /// The version of the only model; `null` when there are several, each with its own.
    model_version: Option<&'a str>,
    gpu_available: bool,
    models: BTreeMap<&'a str, ModelHealth<'a>>,
}

#[derive(Serialize)]
struct ModelHealth<'a> {
    ready: bool,
    model_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

/// Handles `GET /health`: 503 while the server is not ready.
pub(super) async fn health(ctx: Arc<Context>, _: Call) -> Result<Reply> {
    let readiness = ctx.control.readiness();
    let models = ctx.control.models();
    let only = match models.as_slice() {
        [only] => only.latest(),
        _ => None,
    };
    let reply = Reply::serialized(&Health {
        status: if readiness.is_ready {
            "healthy"
        } else {
            "unhealthy"
        },
        reason: &readiness.reason,
        model_loaded: models.iter().any(|model| model.latest().is_some()),
        model_version: only.map(|status| status.version.as_str()),
        gpu_available: ctx.server.is_gpu_available,
        models: models
            .iter()
            .map(|model| (model.name.as_str(), model_health(model)))
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
        Some(name) => model_ready(&ctx.control.model(&name)?),
        None => {
            let readiness = ctx.control.readiness();
            let reply = Reply::serialized(&Ready {
                model: None,
                ready: readiness.is_ready,
                model_version: None,
                reason: &readiness.reason,
            })?;
            Ok(with_readiness(reply, readiness.is_ready, Code::Unavailable))
        }
    }
}

fn model_ready(model: &ModelStatus) -> Result<Reply> {
    let health = model_health(model);
    let reply = Reply::serialized(&Ready {
        model: Some(model.name.as_str()),
        ready: health.ready,
        model_version: health.model_version,
        reason: health.reason.as_deref().unwrap_or_default(),
    })?;
    Ok(with_readiness(reply, health.ready, Code::ModelNotReady))
}

fn model_health(model: &ModelStatus) -> ModelHealth<'_> {
    let latest = model.latest();
    ModelHealth {
        ready: latest.is_some(),
        model_version: latest.map(|status| status.version.as_str()),
        reason: model.problem(),
    }
}

fn with_readiness(reply: Reply, is_ready: bool, otherwise: Code) -> Reply {
    match is_ready {
        true => reply,
        false => reply.with_code(otherwise),
    }
}
