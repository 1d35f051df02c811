//! The tap: records copies of requests while a consumer wants them.
//!
//! Decision: an unrecorded request pays one relaxed load. A recorded one is a clone of its tensors,
//! which share their bytes, and is offered without waiting: a request for which the consumer has no
//! room is not recorded. A recording ends after a number of requests, or when the bytes that it
//! holds would become too many, since a body stays in memory as long as a tensor over it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{InferRequest, ModelName, NamedTensor};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The most bytes of one recording: a thousand pictures, and still little beside a model.
const MAX_BYTES: usize = 256 << 20;

/// The tap that requests of all models pass.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The number of listeners, read by every request.
    n_listeners: AtomicUsize,
    listeners: Mutex<Vec<Listener>>,
}

/// The sending side of a recording.
#[derive(Debug)]
struct Listener {
    model: ModelName,
    requests: mpsc::Sender<Vec<NamedTensor>>,
    n_left: usize,
    bytes_left: usize,
}

/// The receiving side of a recording of one model. Dropping it ends the recording.
#[derive(Debug)]
pub(crate) struct Recording {
    requests: mpsc::Receiver<Vec<NamedTensor>>,
    shared: Arc<Shared>,
}

impl Tap {
    /// Offers a request to the recordings of its model.
    pub(crate) fn offer(&self, model: &ModelName, request: &InferRequest) {
        if self.shared.n_listeners.load(Ordering::Relaxed) > 0 {
            self.shared.offer(model, &request.inputs);
        }
    }

    /// Records the next `n_requests` of a model.
    pub(crate) fn record(&self, model: &ModelName, n_requests: usize) -> Recording {
        // A channel has room for at least one; without a listener it is closed at once.
        let (sender, requests) = mpsc::channel(n_requests.max(1));
        let shared = Arc::clone(&self.shared);
        if n_requests > 0 {
            let mut listeners = shared.listeners();
            listeners.push(Listener {
                model: model.clone(),
                requests: sender,
                n_left: n_requests,
                bytes_left: MAX_BYTES,
            });
            shared.n_listeners.store(listeners.len(), Ordering::Relaxed);
        }
        Recording { requests, shared }
    }
}

impl Shared {
    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, model: &ModelName, inputs: &[NamedTensor]) {
        self.retain(|listener| listener.model != *model || listener.receive(inputs));
    }

    fn retain(&self, is_kept: impl FnMut(&mut Listener) -> bool) {
        let mut listeners = self.listeners();
        listeners.retain_mut(is_kept);
        self.n_listeners.store(listeners.len(), Ordering::Relaxed);
    }
}

impl Listener {
    /// Takes one request. Returns whether it waits for more.
    fn receive(&mut self, inputs: &[NamedTensor]) -> bool {
        let n_bytes: usize = inputs.iter().map(|input| input.tensor.data().len()).sum();
        let Some(bytes_left) = self.bytes_left.checked_sub(n_bytes) else {
            return false;
        };
        self.bytes_left = bytes_left;
        self.n_left = self.n_left.saturating_sub(1);
        self.requests.try_send(inputs.to_vec()).is_ok() && self.n_left > 0
    }
}

impl Recording {
    /// Returns the inputs of the next request; `None` when the recording is complete.
    pub(crate) async fn next(&mut self) -> Option<Vec<NamedTensor>> {
        self.requests.recv().await
    }

    /// Collects the inputs of all requests until the recording is full or `timeout` ends.
    pub(crate) async fn collect(mut self, timeout: Duration) -> Vec<Vec<NamedTensor>> {
        let end = Instant::now() + timeout;
        let mut recorded = Vec::new();
        while let Ok(Some(inputs)) = timeout_at(end, self.next()).await {
            recorded.push(inputs);
        }
        recorded
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.requests.close();
        self.shared
            .retain(|listener| !listener.requests.is_closed());
    }
}

#[cfg(test)]
mod tests {
    use contract::{RequestId, Tensor};

    use super::*;

    fn name(model: &str) -> ModelName {
        ModelName::new(model).unwrap()
    }

    fn request(value: i64) -> InferRequest {
        let tensor = Tensor::from_values([1].into(), vec![value]).unwrap();
        let name = "x".to_owned();
        InferRequest::new(RequestId::new("test"), vec![NamedTensor { name, tensor }])
    }

    fn values(recorded: &[Vec<NamedTensor>]) -> Vec<i64> {
        let tensors = recorded.iter().map(|inputs| &inputs[0].tensor);
        tensors
            .map(|tensor| tensor.to_vec::<i64>().unwrap()[0])
            .collect()
    }

    fn n_listeners(tap: &Tap) -> usize {
        tap.shared.n_listeners.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_has_the_next_requests_of_its_model() {
        let tap = Tap::default();
        tap.offer(&name("digits"), &request(0));
        let recording = tap.record(&name("digits"), 2);
        tap.offer(&name("iris"), &request(1));
        for value in 2..6 {
            tap.offer(&name("digits"), &request(value));
        }
        assert_eq!(n_listeners(&tap), 0, "a full one listens no more");
        let recorded = recording.collect(Duration::from_secs(1)).await;
        assert_eq!(values(&recorded), [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_returns_what_was_recorded() {
        let tap = Tap::default();
        let recording = tap.record(&name("digits"), 5);
        tap.offer(&name("digits"), &request(1));
        let recorded = recording.collect(Duration::from_secs(1)).await;
        assert_eq!(values(&recorded), [1]);
        assert_eq!(n_listeners(&tap), 0);
    }

    #[tokio::test]
    async fn no_listener_is_left_after_the_end() {
        let tap = Tap::default();
        let (first, mut second) = (tap.record(&name("a"), 1), tap.record(&name("a"), 1));
        assert_eq!(n_listeners(&tap), 2);
        drop(first);
        assert_eq!(n_listeners(&tap), 1);
        tap.offer(&name("a"), &request(7));
        assert_eq!(values(&[second.next().await.unwrap()]), [7]);
        assert!(second.next().await.is_none());
        assert!(tap.record(&name("a"), 0).next().await.is_none());
    }

    #[tokio::test]
    async fn a_recorded_tensor_shares_its_bytes() {
        let tap = Tap::default();
        let mut recording = tap.record(&name("a"), 1);
        let request = request(1);
        tap.offer(&name("a"), &request);
        let recorded = recording.next().await.unwrap();
        assert_eq!(
            recorded[0].tensor.data().as_ptr(),
            request.inputs[0].tensor.data().as_ptr()
        );
    }

    #[tokio::test]
    async fn a_recording_ends_before_it_holds_too_much() {
        let tap = Tap::default();
        let mut recording = tap.record(&name("a"), 9);
        if let Some(listener) = tap.shared.listeners().first_mut() {
            listener.bytes_left = 20;
        }
        for value in 0..3 {
            tap.offer(&name("a"), &request(value));
        }
        let mut n_recorded = 0;
        while recording.next().await.is_some() {
            n_recorded += 1;
        }
        assert_eq!(n_recorded, 2, "two of eight bytes");
    }
}
