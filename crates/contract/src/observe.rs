//! `Observe`: where events go.

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

/// Takes events. Called on the request path by `serving` and `protocols`, from many threads at
/// once; must never block and never fail.
pub trait Observe: Send + Sync + fmt::Debug {
    /// Takes note of an event.
    fn observe(&self, event: &Event<'_>);

    /// What has been observed, for `GET /metrics`.
    fn exposition(&self) -> Exposition;
}
