//! The simple JSON API: `/predict` and its family.

use std::sync::Arc;

use axum::Router;
use contract::{Error, RequestId};

use crate::context::Context;
use crate::rest::{Dialect, native_error};

/// The errors of this dialect.
#[derive(Debug)]
pub(crate) struct Native;

impl Dialect for Native {
    const NAME: &'static str = "native";

    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8> {
        native_error(error, id)
    }
}

pub(crate) fn routes(_ctx: &Arc<Context>) -> Router {
    Router::new()
}
