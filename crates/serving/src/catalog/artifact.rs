//! The artifact of a version: its files and its settings.

use std::path::PathBuf;
use std::sync::Arc;

use super::layout::{EngineArtifact, Fingerprint, FoundVersion};
use super::settings::{ModelSettings, VersionSettings};

/// Artifact of a version with its settings; the version is loaded again when this changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VersionArtifact {
    /// The version folder, or a single file.
    pub(crate) path: PathBuf,
    /// Artifacts that the engines would open.
    pub(crate) artifacts: Vec<EngineArtifact>,
    /// Fingerprint of its files.
    pub(crate) fingerprint: Fingerprint,
    /// Settings with which it is served.
    pub(crate) settings: Arc<VersionSettings>,
}

impl VersionArtifact {
    /// Returns the artifact of a found version.
    pub(crate) fn new(found: &FoundVersion, settings: &ModelSettings) -> Self {
        Self {
            path: found.path.clone(),
            artifacts: found.artifacts.clone(),
            fingerprint: found.fingerprint,
            settings: Arc::clone(&settings.version_settings),
        }
    }
}
