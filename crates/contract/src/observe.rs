//! `Observe`: the receiver of telemetry events.

use std::fmt;

use crate::event::Event;

/// The metrics as text for a scraper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The metrics.
    pub body: String,
}

/// Receives telemetry events. Called on the request path by `serving` and `protocols`, from many
/// threads at once; must never block and never fail.
pub trait Observe: Send + Sync + fmt::Debug {
    /// Records an event.
    fn observe(&self, event: &Event<'_>);

    /// Returns the metrics so far, for `GET /metrics`.
    fn exposition(&self) -> Exposition;
}
