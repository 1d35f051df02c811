//! Routes of the protocol that are known but not supported.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use contract::{Code, Error, Result};
use serde_json::json;

use super::{json_reply, sync_handler, versioned};
use crate::context::Context;
use crate::open_inference::parameters::shared_memory;
use crate::rest::{Call, Reply};

/// Returns the routes that answer with the name of the unsupported feature.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let generate = post(sync_handler(ctx, refuse_generate));
    let mut router = versioned(Router::new(), "/generate", generate.clone());
    router = versioned(router, "/generate_stream", generate);
    for memory in ["systemsharedmemory", "cudasharedmemory"] {
        for path in [
            format!("/v2/{memory}"),
            format!("/v2/{memory}/region/{{region}}"),
        ] {
            router = router
                .route(
                    &format!("{path}/status"),
                    get(sync_handler(ctx, no_regions)),
                )
                .route(
                    &format!("{path}/register"),
                    post(sync_handler(ctx, refuse_memory)),
                )
                .route(
                    &format!("{path}/unregister"),
                    post(sync_handler(ctx, refuse_memory)),
                );
        }
    }
    router
}

fn refuse_generate(_: &Context, _: &Call) -> Result<Reply> {
    Err(Error::new(
        Code::Unsupported,
        "generating text is not supported; use `infer` with the tensors of the model",
    ))
}

fn no_regions(_: &Context, _: &Call) -> Result<Reply> {
    Ok(json_reply(&json!([])))
}

fn refuse_memory(_: &Context, _: &Call) -> Result<Reply> {
    Err(shared_memory())
}
