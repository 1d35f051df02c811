//! The simple JSON API: `/predict` and its variants.
//!
//! Decision: a body has no element types and no shapes; they come from the signature of the model
//! that will answer. So every handler routes first and decodes then.

mod batch;
mod decode;
mod encode;
mod feedback;
mod health;
mod image;
mod index;
mod inputs;
mod media;
mod models;
mod predict;
mod target;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use contract::{Error, RequestId};

use crate::context::Context;
use crate::rest::{Dialect, EarlyAdmission, Head, handler, native_error};

pub(crate) use decode::PredictBody;
pub(crate) use predict::predict;

/// The version of this API, in every reply.
const API_VERSION: &str = "v1";

/// The errors of this dialect.
#[derive(Debug)]
pub(crate) struct Native;

impl Dialect for Native {
    const NAME: &'static str = "native";

    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8> {
        native_error(error, id)
    }

    /// Returns the target that the path gives. There are no priorities, and a body may name a model
    /// and a version, but no others than those.
    fn early_admission(head: &Head<'_>) -> Option<EarlyAdmission> {
        let target = head.query.is_empty().then(|| head.path_target()).flatten();
        target.map(|target| EarlyAdmission {
            target,
            priority: Some(0),
        })
    }
}

/// All routes of this dialect but [`checks`] and [`routes_under_api`].
pub(crate) fn routes(ctx: &Arc<Context>) -> Router {
    Router::new()
        .merge(predictions(ctx))
        .merge(images(ctx))
        .merge(descriptions(ctx))
}

fn predictions(ctx: &Arc<Context>) -> Router {
    let predict = || post(handler::<Native, _, _>(ctx, predict::predict));
    let batch = || post(handler::<Native, _, _>(ctx, batch::predict_batch));
    let feedback = || post(handler::<Native, _, _>(ctx, feedback::feedback));
    Router::new()
        .route("/predict", predict())
        .route("/v1/predict", predict())
        .route("/models/{model}/predict", predict())
        .route("/models/{model}/versions/{version}/predict", predict())
        .route("/predict/batch", batch())
        .route("/v1/predict/batch", batch())
        .route("/v1/feedback", feedback())
}

fn images(ctx: &Arc<Context>) -> Router {
    let decode_limiter = image::DecodeLimiter::default();
    let predict = || {
        let decode_limiter = decode_limiter.clone();
        post(handler::<Native, _, _>(ctx, move |ctx, call| {
            image::predict_image(ctx, call, decode_limiter.clone())
        }))
    };
    Router::new()
        .route("/predict/image", predict())
        .route("/v1/predict/image", predict())
        .route("/models/{model}/predict/image", predict())
        .route(
            "/models/{model}/versions/{version}/predict/image",
            predict(),
        )
}

fn descriptions(ctx: &Arc<Context>) -> Router {
    let model = || get(handler::<Native, _, _>(ctx, models::model));
    Router::new()
        .route("/", get(handler::<Native, _, _>(ctx, index::index)))
        .route("/models", get(handler::<Native, _, _>(ctx, models::list)))
        .route("/models/{model}", model())
        .route("/models/{model}/versions/{version}", model())
        .route(
            "/model/info",
            get(handler::<Native, _, _>(ctx, models::info)),
        )
}

/// Returns the route of a model beside those of operators.
pub(crate) fn routes_under_api(ctx: &Arc<Context>) -> Router {
    let model = get(handler::<Native, _, _>(ctx, models::model));
    Router::new().route("/api/models/{model}", model)
}

/// Returns the routes that show the state of the server and its models.
pub(crate) fn checks(ctx: &Arc<Context>) -> Router {
    let ready = || get(handler::<Native, _, _>(ctx, health::ready));
    Router::new()
        .route("/health", get(handler::<Native, _, _>(ctx, health::health)))
        .route(
            "/health/live",
            get(handler::<Native, _, _>(ctx, health::live)),
        )
        .route("/health/ready", ready())
        .route("/models/{model}/ready", ready())
}

#[cfg(test)]
mod tests;
