//! `GET /models`, `/models/{model}` and `/model/info`: models, versions and signatures.

use std::sync::Arc;

use api::model::{Info, Model, ModelList, ModelVersion};
use contract::{Code, Error, ModelStatus, Result};

use super::target::target;
use crate::context::Context;
use crate::rest::{Call, Reply};

/// Handles `GET /models`.
pub(super) async fn list(ctx: Arc<Context>, _: Call) -> Result<Reply> {
    let models = ctx.catalog.models();
    Reply::serialized(&ModelList {
        models: models.iter().map(Model::summary).collect(),
    })
}

/// Handles `GET /models/{model}`, and with `/versions/{version}` for one version.
pub(super) async fn model(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let model = ctx.catalog.model(&call.required_model()?)?;
    match call.path_parameter("version") {
        None => Reply::serialized(&Model::detail(&model)),
        Some(version) => version_reply(&model, version),
    }
}

fn version_reply(model: &ModelStatus, version: &str) -> Result<Reply> {
    let status = match version {
        "latest" => model.latest(),
        number => model.version(number),
    };
    let status = status.ok_or_else(|| {
        let known: Vec<_> = model
            .versions
            .iter()
            .map(|status| format!("`{}`", status.version))
            .collect();
        Error::new(
            Code::VersionNotFound,
            format!(
                "version `{}` of model `{}` is not found; it has {}",
                version.escape_debug(),
                model.name,
                known.join(", ")
            ),
        )
    })?;
    Reply::serialized(&ModelVersion::detail(Some(&model.name), status))
}

/// Handles `GET /model/info`: the version that would answer a call.
pub(super) async fn info(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let route = ctx.infer.route(&target(&call, None, None)?)?;
    Reply::serialized(&Info::from(&*route.info))
}
