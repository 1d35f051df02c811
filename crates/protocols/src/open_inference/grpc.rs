//! The gRPC side of the Open Inference Protocol.

mod generated;

use std::sync::Arc;

use tonic::service::Routes;

use crate::context::Context;

/// The services of this protocol.
pub(crate) fn routes(_ctx: &Arc<Context>) -> Routes {
    Routes::default()
}
