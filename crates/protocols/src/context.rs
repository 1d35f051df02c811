//! The context of all handlers: the traits of `contract`, and plain settings.

use std::sync::Arc;
use std::time::Duration;

use contract::{
    Catalog, Error, FeedbackSink, Infer, Lifecycle, Observe, Recorder, Result, Rollouts, Traffic,
};

use crate::memory_budget::MemoryBudgets;

/// The services behind all protocols, shared by all listeners.
#[derive(Clone, Debug)]
pub struct Context {
    /// The inference service.
    pub infer: Arc<dyn Infer>,
    /// The models and their status.
    pub catalog: Arc<dyn Catalog>,
    /// Loads and unloads models.
    pub lifecycle: Arc<dyn Lifecycle>,
    /// Changes the routing rules of models.
    pub traffic: Arc<dyn Traffic>,
    /// Records requests for a comparison.
    pub recorder: Arc<dyn Recorder>,
    /// Takes feedback for answers.
    pub feedback: Arc<dyn FeedbackSink>,
    /// The rollouts; `None` where they are not supported.
    pub rollouts: Option<Arc<dyn Rollouts>>,
    /// The observer that counts calls and exposes the metrics.
    pub observe: Arc<dyn Observe>,
    /// The limits of a request.
    pub limits: Limits,
    /// The memory for bodies and replies.
    pub(crate) memory: MemoryBudgets,
    /// The server metadata.
    pub server: ServerInfo,
}

impl Context {
    /// Returns the context of one server behind every trait, without rollouts.
    pub fn new<S>(
        server: &Arc<S>,
        observe: Arc<dyn Observe>,
        limits: Limits,
        info: ServerInfo,
    ) -> Self
    where
        S: Infer + Catalog + Lifecycle + Traffic + Recorder + FeedbackSink + 'static,
    {
        Self {
            infer: Arc::clone(server) as _,
            catalog: Arc::clone(server) as _,
            lifecycle: Arc::clone(server) as _,
            traffic: Arc::clone(server) as _,
            recorder: Arc::clone(server) as _,
            feedback: Arc::clone(server) as _,
            rollouts: None,
            observe,
            memory: limits.memory_budgets(),
            limits,
            server: info,
        }
    }

    /// Adds the rollouts.
    #[must_use]
    pub fn with_rollouts(self, rollouts: Arc<dyn Rollouts>) -> Self {
        Self {
            rollouts: Some(rollouts),
            ..self
        }
    }

    /// Refuses to change what is served unless the server was started for it.
    ///
    /// # Errors
    /// `invalid_request`, with the setting that allows it.
    pub(crate) fn check_control(&self) -> Result<()> {
        match self.server.is_control_enabled {
            true => Ok(()),
            false => Err(Error::invalid(
                "changes of what is served are off; set `model_control: true` to allow them",
            )),
        }
    }
}

/// The limits above which a request is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a body, on the wire and after decompression, REST and gRPC alike.
    pub body_bytes: usize,
    /// Bytes of all large request bodies in memory.
    pub body_memory_bytes: usize,
    /// Bytes of all large replies in memory.
    pub reply_memory_bytes: usize,
    /// Nesting of JSON.
    pub json_depth: usize,
    /// Elements of all tensors of one request.
    pub elements: usize,
    /// Requests of one `POST /predict/batch`.
    pub batch_requests: usize,
    /// Pixels of an image.
    pub image_pixels: usize,
    /// The time in which the head of a request must arrive.
    pub header_timeout: Duration,
    /// The time in which the body of a request must arrive.
    pub body_timeout: Duration,
    /// Concurrent connections.
    pub connections: usize,
    /// Headers of one request.
    pub headers: usize,
}

impl Limits {
    /// Returns new budgets of the memory for bodies and replies.
    pub(crate) fn memory_budgets(&self) -> MemoryBudgets {
        MemoryBudgets::new(self.body_memory_bytes, self.reply_memory_bytes)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            body_memory_bytes: 1 << 30,
            reply_memory_bytes: 1 << 30,
            json_depth: 100,
            elements: 64 << 20,
            batch_requests: 1024,
            image_pixels: 64 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            connections: 4096,
            headers: 100,
        }
    }
}

/// The server metadata.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The version of Lockgate.
    pub version: String,
    /// Is true when a GPU can be used.
    pub is_gpu_available: bool,
    /// Is true when `load` and `unload` may be called; otherwise they are refused.
    pub is_control_enabled: bool,
    /// Is true when `NaN` and infinities are written as `null` unless a request asks otherwise.
    pub is_strict_json: bool,
}

#[cfg(test)]
impl Context {
    /// Returns the context of a server without an engine, for a test to change.
    pub(crate) fn of(echo: &Arc<contract::testing::EchoServer>) -> Self {
        let observe = Arc::new(contract::testing::RecordingObserver::default());
        let info = ServerInfo {
            version: "0.0.0-test".to_owned(),
            is_gpu_available: false,
            is_control_enabled: false,
            is_strict_json: false,
        };
        Self::new(echo, observe, Limits::default(), info)
    }
}
