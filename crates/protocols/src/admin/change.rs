//! Changes of what is served: each handler decodes a body, makes one call, and replies with the
//! routing rules in force.

use std::sync::Arc;

use api::split::Traffic;
use api::version::VersionChoice;
use contract::{Change, Result, Version};

use super::routing::reply;
use super::{actor, path};
use crate::context::Context;
use crate::rest::{Call, Reply};

/// Handles `PUT .../traffic`.
pub(super) async fn split(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let split = call.json::<Traffic>()?.into_split()?;
    change(&ctx, &call, Change::Split(split)).await
}

/// Handles `DELETE .../traffic`.
pub(super) async fn unsplit(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    change(&ctx, &call, Change::Unsplit).await
}

/// Handles `PUT .../labels/{label}`.
pub(super) async fn label(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let version = call.json::<VersionChoice>()?.version.into_text();
    let label = path(&call, "label")?;
    change(&ctx, &call, Change::Label { label, version }).await
}

/// Handles `DELETE .../labels/{label}`.
pub(super) async fn unlabel(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let label = path(&call, "label")?;
    change(&ctx, &call, Change::Unlabel(label)).await
}

/// Handles `PUT .../default`.
pub(super) async fn pin(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let version = call.json::<VersionChoice>()?.version.into_text();
    change(&ctx, &call, Change::Pin(version)).await
}

/// Handles `DELETE .../default`.
pub(super) async fn unpin(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    change(&ctx, &call, Change::Unpin).await
}

/// Handles `POST .../versions/{version}/load`.
pub(super) async fn load(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let version = Version::new(&path(&call, "version")?)?;
    change(&ctx, &call, Change::Load(version)).await
}

/// Handles `POST .../versions/{version}/unload`.
pub(super) async fn unload(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let version = Version::new(&path(&call, "version")?)?;
    change(&ctx, &call, Change::Unload(version)).await
}

/// Handles `POST .../rollback`.
pub(super) async fn roll_back(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    change(&ctx, &call, Change::RollBack).await
}

async fn change(ctx: &Context, call: &Call, change: Change) -> Result<Reply> {
    ctx.check_control()?;
    let model = call.required_model()?;
    ctx.traffic.change(&model, change, actor(call)).await?;
    reply(ctx, &model)
}
