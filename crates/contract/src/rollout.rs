//! `Rollouts`: letting a new version of a model take over step by step, decided from evidence.
//!
//! Decision: where a rollout stands and what is known crosses as a JSON document that its owner has
//! made. The same document goes to callers, to a gate that is asked, and into the record of a move;
//! nobody between them looks into it, so nobody has to be changed when a number joins it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::infer::BoxFuture;

/// A JSON document that is passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// A document of text that is JSON.
    #[must_use]
    pub fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something that an operator wants of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// What.
    pub kind: ActionKind,
    /// Who.
    pub actor: String,
    /// Why, in the words of the operator.
    pub reason: String,
    /// The generation that the operator looked at.
    pub generation: Option<u64>,
}

/// What an operator may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Open the gates before the next weight, or take it without a verdict.
    Promote,
    /// Freeze the weight.
    Hold,
    /// Go on after a hold.
    Resume,
    /// Back to stable: the candidate is worse.
    Rollback,
    /// Back to stable: never mind.
    Abort,
}

impl ActionKind {
    /// Every act.
    pub const ALL: [Self; 5] = [
        Self::Promote,
        Self::Hold,
        Self::Resume,
        Self::Rollback,
        Self::Abort,
    ];

    /// Its name in calls and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Rollback => "rollback",
            Self::Abort => "abort",
        }
    }
}

/// Something that those who watch a rollout are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutEvent {
    /// It moved: the transition with its reason.
    Transition(RawJson),
    /// What is known now; at most once a second.
    Evidence(RawJson),
}

/// The news of one rollout, from now on.
pub trait RolloutWatch: Send + fmt::Debug {
    /// The next piece of news; `None` when the rollout has ended and everything was told. Somebody
    /// who is slow misses evidence, and never the last transition.
    fn next(&mut self) -> BoxFuture<'_, Option<RolloutEvent>>;
}

/// What somebody assumes about a rollout, to see how it would go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulationInput {
    /// Requests for the model each second.
    pub requests_per_second: f64,
    /// Events per request of stable, by metric; the rest is as the simulator assumes.
    pub stable_rates: Vec<(String, f64)>,
    /// The same of the candidate.
    pub candidate_rates: Vec<(String, f64)>,
    /// How often it is played.
    pub n_runs: usize,
    /// The same seed gives the same numbers.
    pub seed: u64,
}

/// Starts, shows and moves rollouts. Called by admin endpoints; may be called from many tasks at
/// once.
pub trait Rollouts: Send + Sync + fmt::Debug {
    /// Starts a rollout from its file, YAML or JSON; gives its status.
    ///
    /// # Errors
    /// `invalid_request` with the path of the key that is wrong, `model_not_found`,
    /// `version_not_found`, `conflict` when another rollout has the model.
    fn start<'a>(&'a self, file: &'a str, actor: &'a str) -> BoxFuture<'a, Result<RawJson>>;

    /// The status of every rollout, those that run first, as a JSON array.
    fn list(&self) -> RawJson;

    /// Where a rollout stands.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn status(&self, id: &str) -> Result<RawJson>;

    /// All numbers of a rollout with their limits.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn evidence(&self, id: &str) -> Result<RawJson>;

    /// The verdict as a number, for other tools: 1 for not worse, 0 for unknown, -1 for worse.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn verdict(&self, id: &str) -> Result<RawJson>;

    /// The last `limit` moves of a rollout, the newest first, as a JSON array.
    ///
    /// # Errors
    /// `rollout_not_found`, or `internal` when they cannot be read.
    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<RawJson>>;

    /// Does what an operator wants; gives the status after it.
    ///
    /// # Errors
    /// `rollout_not_found`, or `conflict` when the state does not allow it or has moved on.
    fn apply_action<'a>(
        &'a self,
        id: &'a str,
        action: OperatorAction,
    ) -> BoxFuture<'a, Result<RawJson>>;

    /// Follows a rollout from now on.
    ///
    /// # Errors
    /// `rollout_not_found`.
    fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>>;

    /// The arm of a unit, its bucket and its number; counts nothing.
    ///
    /// # Errors
    /// `rollout_not_found`, or `invalid_request` for the empty unit.
    fn assign(&self, id: &str, unit: &str) -> Result<RawJson>;

    /// What followers of this server are told: where each rollout is that runs, and who has won the
    /// last one of a model.
    ///
    /// # Errors
    /// `conflict` when this server follows another one itself.
    fn leader_state(&self) -> Result<RawJson>;

    /// Does here what the leader told by [`Rollouts::leader_state`], which may be told any number of
    /// times; gives what was counted here since it began to follow, by the id of each rollout that
    /// runs. A rollout that cannot be followed is logged and keeps nobody from the others.
    ///
    /// # Errors
    /// `conflict` when this server follows nobody, or `invalid_request` for what no leader says.
    fn follow<'a>(
        &'a self,
        leader_state: &'a RawJson,
    ) -> BoxFuture<'a, Result<Vec<(String, RawJson)>>>;

    /// Takes what a replica has counted so far, as it got it from [`Rollouts::follow`]; a new
    /// process is a new replica. The same counts may come twice.
    ///
    /// # Errors
    /// `rollout_not_found`, `conflict` when the rollout has ended, has too many replicas or is
    /// decided elsewhere, or `invalid_request` with the path of what cannot be.
    fn record_replica_counts(&self, id: &str, replica: &str, counts: &RawJson) -> Result<RawJson>;

    /// Plays a rollout on a virtual clock. Blocks for as long as that takes.
    ///
    /// # Errors
    /// `invalid_request` with the path of the key that is wrong.
    fn simulate(&self, file: &str, input: &SimulationInput) -> Result<RawJson>;
}

/// What a gate said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateDecision {
    /// Go on.
    Proceed,
    /// Not yet, or no answer at all: it is asked again later.
    Wait,
    /// Roll back.
    RollBack,
}

/// What became of an attempt to tell somebody something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It was taken.
    Delivered,
    /// It was refused for good, with why: it would be refused again.
    Refused(String),
    /// It did not get through, with why: it may do so later.
    Failed(String),
}

/// Asks the gates of rollouts, and tells others about rollouts. Called by the driver of a rollout,
/// which never waits for an answer before it looks at the evidence again.
pub trait Webhooks: Send + Sync + fmt::Debug {
    /// Whether somebody at this address could be asked or told something.
    ///
    /// # Errors
    /// `invalid_request` with what is wrong about the address.
    fn check(&self, url: &str) -> Result<()>;

    /// Posts the status of a rollout to a gate. A failure of any kind is [`GateDecision::Wait`].
    fn query_gate<'a>(
        &'a self,
        url: &'a str,
        status: &'a RawJson,
        timeout: Duration,
    ) -> BoxFuture<'a, GateDecision>;

    /// Posts JSON to somebody who wants to know, once; whoever calls tries again.
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
