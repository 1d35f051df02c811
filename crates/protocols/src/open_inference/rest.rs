//! The Open Inference Protocol over HTTP.

use std::sync::Arc;

use axum::Router;
use contract::{Error, RequestId};

use crate::context::Context;
use crate::rest::{Dialect, open_inference_error};

/// The errors of this dialect.
#[derive(Debug)]
pub(crate) struct OpenInference;

impl Dialect for OpenInference {
    const NAME: &'static str = "open_inference";

    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8> {
        open_inference_error(error, id)
    }
}

pub(crate) fn routes(_ctx: &Arc<Context>) -> Router {
    Router::new()
}
