//! Changes of what is served: each is a decoded body, one call, and what decides from then on.

use std::sync::Arc;

use contract::{Change, Result, Version};
use serde::{Deserialize, Serialize};

use super::routing::reply;
use super::traffic::TrafficBody;
use super::{actor, body, model, path};
use crate::context::Context;
use crate::rest::{Call, Reply};

/// `{"version": "2"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionBody {
    version: WrittenVersion,
}

/// A version, with or without quotes.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a version or a label")]
pub(super) enum WrittenVersion {
    Number(u64),
    Text(String),
}

impl WrittenVersion {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// Answers `PUT .../traffic`.
pub(super) async fn split(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let split = body::<TrafficBody>(&call)?.into_split()?;
    change(&ctx, &call, Change::Split(split)).await
}

/// Answers `DELETE .../traffic`.
pub(super) async fn unsplit(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    change(&ctx, &call, Change::Unsplit).await
}

/// Answers `PUT .../labels/{label}`.
pub(super) async fn label(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let version = body::<VersionBody>(&call)?.version.into_text();
    let label = path(&call, "label")?;
    change(&ctx, &call, Change::Label { label, version }).await
}

/// Answers `DELETE .../labels/{label}`.
pub(super) async fn unlabel(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let label = path(&call, "label")?;
    change(&ctx, &call, Change::Unlabel(label)).await
}

/// Answers `PUT .../default`.
pub(super) async fn pin(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let version = body::<VersionBody>(&call)?.version.into_text();
    change(&ctx, &call, Change::Pin(version)).await
}

/// Answers `DELETE .../default`.
pub(super) async fn unpin(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    change(&ctx, &call, Change::Unpin).await
}

/// Answers `POST .../versions/{version}/load`.
pub(super) async fn load(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let version = Version::new(&path(&call, "version")?)?;
    change(&ctx, &call, Change::Load(version)).await
}

/// Answers `POST .../versions/{version}/unload`.
pub(super) async fn unload(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let version = Version::new(&path(&call, "version")?)?;
    change(&ctx, &call, Change::Unload(version)).await
}

/// Answers `POST .../rollback`.
pub(super) async fn roll_back(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    change(&ctx, &call, Change::RollBack).await
}

async fn change(ctx: &Context, call: &Call, change: Change) -> Result<Reply> {
    ctx.check_control()?;
    let model = model(call)?;
    ctx.control.change(&model, change, actor(call)).await?;
    reply(ctx, &model)
}
