//! Everything that can be observed, in one enum: the only input of `monitor`.

use std::time::Duration;

use crate::control::VersionState;
use crate::error::Code;
use crate::model::{ModelName, Version};
use crate::response::Timings;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A version changed its state.
    VersionChanged {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// Its new state.
        state: VersionState,
        /// How long loading took, on the way to `Ready`.
        load_time: Option<Duration>,
    },
    /// A version left the repository; nothing more will happen to it.
    VersionRemoved {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
    },
    /// A request passed validation and admission.
    RequestAdmitted {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
    },
    /// A routed request ended.
    RequestFinished {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// Whether [`Event::RequestAdmitted`] came before.
        was_admitted: bool,
        /// `None` when it was answered, otherwise why not.
        error: Option<Code>,
        /// From validation to the answer.
        latency: Duration,
        /// Where the time went, when it ran.
        timings: Option<Timings>,
    },
    /// An engine ran one batch.
    BatchExecuted {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// Rows of the batch.
        n_rows: usize,
        /// Requests in the batch.
        n_requests: usize,
        /// The run of the engine.
        compute: Duration,
    },
    /// A protocol server answered a call, whatever it was.
    CallFinished {
        /// The dialect: `native`, `open_inference`, `grpc`, ...
        dialect: &'static str,
        /// The stable code of the error, `None` for success.
        error: Option<Code>,
        /// From the head of the request to the head of the reply.
        latency: Duration,
    },
}
