//! Mirrors: copies of requests for a candidate, sent after the caller has its answer.
//!
//! Inputs: a request that the stable version answers, and a random number. Rule: a share of the
//! requests is copied, which costs a reference to the bytes of its tensors; a copy waits in a short
//! queue and is dropped when the queue is full or the copy is large. The caller never waits for it.
//! Cold start and recovery: none, there is no state. Rejected: copying before the answer, so that
//! both versions run at once, because the copy would delay the caller where cores are few.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::{Code, InferRequest, InferResponse, NamedTensor, Result};
use tokio::sync::mpsc;

/// Number of waiting copies. Each holds its tensors, so this times [`MAX_BYTES`] bounds memory.
const MAX_COPIES: usize = 32;

/// Largest request that is copied.
const MAX_BYTES: usize = 4 << 20;

/// A copy of a request that the stable version answered, for the candidate.
#[derive(Debug)]
pub(crate) struct MirroredRequest {
    /// The inputs.
    pub(crate) inputs: Vec<NamedTensor>,
    /// The outputs that were asked for; empty for all.
    pub(crate) outputs: Vec<String>,
    /// The answer of stable, or the code of its error.
    pub(crate) answer: Result<MirroredResponse, Code>,
}

/// An answer to compare.
#[derive(Debug)]
pub(crate) struct MirroredResponse {
    /// The outputs.
    pub(crate) outputs: Vec<NamedTensor>,
    /// Run time of the engine.
    pub(crate) infer: Duration,
}

contract::named_enum! {
    /// Reason why a copy was not compared.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum DropReason {
        /// Shadow requests have used up their share of the time of the workers.
        Budget = "budget",
        /// Too many copies wait.
        QueueFull = "queue_full",
        /// The candidate took too long.
        Deadline = "deadline",
        /// The request is too large to keep.
        TooLarge = "too_large",
        /// The candidate could not accept it.
        CandidateError = "candidate_error",
    }
    /// Returns the name in reports and metrics.
    fn as_str
}

/// Copies that were dropped, by reason.
#[derive(Debug, Default)]
pub(crate) struct DropCounters([AtomicU64; DropReason::ALL.len()]);

impl DropCounters {
    /// Counts a dropped copy.
    pub(crate) fn add(&self, reason: DropReason) {
        let index = DropReason::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = index.and_then(|index| self.0.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns all counts by reason.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = DropReason::ALL.iter().zip(&self.0);
        counts.map(|(reason, count)| (reason.as_str(), count.load(Ordering::Relaxed)))
    }
}

/// Copies a share of the requests.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Requests whose random number is below this are copied.
    limit: u64,
    copies: mpsc::Sender<MirroredRequest>,
    drops: std::sync::Arc<DropCounters>,
}

impl Mirror {
    /// Creates a mirror for this share of the requests, and the receiver of its copies.
    pub(crate) fn new(
        share: f64,
        drops: std::sync::Arc<DropCounters>,
    ) -> (Self, mpsc::Receiver<MirroredRequest>) {
        let (copies, arriving) = mpsc::channel(MAX_COPIES);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 1 of the numbers below 2^32"
        )]
        let limit = (share.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
        let mirror = Self {
            limit,
            copies,
            drops,
        };
        (mirror, arriving)
    }

    /// Returns a copy of the request, when `draw` selects it.
    pub(crate) fn copy(&self, request: &InferRequest, draw: u64) -> Option<MirroredRequest> {
        // The low bits choose the arm.
        if draw >> 32 >= self.limit {
            return None;
        }
        let n_bytes: usize = request.inputs.iter().map(|i| i.tensor.data().len()).sum();
        if n_bytes > MAX_BYTES {
            self.drops.add(DropReason::TooLarge);
            return None;
        }
        Some(MirroredRequest {
            inputs: request.inputs.clone(),
            outputs: request.outputs.clone(),
            answer: Err(Code::Cancelled),
        })
    }

    /// Sends a copy with the result of stable; mistakes of the caller are no evidence and not sent.
    pub(crate) fn send(&self, copy: MirroredRequest, result: &Result<InferResponse>) {
        let answer = match result {
            Ok(response) => Ok(MirroredResponse {
                outputs: response.outputs.clone(),
                infer: response.timings.compute,
            }),
            Err(error) if error.code().is_client_mistake() => return,
            Err(error) => Err(error.code()),
        };
        if self
            .copies
            .try_send(MirroredRequest { answer, ..copy })
            .is_err()
        {
            self.drops.add(DropReason::QueueFull);
        }
    }
}

#[cfg(test)]
mod tests;
