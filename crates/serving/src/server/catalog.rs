//! Implementation of `Catalog` for the server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::{Catalog, ModelName, ModelStatus, Readiness, Result, VersionStatistics};

use super::{Server, readiness};
use crate::control::snapshot::{ServedVersion, Snapshot};

impl Server {
    fn with_warnings(&self, status: ModelStatus) -> ModelStatus {
        let warning = self.rollout_files.warning(&status.name);
        ModelStatus {
            warnings: warning.into_iter().collect(),
            ..status
        }
    }
}

impl Catalog for Server {
    fn models(&self) -> Vec<ModelStatus> {
        let snapshot = self.published.load();
        let models = snapshot.table.models.iter();
        models
            .map(|(name, row)| self.with_warnings(snapshot.status(name, row)))
            .collect()
    }

    fn model(&self, name: &ModelName) -> Result<ModelStatus> {
        let snapshot = self.published.load();
        Ok(self.with_warnings(snapshot.status(name, snapshot.table.model(name)?)))
    }

    fn readiness(&self) -> Readiness {
        let is_shutting_down = self.is_shutting_down.load(Ordering::Acquire);
        let stuck = |served: &Arc<ServedVersion>| served.loaded_version.stuck_reason();
        let snapshot = self.published.load();
        let Snapshot { table, roots, .. } = &**snapshot;
        let mut readiness = readiness::readiness(table, roots, is_shutting_down, stuck);
        readiness.warnings.extend(self.warnings.iter().cloned());
        readiness
    }

    fn statistics(&self, name: Option<&ModelName>) -> Result<Vec<VersionStatistics>> {
        let snapshot = self.published.load();
        let rows = match name {
            Some(name) => vec![snapshot.table.model(name)?],
            None => snapshot.table.models.values().collect(),
        };
        let versions = rows.into_iter().flat_map(|row| &row.versions);
        let served = versions.filter_map(|row| row.handle.as_ref());
        let counters = served.map(|served| served.loaded_version.counters());
        Ok(counters.collect())
    }
}
