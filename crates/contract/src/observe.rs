//! `Observe`: the receiver of telemetry events.

use std::fmt;

use crate::event::Event;

/// Text format of the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// The Prometheus text format 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl ExpositionFormat {
    /// Returns the media type with its parameters.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Receives telemetry events. Called on the request path by `serving` and `protocols`, from many
/// threads at once; must never block and never fail.
pub trait Observe: Send + Sync + fmt::Debug {
    /// Records an event.
    fn observe(&self, event: &Event<'_>);

    /// Returns the metrics so far, for `GET /metrics`.
    fn exposition(&self, format: ExpositionFormat) -> String;
}
