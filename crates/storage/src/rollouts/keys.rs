//! The keys of rollouts in Redis.
//!
//! Decision: all keys have one hash tag, so that a script may touch all of them, and the version of
//! the layout, so that two versions never read each other's state.

/// The start of all keys, with the version of the layout.
const PREFIX: &str = "lockgate:1:{rollouts}:";

/// The hash with the id of the last rollout of each model.
pub(super) fn models() -> String {
    format!("{PREFIX}models")
}

/// The fields of a rollout: record, revision, number of used counts, and whether it has ended.
pub(super) fn fields(id: &str) -> String {
    format!("{PREFIX}rollout:{id}")
}

/// The transitions of a rollout, the oldest first.
pub(super) fn transitions(id: &str) -> String {
    format!("{PREFIX}transitions:{id}")
}

/// The name of the server that decides.
pub(super) fn lease(id: &str) -> String {
    format!("{PREFIX}lease:{id}")
}

/// The counts that no decision has used.
pub(super) fn pending(id: &str) -> String {
    format!("{PREFIX}pending:{id}")
}

/// The last sequence number of a replica. Names of replicas have no colon.
pub(super) fn sequence(id: &str, replica: &str) -> String {
    format!("{PREFIX}sequence:{replica}:{id}")
}

/// The names of the sets of units.
pub(super) fn sets(id: &str) -> String {
    format!("{PREFIX}sets:{id}")
}

/// A set of units.
pub(super) fn units(id: &str, set: &str) -> String {
    format!("{PREFIX}units:{id}:{set}")
}

/// The requested operator actions.
pub(super) fn actions(id: &str) -> String {
    format!("{PREFIX}actions:{id}")
}

/// The answer to a request.
pub(super) fn answer(request: &str) -> String {
    format!("{PREFIX}answer:{request}")
}
