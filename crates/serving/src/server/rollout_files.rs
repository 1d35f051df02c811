//! Rollout files in model folders: a version that waits starts its rollout by the file beside it.
//!
//! Decision: a task of its own looks at every snapshot and asks a pure function ([`FileSituation::plan`])
//! what each file means now. A file is started once it has been the same for a second and is still the same
//! on the disk, because a file may be read while it is written. What was started is remembered in
//! the store, so that a restart starts nothing again.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{ModelName, Result, Store, Version, VersionState};
use rollout::driver::{FileKey, FilePlan, FileSituation, StartedFiles};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Server;
use crate::catalog::layout::{FoundRolloutFile, ROLLOUT_FILE};
use crate::control::persistence::blocking;

/// Time between two checks of the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// Time for which a file must stay the same before it is started.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// Rollout files of a server.
#[derive(Debug)]
pub(super) struct RolloutFiles {
    store: Arc<dyn Store>,
    warnings: ArcSwap<BTreeMap<ModelName, String>>,
}

/// Files that were started, by model.
pub(super) type StartedByModel = BTreeMap<ModelName, StartedFiles>;

impl RolloutFiles {
    /// Creates the state of a server that has not looked at any file.
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            warnings: ArcSwap::default(),
        }
    }

    /// Returns the files that were started before. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds a record that this version cannot read.
    pub(super) fn started(&self) -> Result<StartedByModel> {
        StartedFiles::all(&*self.store)
    }

    /// Returns why the file of a model has no effect.
    pub(super) fn warning(&self, model: &ModelName) -> Option<String> {
        self.warnings.load().get(model).cloned()
    }

    /// Publishes the warnings, and logs those that are new.
    fn warn(&self, warnings: BTreeMap<ModelName, String>) {
        let before = self.warnings.load();
        for (model, warning) in &warnings {
            if before.get(model) != Some(warning) {
                tracing::warn!(%model, warning, "rollout file has no effect");
            }
        }
        if **before != warnings {
            self.warnings.store(Arc::new(warnings));
        }
    }
}

/// Follows the files until the server is dropped.
pub(super) async fn follow(server: Weak<Server>, started: StartedByModel) {
    let mut watcher = RolloutFileWatcher {
        started,
        settling: BTreeMap::new(),
    };
    let mut checks = interval(INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        let Some(server) = server.upgrade() else {
            return;
        };
        watcher.check(&server).await;
    }
}

/// State of the task that follows the files.
#[derive(Debug)]
struct RolloutFileWatcher {
    started: StartedByModel,
    /// Files that may be started, with the time since which they are the same.
    settling: BTreeMap<ModelName, (FileKey, Instant)>,
}

impl RolloutFileWatcher {
    async fn check(&mut self, server: &Server) {
        let mut warnings = BTreeMap::new();
        let snapshot = server.published.load_full();
        for (model, folder) in &snapshot.rollout_files {
            let warning = match &folder.file.text {
                Ok(text) => {
                    let plan = self.plan(server, model, text, folder.has_waiting_versions);
                    self.apply(server, model, &folder.file, plan).await
                }
                Err(unreadable) => Some(unreadable.clone()),
            };
            warnings.extend(warning.map(|warning| (model.clone(), warning)));
        }
        let files = &snapshot.rollout_files;
        self.settling.retain(|model, _| files.contains_key(model));
        server.rollout_files.warn(warnings);
    }

    fn plan(&self, server: &Server, model: &ModelName, text: &str, waits: bool) -> FilePlan {
        let snapshot = server.published.load();
        let row = snapshot.table.model(model);
        let status = row.map(|row| snapshot.status(model, row));
        let mut ready: Vec<Version> = Vec::new();
        let mut default = None;
        if let Ok(status) = &status {
            let versions = status.versions.iter();
            let versions = versions.filter(|version| version.state == VersionState::Ready);
            ready.extend(versions.map(|version| version.version.clone()));
            default = status.latest().map(|latest| latest.version.clone());
        }
        let running = server.rollouts.active(model);
        FileSituation {
            model,
            text,
            started: self.started.get(model),
            running: running.as_ref(),
            default: default.as_ref(),
            ready: &ready,
            has_waiting_versions: waits,
        }
        .plan()
    }

    /// Applies a plan; returns why the file has no effect.
    async fn apply(
        &mut self,
        server: &Server,
        model: &ModelName,
        file: &FoundRolloutFile,
        plan: FilePlan,
    ) -> Option<String> {
        let (key, text) = match plan {
            FilePlan::Nothing => return None,
            FilePlan::Warn(warning) => return Some(format!("`{ROLLOUT_FILE}` {warning}")),
            FilePlan::Ignore(key, warning) => {
                self.remember(server, model, None, key).await;
                return Some(format!("`{ROLLOUT_FILE}` {warning}"));
            }
            FilePlan::Start(key, text) => (key, text),
        };
        if !self.has_settled(model, &key) || !is_on_disk(file).await {
            return None;
        }
        match Box::pin(server.rollouts.start(&text, ROLLOUT_FILE)).await {
            Ok(_status) => {
                let running = server.rollouts.active(model);
                let id = running.map(|running| running.id);
                self.remember(server, model, id, key).await;
                None
            }
            Err(error) => Some(format!(
                "`{ROLLOUT_FILE}` cannot start: {}",
                error.message()
            )),
        }
    }

    fn has_settled(&mut self, model: &ModelName, key: &FileKey) -> bool {
        let now = Instant::now();
        let (known, since) = self
            .settling
            .entry(model.clone())
            .or_insert_with(|| (key.clone(), now));
        if known != key {
            (*known, *since) = (key.clone(), now);
        }
        now.duration_since(*since) >= SETTLING_TIME
    }

    /// Remembers a file that is not to be started again; `id` is the rollout that it started.
    async fn remember(
        &mut self,
        server: &Server,
        model: &ModelName,
        id: Option<String>,
        key: FileKey,
    ) {
        let started = self.started.entry(model.clone()).or_default();
        if !started.add(id, key) {
            return;
        }
        let (store, record) = (Arc::clone(&server.rollout_files.store), started.clone());
        let name = model.clone();
        let written = blocking(move || record.persist(&*store, &name)).await;
        if let Err(error) = written {
            let diagnostic = error.diagnostic();
            tracing::error!(%model, diagnostic, "failed to persist started rollout file");
        }
    }
}

/// Returns whether a file has the text that was found.
async fn is_on_disk(file: &FoundRolloutFile) -> bool {
    let path = file.path.clone();
    let read = tokio::task::spawn_blocking(move || FoundRolloutFile::read(path)).await;
    read.is_ok_and(|read| read == *file)
}
