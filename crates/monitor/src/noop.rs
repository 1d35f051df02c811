//! The replacement of the monitor when metrics are switched off.
//!
//! Decision: a type of its own, so that the monitor checks no setting at each event.

use contract::{Event, ExpositionFormat, Observe};

use crate::metrics::END_OF_OPEN_METRICS;

/// An observer that ignores every event.
#[derive(Debug, Clone, Copy)]
pub struct NoopObserver;

impl Observe for NoopObserver {
    fn observe(&self, _event: &Event<'_>) {}

    fn exposition(&self, format: ExpositionFormat) -> String {
        match format {
            ExpositionFormat::Text => String::new(),
            ExpositionFormat::OpenMetrics => END_OF_OPEN_METRICS.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Monitor;

    #[test]
    fn what_is_forgotten_is_still_an_exposition() {
        let monitor = Monitor::new("1.0");
        for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics] {
            let nothing = NoopObserver.exposition(format);
            assert!(monitor.exposition(format).ends_with(&nothing));
            assert!(nothing.lines().all(|line| line.starts_with('#')));
        }
    }
}
