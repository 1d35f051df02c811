//! The types and traits that every part of Lockgate shares.
//!
//! Plain types, one error, one event enum and a few object-safe traits; no I/O, no async runtime, no serde. Wire
//! and file formats have their own types, in the crates that use them, and convert to these.

pub mod admission_level;
pub mod catalog;
pub mod concurrency;
pub mod engine;
pub mod error;
pub mod event;
pub mod feedback;
pub mod golden;
pub mod infer;
pub mod lifecycle;
pub mod memory_store;
pub mod model;
mod named_enum;
pub mod observe;
pub mod recorder;
pub mod request;
pub mod response;
pub mod rollout;
pub mod scheduling;
mod served_by;
pub mod shared_rollouts;
pub mod store;
pub mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
pub mod traffic;

pub use admission_level::AdmissionLevel;
pub use catalog::{
    BatchStatistics, Catalog, CountAndTime, ModelStatus, Readiness, VersionState,
    VersionStatistics, VersionStatus,
};
pub use concurrency::{Concurrency, SessionLayout, SessionMode};
pub use engine::{Engine, LoadSpec, LoadedModel, Session, Terminate};
pub use error::{Code, Error, Result};
pub use event::{Event, RolloutRate, RolloutReading, RolloutScore};
pub use feedback::{Feedback, FeedbackSink, FeedbackTarget, FeedbackValue, Label};
pub use golden::{GoldenDecoder, GoldenRequest};
pub use infer::{AssignmentAttributes, BoxFuture, Infer, Route, Target, Urgency};
pub use lifecycle::{Lifecycle, NewVersions};
pub use memory_store::MemoryStore;
pub use model::{
    Dimension, ImageChannels, ImageInput, ImageLayout, ImageResize, ModelInfo, ModelName,
    OutputPostprocessing, SharedModelInfo, Signature, TensorSpec, Version, VersionSelector,
};
pub use observe::{ExpositionFormat, Observe};
pub use recorder::Recorder;
pub use request::{InferRequest, NamedTensor, Parameter, Parameters, RequestId};
pub use response::{InferResponse, Timings};
pub use rollout::{
    ActionKind, DeliveryOutcome, GateAnswer, GateDecision, HttpReply, OperatorAction, RawJson,
    RolloutEvent, RolloutWatch, Rollouts, SimulationInput, Webhooks,
};
pub use scheduling::{ExecutionTarget, RunCost, Scheduling, SchedulingReading};
pub use served_by::ServedBy;
pub use shared_rollouts::{
    ActionRequest, Decision, NewRollout, PendingCount, PendingCounts, Push, SharedRecord,
    SharedRollout, SharedRollouts, UnitObservation,
};
pub use store::{Store, Write};
pub use tensor::{Element, ElementType, Shape, StringBuffer, Tensor, TensorBuffer};
pub use traffic::{
    Arm, ArmResult, AssignmentHash, Bandit, Change, Comparison, Difference, Fallback, HistoryEntry,
    Layer, OutputCounts, RewardResult, Routing, SampleRatio, Split, Traffic, Unit, UnitSource,
    check_traffic_name,
};
