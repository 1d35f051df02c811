//! Requests on the version that they were routed to.
//!
//! Rule: however a routed request fails, its version counts it and the reply names the version.

use std::time::Instant;

use contract::{Error, Event, InferRequest, InferResponse, Result, Route, ServedBy};
use tokio::time;

use crate::context::Context;

/// Runs a request on the version of `route`. Returns the version and arm that answered.
///
/// # Errors
/// Those of [`contract::Infer::infer`], with the version and arm.
pub(crate) async fn infer(
    ctx: &Context,
    mut route: Route,
    request: InferRequest,
) -> Result<(ServedBy, InferResponse)> {
    let served_by = std::mem::take(&mut route.served_by);
    match ctx.infer.infer(route, request).await {
        Ok(response) => Ok((served_by, response)),
        Err(error) => Err(error.with_served_by(served_by)),
    }
}

/// Counts a request that cannot be decoded for the version of `route`, like one that the version
/// refuses itself. Returns the error with the version and arm.
pub(crate) fn refused(ctx: &Context, route: &Route, received: Instant, error: Error) -> Error {
    ctx.observe.observe(&Event::RequestFinished {
        model: &route.info.model,
        version: &route.info.version,
        was_admitted: false,
        error: Some(error.code()),
        latency: time::Instant::now()
            .into_std()
            .saturating_duration_since(received),
        timings: None,
    });
    error.with_served_by(route.served_by.clone())
}

#[cfg(test)]
mod tests;
