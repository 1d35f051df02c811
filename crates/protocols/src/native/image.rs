//! `POST /predict/image`: returns the most probable classes of a picture.
//!
//! Decision: pre-processing follows Pillow and torchvision to one step of an 8-bit pixel, because
//! models are trained behind them. It runs on threads that may block, and not on more of them than
//! there are cores, which also bounds the memory of decoded pictures.

mod classes;
mod container;
mod geometry;
mod picture;
mod pixels;
mod upload;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use contract::{
    ElementType, Error, InferRequest, ModelInfo, NamedTensor, Result, SharedModelInfo, Tensor,
    TensorSpec,
};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::classes::{Class, best_classes};
use self::picture::PictureFile;
use self::pixels::to_tensor;
use super::decode::only_input;
use super::encode::Provenance;
use super::target::target;
use crate::context::Context;
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;

/// A semaphore that lets at most one decoder per core run.
#[derive(Clone, Debug)]
pub(super) struct DecodeLimiter(Arc<Semaphore>);

impl Default for DecodeLimiter {
    fn default() -> Self {
        let n_permits = available_parallelism().map_or(1, NonZeroUsize::get);
        Self(Arc::new(Semaphore::new(n_permits)))
    }
}

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
    let mut route = ctx
        .infer
        .route_for(&target, &call.attributes(b"", limits))?;
    let served_by = std::mem::take(&mut route.served_by);
    let top_k = top_k(&call, &route.info)?;
    let output = class_output(&route.info)?.name.clone();
    let image = upload::image(&call).await?;
    let max_pixels = ctx.limits.image_pixels;
    let input = decode_limiter
        .prepare(&route.info, image, max_pixels)
        .await?;
    let mut request = InferRequest::new(call.id, vec![input]);
    request.outputs = vec![output];
    request.deadline = call.deadline;
    let start = Instant::now();
    let response = ctx.infer.infer(route, request).await?;
    let latency = start.elapsed();
    let Some(scores) = response.outputs.first() else {
        return Err(Error::internal("answer lacks the requested output"));
    };
    let reply = Reply::serialized(&ImageReply {
        predictions: best_classes(scores, &response.info, top_k)?,
        provenance: Provenance::new(&response.info, latency),
    })?;
    Ok(reply.with_served_by(served_by))
}

impl DecodeLimiter {
    /// Converts a picture into the input of a model.
    async fn prepare(
        &self,
        info: &SharedModelInfo,
        image: Bytes,
        max_pixels: usize,
    ) -> Result<NamedTensor> {
        if info.image.is_none() {
            return Err(no_image_settings(info));
        }
        let name = only_input(info)?.name.clone();
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let info = Arc::clone(info);
        let work = move || {
            let _permit = permit;
            prepare_tensor(&info, image, max_pixels)
        };
        let tensor = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::internal(format!("decoding an image: {error}")))??;
        Ok(NamedTensor { name, tensor })
    }
}

fn prepare_tensor(info: &ModelInfo, image: Bytes, max_pixels: usize) -> Result<Tensor> {
    let settings = info.image.as_ref().ok_or_else(|| no_image_settings(info))?;
    let file = PictureFile::read(image, max_pixels)?;
    to_tensor(&file, settings, only_input(info)?, max_pixels)
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
