//! `POST /predict/image`: returns the most probable classes of a picture.
//!
//! Decision: pre-processing follows Pillow and torchvision to one step of an 8-bit pixel, because
//! models are trained behind them. It runs on threads that may block, and not on more of them than
//! there are cores, which also bounds the memory of decoded pictures. A picture that cannot be
//! answered in time is refused from its header.

mod classes;
mod container;
mod decode_limiter;
mod decode_queue;
mod geometry;
mod picture;
mod pixels;
mod upload;

use std::sync::Arc;

use contract::{
    ElementType, Error, InferRequest, ModelInfo, NamedTensor, Result, SharedModelInfo, Target,
    TensorSpec,
};
use serde::Serialize;
use tokio::time::Instant;

pub(super) use decode_limiter::DecodeLimiter;

use self::classes::{Class, best_classes};
use self::picture::PictureFile;
use self::pixels::to_tensor;
use super::encode::Provenance;
use super::inputs::only_input;
use super::target::target;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::rest::{Call, EarlyAdmission, Reply};
use crate::routed::{infer, refused};
use crate::tensor_json::JsonLimits;

#[derive(Serialize)]
struct ImageReply<'a> {
    predictions: Vec<Class<'a>>,
    #[serde(flatten)]
    provenance: Provenance<'a>,
}

/// Handles `POST /predict/image`.
pub(super) async fn predict_image(
    ctx: Arc<Context>,
    call: Call,
    decode_limiter: DecodeLimiter,
) -> Result<Reply> {
    let limits = JsonLimits::from(&ctx.limits);
    let target = target(&call, None, None)?;
    let route = ctx
        .infer
        .route_for(&target, &call.attributes(b"", limits))?;
    let deadline = deadline(&call, &route.info);
    refuse_early(&ctx, target, deadline)?;
    let decoded = decode(&ctx, &decode_limiter, &route.info, &call, deadline).await;
    let (request, top_k) = decoded.map_err(|error| refused(&ctx, &route, call.received, error))?;
    let start = Instant::now();
    let (served_by, response) = infer(&ctx, route, request).await?;
    let latency = start.elapsed();
    let Some(scores) = response.outputs.first() else {
        return Err(Error::internal("answer lacks the requested output"));
    };
    let reply = offload(output_bytes(&response), || {
        Reply::serialized(&ImageReply {
            predictions: best_classes(scores, &response.info, top_k)?,
            provenance: Provenance::new(&response.info, latency),
        })
    });
    Ok(reply?.with_served_by(served_by))
}

/// Returns the deadline of a call: that of the caller, but no later than the model allows.
fn deadline(call: &Call, info: &ModelInfo) -> Option<std::time::Instant> {
    let default = info.default_timeout;
    let default = default.and_then(|timeout| call.received.checked_add(timeout));
    call.deadline.into_iter().chain(default).min()
}

/// Refuses a call that the queue of its model would make late.
fn refuse_early(ctx: &Context, target: Target, deadline: Option<std::time::Instant>) -> Result<()> {
    let Some(deadline) = deadline else {
        return Ok(());
    };
    let priority = Some(0);
    EarlyAdmission { target, priority }.refuse(ctx, deadline)
}

/// Decodes a call into a request for the scores, and the number of classes to return.
async fn decode(
    ctx: &Context,
    decode_limiter: &DecodeLimiter,
    info: &SharedModelInfo,
    call: &Call,
    deadline: Option<std::time::Instant>,
) -> Result<(InferRequest, usize)> {
    let top_k = top_k(call, info)?;
    let output = class_output(info)?.name.clone();
    let file = read_file(call, info, ctx.limits.image_pixels)?;
    let input = prepare(ctx, decode_limiter, info, file, deadline).await?;
    let mut request = InferRequest::new(call.id.clone(), vec![input]);
    request.outputs = vec![output];
    request.deadline = deadline;
    Ok((request, top_k))
}

/// Finds the picture of a call and checks it, all but its pixels.
fn read_file(call: &Call, info: &ModelInfo, max_pixels: usize) -> Result<PictureFile> {
    if info.image.is_none() {
        return Err(no_image_settings(info));
    }
    offload(call.body.len(), || {
        PictureFile::read(upload::image(call)?, max_pixels)
    })
}

/// Converts a picture into the input of a model.
async fn prepare(
    ctx: &Context,
    decode_limiter: &DecodeLimiter,
    info: &SharedModelInfo,
    file: PictureFile,
    deadline: Option<std::time::Instant>,
) -> Result<NamedTensor> {
    let name = only_input(info)?.name.clone();
    let max_pixels = ctx.limits.image_pixels;
    let info = Arc::clone(info);
    let convert = move |picture| {
        let settings = info.image.as_ref();
        let settings = settings.ok_or_else(|| no_image_settings(&info))?;
        to_tensor(picture, settings, only_input(&info)?, max_pixels)
    };
    let tensor = decode_limiter.decode(file, deadline, convert).await?;
    Ok(NamedTensor { name, tensor })
}

fn no_image_settings(info: &ModelInfo) -> Error {
    Error::invalid(format!(
        "model `{}` has no image settings; add `image:` to its `model.yaml`",
        info.model
    ))
}

/// Returns the output with the scores: the first one of floats.
fn class_output(info: &ModelInfo) -> Result<&TensorSpec> {
    let is_float = |spec: &&TensorSpec| {
        matches!(
            spec.element_type,
            ElementType::F16 | ElementType::BF16 | ElementType::F32 | ElementType::F64
        )
    };
    info.signature.outputs.iter().find(is_float).ok_or_else(|| {
        Error::invalid(format!(
            "model `{}` has no output of floats to read class scores from; use `/predict`",
            info.model
        ))
    })
}

/// Returns the number of classes in a reply: `top_k` of the query, otherwise of the model.
fn top_k(call: &Call, info: &ModelInfo) -> Result<usize> {
    let Some(text) = call.query_parameter("top_k") else {
        return Ok(info.output.top_k);
    };
    match text.parse() {
        Ok(top_k) if top_k > 0 => Ok(top_k),
        Ok(_) | Err(_) => Err(Error::invalid(format!(
            "`top_k` must be a whole number of 1 or more, got `{}`",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests;
