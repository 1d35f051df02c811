//! Rollout files in model folders: what they mean, and which were started.

mod plan;
mod started;

pub use plan::{FilePlan, FileSituation};
pub use started::{FileKey, StartedFiles};
