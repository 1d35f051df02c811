//! The handles of all rollouts by id.
//!
//! Decision: readers use a map that is swapped as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use contract::{Code, Error, Result};

use super::snapshot::RolloutHandle;

/// The handles by id.
type HandlesById = BTreeMap<String, Arc<RolloutHandle>>;

/// The handles of all rollouts.
#[derive(Debug, Default)]
pub(super) struct Handles(ArcSwap<HandlesById>);

impl Handles {
    /// Returns all handles.
    pub(super) fn load(&self) -> Guard<Arc<HandlesById>> {
        self.0.load()
    }

    /// Adds a handle, in place of an earlier one with the same id.
    pub(super) fn insert(&self, id: &str, handle: &Arc<RolloutHandle>) {
        self.0.rcu(|handles| {
            let mut handles = BTreeMap::clone(handles);
            handles.insert(id.to_owned(), Arc::clone(handle));
            handles
        });
    }

    /// Returns the handle of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub(super) fn get(&self, id: &str) -> Result<Arc<RolloutHandle>> {
        self.load().get(id).cloned().ok_or_else(|| {
            let message = format!("there is no rollout `{}`", id.escape_debug());
            Error::new(Code::RolloutNotFound, message)
        })
    }
}
