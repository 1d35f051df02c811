//! An observer that records events as text.

use std::sync::{Mutex, PoisonError};

use crate::event::Event;
use crate::observe::{ExpositionFormat, Observe};

/// Records every event in its debug form.
#[derive(Debug, Default)]
pub struct RecordingObserver {
    events: Mutex<Vec<String>>,
}

impl RecordingObserver {
    /// Returns the events so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Observe for RecordingObserver {
    fn observe(&self, event: &Event<'_>) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(format!("{event:?}"));
    }

    fn exposition(&self, _format: ExpositionFormat) -> String {
        self.events().join("\n")
    }
}
