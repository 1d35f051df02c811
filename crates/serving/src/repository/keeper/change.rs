//! Changes by operators, and what the files change by themselves, with their history.
//!
//! Rule: what an operator asks for is kept before it is in force and answered afterwards, so that
//! nothing that was acknowledged is lost. A step back waits for no disk: it is in force first, and
//! taken back when it cannot be kept. What the files do is in force first and kept then.

use std::time::{Duration, SystemTime};

use contract::{Change, HistoryEntry, ModelName, Result, Routing, Version};
use tokio::sync::oneshot;

use super::{Keeper, NEVER, answer};
use crate::repository::wishes::Wishes;

/// Who acts when files change.
const WATCH: &str = "watch";

/// A change that somebody asks for.
#[derive(Debug)]
pub(crate) struct Order {
    /// The model.
    pub(crate) model: ModelName,
    /// The change.
    pub(crate) change: Change,
    /// Who asks.
    pub(crate) actor: String,
}

/// A call that waits until a version serves.
#[derive(Debug)]
pub(super) struct VersionLoad {
    model: ModelName,
    version: Version,
    actor: String,
    done: oneshot::Sender<Result<Routing>>,
}

impl VersionLoad {
    /// A call that waits for a version.
    pub(super) fn new(
        model: ModelName,
        version: Version,
        actor: String,
        done: oneshot::Sender<Result<Routing>>,
    ) -> Self {
        Self {
            model,
            version,
            actor,
            done,
        }
    }
}

impl Keeper {
    /// Carries out a change.
    pub(super) async fn change(&mut self, order: Order, done: oneshot::Sender<Result<Routing>>) {
        match self.try_change(&order).await {
            Err(error) => answer(done, Err(error)),
            Ok(Some(version)) => self.version_loads.push(VersionLoad {
                model: order.model,
                version,
                actor: order.actor,
                done,
            }),
            Ok(None) => {
                self.publish();
                answer(done, self.ledger.routing(&order.model));
            }
        }
    }

    /// Gives the version to wait for, when the change is to load one.
    async fn try_change(&mut self, order: &Order) -> Result<Option<Version>> {
        let load = match &order.change {
            Change::Load(version) => {
                self.scan(None).await?;
                Some(version.clone())
            }
            Change::Unload(_)
            | Change::Pin(_)
            | Change::Unpin
            | Change::Label { .. }
            | Change::Unlabel(_)
            | Change::Split(_)
            | Change::Unsplit
            | Change::RollBack => None,
        };
        let outcome = self.ledger.consider(&order.model, order.change.clone())?;
        let version = outcome.version.as_ref();
        let entry = self.entry(&order.model, &order.actor, outcome.what, version);
        let before = match order.change {
            Change::RollBack => self.ledger.wishes(&order.model).cloned(),
            Change::Load(_)
            | Change::Unload(_)
            | Change::Pin(_)
            | Change::Unpin
            | Change::Label { .. }
            | Change::Unlabel(_)
            | Change::Split(_)
            | Change::Unsplit => None,
        };
        if before.is_some() {
            self.put_in_force(&order.model, outcome.wishes.clone());
        }
        let kept = self.archive.keep(&order.model, &outcome.wishes, &entry);
        if let Err(error) = kept.await {
            if let Some(before) = before {
                self.put_in_force(&order.model, before);
            }
            return Err(error);
        }
        tracing::info!(model = %order.model, actor = entry.actor, change = entry.what, "changed");
        self.ledger.adopt(&order.model, outcome.wishes);
        let settle = match &load {
            Some(version) => {
                self.ledger.forgive(&order.model, version);
                Duration::ZERO
            }
            None => NEVER,
        };
        self.plan(&order.model, settle, false);
        self.defaults = self.ledger.defaults();
        Ok(load)
    }

    fn put_in_force(&mut self, model: &ModelName, wishes: Wishes) {
        self.ledger.adopt(model, wishes);
        self.plan(model, NEVER, false);
        self.publish();
    }

    /// Answers the calls whose version serves or has failed.
    pub(super) fn answer_version_loads(&mut self) {
        for load in std::mem::take(&mut self.version_loads) {
            match self.ledger.outcome_of(&load.model, &load.version) {
                None => self.version_loads.push(load),
                Some(Err(error)) => answer(load.done, Err(error)),
                Some(Ok(())) => answer(load.done, self.ledger.routing(&load.model)),
            }
        }
    }

    /// Takes note that the files have given a version new content.
    pub(super) async fn note_content(&mut self, model: &ModelName, version: &Version) {
        let fingerprint = self.ledger.fingerprint(model, version);
        let wishes = self.ledger.wishes(model).cloned();
        let (Some(fingerprint), Some(mut wishes)) = (fingerprint, wishes) else {
            return;
        };
        let known = wishes.contents.insert(version.clone(), fingerprint.clone());
        if known.as_ref() != Some(&fingerprint) {
            let what = format!("new content of version {version}");
            let entry = self.entry(model, WATCH, what, Some(version));
            self.keep(model, wishes, &entry).await;
        }
    }

    /// Takes note of models where a load or the files have made another version answer by default.
    pub(super) async fn note_defaults(&mut self) {
        let now = self.ledger.defaults();
        let before = std::mem::replace(&mut self.defaults, now.clone());
        for (model, to) in &now {
            let from = before.get(model).filter(|from| *from != to);
            let wishes = self.ledger.wishes(model);
            if let (Some(from), Some(wishes)) = (from, wishes) {
                let wishes = wishes.after_default_moved(from);
                let what = format!("version {to} answers by default instead of {from}");
                let entry = self.entry(model, self.loader(model, to), what, Some(to));
                self.keep(model, wishes, &entry).await;
            }
        }
    }

    /// Takes note of models where the files share out the requests in another way.
    pub(super) async fn note_file_splits(&mut self) {
        let now = self.ledger.file_splits();
        let before = std::mem::replace(&mut self.file_splits, now.clone());
        for (model, split) in &now {
            let is_new = before.get(model).is_some_and(|before| before != split);
            let wishes = self.ledger.wishes(model).filter(|_| is_new).cloned();
            if let Some(mut wishes) = wishes {
                wishes.generation += 1;
                let what = "`traffic` in `model.yaml` has changed".to_owned();
                let entry = self.entry(model, WATCH, what, None);
                self.keep(model, wishes, &entry).await;
            }
        }
    }

    /// Who has made a version serve.
    fn loader(&self, model: &ModelName, version: &Version) -> &str {
        let mut loads = self.version_loads.iter();
        let load = loads.find(|load| load.model == *model && load.version == *version);
        load.map_or(WATCH, |load| &load.actor)
    }

    pub(super) fn entry(
        &self,
        model: &ModelName,
        actor: &str,
        what: String,
        version: Option<&Version>,
    ) -> HistoryEntry {
        HistoryEntry {
            at: SystemTime::now(),
            actor: actor.to_owned(),
            what,
            version: version.cloned(),
            fingerprint: version.and_then(|version| self.ledger.fingerprint(model, version)),
        }
    }

    /// What the files do is in force whether or not it can be kept.
    async fn keep(&mut self, model: &ModelName, wishes: Wishes, entry: &HistoryEntry) {
        if let Err(error) = self.archive.keep(model, &wishes, entry).await {
            let diagnostic = error.diagnostic();
            tracing::error!(%model, diagnostic, "the history of a model cannot be kept");
        }
        self.ledger.adopt(model, wishes);
    }
}
