//! The log of the runtime about one model.
//!
//! Rule: while the first session is opened every message is logged; after that each place in the
//! runtime logs once, and is quiet at the level `debug` from then on. The runtime repeats a warning
//! with every run, such as that about an output whose declared shape is wrong, and with every
//! further session.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ort::logging::LogLevel;

use super::environment::forward;

/// The messages of the runtime about one model.
#[derive(Debug, Default)]
pub(super) struct ModelLog {
    is_open: AtomicBool,
    /// The places in the runtime that have logged since.
    places: Mutex<BTreeSet<String>>,
}

impl ModelLog {
    /// Begins to log each place once.
    pub(super) fn opened(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Logs a message of the runtime about the model in `file`.
    pub(super) fn write(
        &self,
        file: &Path,
        level: LogLevel,
        category: &str,
        place: &str,
        message: &str,
    ) {
        let message = format!("{}: {message}", file.display());
        forward(self.level(level, place), category, "", place, &message);
    }

    /// Returns the level for a message of the runtime from `place`.
    fn level(&self, level: LogLevel, place: &str) -> LogLevel {
        if !self.is_open.load(Ordering::Relaxed) {
            return level;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match places.contains(place) {
            true => LogLevel::Info,
            false => {
                places.insert(place.to_owned());
                level
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_of_every_run_is_logged_once_for_each_place() {
        let log = ModelLog::default();
        let levels = |place| [(); 2].map(|()| log.level(LogLevel::Warning, place));
        assert_eq!(levels("a.cc:1"), [LogLevel::Warning; 2]);
        log.opened();
        let once = [LogLevel::Warning, LogLevel::Info];
        assert_eq!((levels("a.cc:1"), levels("b.cc:2")), (once, once));
    }
}
