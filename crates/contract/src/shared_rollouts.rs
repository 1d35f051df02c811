//! `SharedRollouts`: rollouts that several servers share through one store.
//!
//! Decision: the store knows ids and opaque text, never their meaning, and every write can be
//! repeated: a block of counts by its sequence number, a unit by its fingerprint, a decision by its
//! revision. So a caller that got no answer calls again, and nothing is counted twice. Exactly one
//! server decides about a rollout at a time, the holder of its lease, and the store refuses the
//! decisions of all others.

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::infer::BoxFuture;
use crate::model::ModelName;

/// A rollout that starts.
#[derive(Clone, Copy, Debug)]
pub struct NewRollout<'a> {
    /// The model; it has at most one rollout that has not ended.
    pub model: &'a ModelName,
    /// The id.
    pub id: &'a str,
    /// The first record.
    pub record: &'a str,
}

/// The last rollout of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRollout {
    /// The id.
    pub id: String,
    /// The revision of its record, which grows by one with each decision.
    pub revision: u64,
}

/// The record of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRecord {
    /// The revision.
    pub revision: u64,
    /// The record as its last decision wrote it.
    pub text: String,
}

/// The counts of one replica since its last block.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// The name of the process; a new process is another replica.
    pub replica: &'a str,
    /// The number of the block, which grows with each block of the replica.
    pub sequence: u64,
    /// The block.
    pub block: &'a str,
    /// The units that the replica saw.
    pub units: &'a [UnitObservation],
    /// The time for which the sets of these units are kept when no more are added.
    pub keep_units: Duration,
}

/// The first observation of a unit at one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitObservation {
    /// The name of the set that counts the unit once.
    pub set: String,
    /// The fingerprint of the unit.
    pub fingerprint: u64,
    /// The observation, which counts when no replica had seen the unit.
    pub observation: String,
}

/// One entry of the counts that no decision has used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingCount {
    /// A block of a replica.
    Block(String),
    /// The observation of a unit that is new to its set.
    Unit(String),
}

/// Counts that no decision has used yet, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingCounts {
    /// The entries.
    pub entries: Vec<PendingCount>,
    /// The number of all entries since the start of the rollout, up to the last of these.
    pub end: u64,
}

/// A decision about a rollout.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The holder of the lease.
    pub holder: &'a str,
    /// The revision of the record: one more than that of the record it was made from.
    pub revision: u64,
    /// The new record.
    pub record: &'a str,
    /// The [`PendingCounts::end`] of the counts that the record contains.
    pub counted: u64,
    /// The new transitions.
    pub transitions: &'a [String],
    /// Set when the rollout has ended: it takes no further counts.
    pub has_ended: bool,
}

/// An operator action on its way to the server that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRequest {
    /// The id of the request.
    pub id: String,
    /// The action.
    pub action: String,
}

/// Rollouts that several servers share. Called by the tasks of rollouts, never on the path of a
/// request. Every method may fail with `unavailable` when the store is away; a write may have been
/// made nevertheless.
pub trait SharedRollouts: Send + Sync + fmt::Debug {
    /// Starts a rollout with revision 1. An ended rollout with the same id is replaced.
    ///
    /// # Errors
    /// `conflict` when a rollout of the model has not ended.
    fn create<'a>(&'a self, rollout: NewRollout<'a>) -> BoxFuture<'a, Result<()>>;

    /// Returns the last rollout of each model.
    ///
    /// # Errors
    /// `unavailable`.
    fn list(&self) -> BoxFuture<'_, Result<Vec<SharedRollout>>>;

    /// Returns the record of a rollout, if it is known.
    ///
    /// # Errors
    /// `unavailable`.
    fn record<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SharedRecord>>>;

    /// Returns the last `limit` transitions of a rollout, the newest first.
    ///
    /// # Errors
    /// `unavailable`.
    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<String>>>;

    /// Acquires or renews the lease of a rollout for a time; returns whether `holder` has it now.
    ///
    /// # Errors
    /// `unavailable`.
    fn lease<'a>(
        &'a self,
        id: &'a str,
        holder: &'a str,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Returns the lease of a rollout, when `holder` has it.
    ///
    /// # Errors
    /// `unavailable`.
    fn release<'a>(&'a self, id: &'a str, holder: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Adds the counts of a replica, once for each sequence number, and of the units those that are
    /// new to their set. Counts of an unknown or ended rollout are dropped.
    ///
    /// # Errors
    /// `queue_full` when too many counts are pending; the caller keeps these.
    fn push<'a>(&'a self, id: &'a str, push: Push<'a>) -> BoxFuture<'a, Result<()>>;

    /// Returns the counts that no decision has used yet.
    ///
    /// # Errors
    /// `unavailable`.
    fn pending<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<PendingCounts>>;

    /// Stores a decision and removes the counts that it used.
    ///
    /// # Errors
    /// `conflict` when another server holds the lease, or has decided meanwhile: the caller must
    /// begin again from the stored record.
    fn commit<'a>(&'a self, id: &'a str, decision: Decision<'a>) -> BoxFuture<'a, Result<()>>;

    /// Passes an operator action to the server that decides.
    ///
    /// # Errors
    /// `unavailable`.
    fn request_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<()>>;

    /// Takes an action back; returns whether no server had taken it.
    ///
    /// # Errors
    /// `unavailable`.
    fn withdraw_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Takes the requested actions of a rollout.
    ///
    /// # Errors
    /// `unavailable`.
    fn take_actions<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<ActionRequest>>>;

    /// Answers a request.
    ///
    /// # Errors
    /// `unavailable`.
    fn answer_action<'a>(&'a self, request: &'a str, answer: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Takes the answer to a request, if there is one yet.
    ///
    /// # Errors
    /// `unavailable`.
    fn take_answer<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Option<String>>>;
}
