//! The account of one request: what is observed and counted when it ends, however it ends.
//!
//! Decision: a guard. A future that is dropped before its answer is a cancelled request, and is
//! told like every other end.

use std::time::Instant;

use contract::{Code, Event, InferResponse, Result, Timings};
use tokio::time;

use super::Variant;
use crate::admission::Permit;

/// A request that has not ended.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    variant: &'a Variant,
    started: Instant,
    admitted: Option<Admitted>,
    has_landed: bool,
}

#[derive(Debug)]
struct Admitted {
    n_rows: usize,
    /// Dropped last, so that whoever waits for the end of all requests finds them counted.
    _permit: Permit,
}

impl<'a> Flight<'a> {
    /// A request starts now.
    pub(super) fn new(variant: &'a Variant) -> Self {
        Self {
            variant,
            started: time::Instant::now().into_std(),
            admitted: None,
            has_landed: false,
        }
    }

    /// When the request started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The request was admitted.
    pub(super) fn admitted(&mut self, permit: Permit, n_rows: usize) {
        self.admitted = Some(Admitted {
            n_rows,
            _permit: permit,
        });
        self.variant
            .executor
            .observe
            .observe(&Event::RequestAdmitted {
                model: &self.variant.executor.info.model,
                version: &self.variant.executor.info.version,
            });
    }

    /// The request ended with an answer or an error.
    pub(super) fn land(mut self, result: &Result<InferResponse>) {
        self.has_landed = true;
        match result {
            Ok(response) => self.end(None, Some(response.timings)),
            Err(error) => self.end(Some(error.code()), None),
        }
    }

    fn end(&self, error: Option<Code>, timings: Option<Timings>) {
        let now = time::Instant::now().into_std();
        let latency = now.saturating_duration_since(self.started);
        if let Some(admitted) = &self.admitted {
            let statistics = &self.variant.executor.statistics;
            match &timings {
                Some(timings) => statistics.succeeded(admitted.n_rows, latency, timings),
                None => statistics.failed(latency),
            }
        }
        self.variant
            .executor
            .observe
            .observe(&Event::RequestFinished {
                model: &self.variant.executor.info.model,
                version: &self.variant.executor.info.version,
                was_admitted: self.admitted.is_some(),
                error,
                latency,
                timings,
            });
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.has_landed {
            self.end(Some(Code::Cancelled), None);
        }
    }
}
