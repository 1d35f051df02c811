//! Request guard: reports and counts how a request ended, however it ends.
//!
//! Decision: a guard. A future that is dropped before its answer is a cancelled request, and is
//! reported like every other end.

use std::time::Instant;

use contract::{Code, Event, InferResponse, Result, Timings};
use tokio::time;

use super::LoadedVersion;
use crate::admission::InFlightGuard;

/// A request that has not ended.
#[derive(Debug)]
pub(super) struct RequestGuard<'a> {
    loaded_version: &'a LoadedVersion,
    started: Instant,
    admitted: Option<Admitted>,
    is_finished: bool,
}

#[derive(Debug)]
struct Admitted {
    n_rows: usize,
    /// Dropped last, so that a task that waits for the end of all requests finds them counted.
    _in_flight: InFlightGuard,
}

impl<'a> RequestGuard<'a> {
    /// Starts the guard of a request that begins now.
    pub(super) fn new(loaded_version: &'a LoadedVersion) -> Self {
        Self {
            loaded_version,
            started: time::Instant::now().into_std(),
            admitted: None,
            is_finished: false,
        }
    }

    /// Returns the start of the request.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Records that the request was admitted.
    pub(super) fn mark_admitted(&mut self, in_flight: InFlightGuard, n_rows: usize) {
        self.admitted = Some(Admitted {
            n_rows,
            _in_flight: in_flight,
        });
        self.loaded_version
            .executor
            .observe
            .observe(&Event::RequestAdmitted {
                model: &self.loaded_version.executor.info.model,
                version: &self.loaded_version.executor.info.version,
            });
    }

    /// Records that the request ended with an answer or an error.
    pub(super) fn finish(mut self, result: &Result<InferResponse>) {
        self.is_finished = true;
        match result {
            Ok(response) => self.end(None, Some(response.timings)),
            Err(error) => self.end(Some(error.code()), None),
        }
    }

    fn end(&self, error: Option<Code>, timings: Option<Timings>) {
        let now = time::Instant::now().into_std();
        let latency = now.saturating_duration_since(self.started);
        if let Some(admitted) = &self.admitted {
            let counters = &self.loaded_version.executor.counters;
            match &timings {
                Some(timings) => counters.record_success(admitted.n_rows, latency, timings),
                None => counters.record_failure(latency),
            }
        }
        self.loaded_version
            .executor
            .observe
            .observe(&Event::RequestFinished {
                model: &self.loaded_version.executor.info.model,
                version: &self.loaded_version.executor.info.version,
                was_admitted: self.admitted.is_some(),
                error,
                latency,
                timings,
            });
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.end(Some(Code::Cancelled), None);
        }
    }
}
