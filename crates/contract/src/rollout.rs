//! `Rollouts`: replaces the stable version of a model step by step, decided from evidence.
//!
//! Decision: the status and the evidence of a rollout cross crates as a JSON document that the
//! rollout has made. The same document goes to callers, to gates, and into the record of a
//! transition; the code between them does not read it, so a new number in it changes no other code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::infer::BoxFuture;

/// A JSON document that is passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// Creates a document from text that is JSON.
    #[must_use]
    pub fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An order of an operator for a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// The kind of action.
    pub kind: ActionKind,
    /// The operator.
    pub actor: String,
    /// The reason that the operator gave.
    pub reason: String,
    /// The generation that the operator saw; with a later one the action is refused.
    pub generation: Option<u64>,
}

crate::named_enum! {
    /// Kind of operator action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ActionKind {
        /// Open the gates before the next weight, or take it without a verdict.
        Promote = "promote",
        /// Freeze the weight.
        Hold = "hold",
        /// Continue after a hold.
        Resume = "resume",
        /// Give all traffic back to stable, because the candidate is worse.
        Rollback = "rollback",
        /// Give all traffic back to stable, without a judgement on the candidate.
        Abort = "abort",
    }
    /// Returns its name in calls and commands.
    fn as_str
}

/// An event that watchers of a rollout receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutEvent {
    /// A change of state, with its reason.
    Transition(RawJson),
    /// The current evidence; at most once a second.
    Evidence(RawJson),
}

/// Stream of the events of one rollout, from now on.
pub trait RolloutWatch: Send + fmt::Debug {
    /// Returns the next event; `None` when the rollout has ended and every event was returned. A
    /// slow watcher misses evidence, but never the last transition.
    fn next(&mut self) -> BoxFuture<'_, Option<RolloutEvent>>;
}

/// Assumptions of a rollout simulation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulationInput {
    /// Requests for the model each second.
    pub requests_per_second: f64,
    /// Events per request of stable, by metric; other metrics have the default of the simulator.
    pub stable_rates: Vec<(String, f64)>,
    /// The same of the candidate.
    pub candidate_rates: Vec<(String, f64)>,
    /// The number of simulated runs.
    pub n_runs: usize,
    /// The seed of the random numbers; the same seed gives the same result.
    pub seed: u64,
}

/// Starts, shows and controls rollouts. Called by admin endpoints; may be called from many tasks at
/// once.
pub trait Rollouts: Send + Sync + fmt::Debug {
    /// Starts a rollout from its file, YAML or JSON; returns its status. A rollout that runs with the
    /// same contents is left alone, so that a call may be repeated.
    ///
    /// # Errors
    /// `invalid_request` with the path of the key that is wrong, `model_not_found`,
    /// `version_not_found`, `conflict` when another rollout has the model, or another file the id.
    fn start<'a>(&'a self, file: &'a str, actor: &'a str) -> BoxFuture<'a, Result<RawJson>>;

    /// Returns the status of every rollout as a JSON array, running ones first.
    fn list(&self) -> RawJson;

    /// Returns the status of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn status(&self, id: &str) -> Result<RawJson>;

    /// Returns the evidence of a rollout: all numbers with their limits.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn evidence(&self, id: &str) -> Result<RawJson>;

    /// Returns the verdict as a number, for other tools: 1 for not worse, 0 for unknown, -1 for
    /// worse.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn verdict(&self, id: &str) -> Result<RawJson>;

    /// Returns the last `limit` transitions of a rollout, the newest first, as a JSON array.
    ///
    /// # Errors
    /// `rollout_not_found`, or `internal` when they cannot be read.
    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<RawJson>>;

    /// Applies an operator action; returns the status after it.
    ///
    /// # Errors
    /// `rollout_not_found`, or `conflict` when the state does not allow it or has changed since.
    fn apply_action<'a>(
        &'a self,
        id: &'a str,
        action: OperatorAction,
    ) -> BoxFuture<'a, Result<RawJson>>;

    /// Watches a rollout from now on.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>>;

    /// Returns the arm of a unit, its bucket and its number, without counting the unit.
    ///
    /// # Errors
    /// `rollout_not_found`, or `invalid_request` for the empty unit.
    fn assign(&self, id: &str, unit: &str) -> Result<RawJson>;

    /// Simulates a rollout on a virtual clock. Blocks until the simulation has ended, or
    /// `is_cancelled` returns true.
    ///
    /// # Errors
    /// `invalid_request` with the path of the key that is wrong, or `cancelled`.
    fn simulate(
        &self,
        file: &str,
        input: &SimulationInput,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<RawJson>;
}

/// Decision of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateDecision {
    /// The rollout continues.
    Proceed,
    /// Not yet, or no answer: the gate is queried again later.
    Wait,
    /// The rollout is rolled back.
    RollBack,
}

/// Answer of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateAnswer {
    /// The decision that follows from it.
    pub decision: GateDecision,
    /// The answer in a few words, for the status of the rollout.
    pub text: String,
}

/// Reply to an HTTP request, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Outcome of one attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver accepted it.
    Delivered,
    /// The receiver refused it for this reason, and would refuse it again.
    Refused(String),
    /// It was not delivered for this reason; a later attempt may succeed.
    Failed(String),
}

/// Queries the gates of rollouts and sends notifications. Called by the rollout task, which never
/// waits for an answer before its next sample.
pub trait Webhooks: Send + Sync + fmt::Debug {
    /// Checks that a webhook can be reached under an address of this kind; sends nothing.
    ///
    /// # Errors
    /// `invalid_request` with what is wrong with the address.
    fn check(&self, url: &str) -> Result<()>;

    /// Posts the status of a rollout to a gate. A failure of any kind is [`GateDecision::Wait`], with
    /// the reason in the text.
    fn query_gate<'a>(
        &'a self,
        url: &'a str,
        status: &'a RawJson,
        timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer>;

    /// Sends an instant query to the Prometheus server at this address once; returns the reply, or
    /// why there is none.
    fn query_prometheus<'a>(
        &'a self,
        url: &'a str,
        query: &'a str,
        timeout: Duration,
    ) -> BoxFuture<'a, std::result::Result<HttpReply, String>>;

    /// Posts a notification once; the caller retries.
    fn notify<'a>(
        &'a self,
        url: &'a str,
        message: &'a RawJson,
        timeout: Duration,
    ) -> BoxFuture<'a, DeliveryOutcome>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_names_match_the_operator_commands() {
        let names = ActionKind::ALL.map(ActionKind::as_str);
        assert_eq!(names, ["promote", "hold", "resume", "rollback", "abort"]);
    }

    #[test]
    fn raw_json_is_passed_on_byte_for_byte() {
        let text = "{ \"b\": 1,\n \"a\": [ ] }";
        let document = RawJson::new(text);
        assert_eq!(document.as_str(), text);
        assert_eq!(
            document.clone().as_str().as_ptr(),
            document.as_str().as_ptr()
        );
    }
}
