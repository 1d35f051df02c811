//! The model repository: folders on disk become versions that serve.
//!
//! Decision: what is served is an immutable snapshot, swapped whole. One task owns the state behind
//! it; whatever happens (a changed file, a call, a finished load) is an event of that task.

pub(crate) mod layout;
pub(crate) mod plan;
pub(crate) mod settings;
