//! The replacement of the monitor when metrics are switched off.
//!
//! Decision: a type of its own, so that the monitor checks no setting at each event.

use contract::{Event, Exposition, Observe};

use crate::observer::CONTENT_TYPE;

/// An observer that ignores every event.
#[derive(Debug, Clone, Copy)]
pub struct NoopObserver;

impl Observe for NoopObserver {
    fn observe(&self, _event: &Event<'_>) {}

    fn exposition(&self) -> Exposition {
        Exposition {
            content_type: CONTENT_TYPE,
            body: "# EOF\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Monitor;

    #[test]
    fn what_is_forgotten_is_still_an_exposition() {
        let (noop, full) = (NoopObserver.exposition(), Monitor::new("1.0").exposition());
        assert_eq!(noop.content_type, full.content_type);
        assert_eq!(noop.body, "# EOF\n");
        assert!(full.body.ends_with(&noop.body));
    }
}
