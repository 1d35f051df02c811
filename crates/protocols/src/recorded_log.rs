//! Log of a thread, for tests of log lines.
//!
//! Decision: latencies are left out, so that lines can be compared.

use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level, Metadata, Subscriber};

/// A guard that records the lines of a thread while it lives.
pub(crate) struct RecordedLog {
    log: Log,
    _another: Dispatch,
    _guard: DefaultGuard,
}

impl RecordedLog {
    pub(crate) fn start() -> Self {
        let log = Log::default();
        Self {
            // With a single subscriber, threads without it would turn logging off for all.
            _another: Dispatch::new(log.clone()),
            _guard: tracing::subscriber::set_default(log.clone()),
            log,
        }
    }

    /// Returns the lines so far.
    pub(crate) fn text(&self) -> String {
        self.log.0.lock().unwrap().join("\n")
    }
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() != "latency_ms" {
            self.0.push_str(&format!(" {field}={value:?}"));
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let mut line = format!("{} {}", metadata.level(), metadata.target());
        event.record(&mut Line(&mut line));
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
