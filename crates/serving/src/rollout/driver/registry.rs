//! The registry: every rollout of the server by its id.
//!
//! Decision: readers look into a map that is swapped whole, and two starts never run at once. An id
//! is used once, because it is the salt of who gets which version and the name in all records.

mod follow;
mod past;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use contract::{Act, Code, Document, Error, Result, RolloutWatch};
use serde_json::json;
use tokio::sync::{Mutex, oneshot};

use super::Tools;
use super::course::{Clock, Course, Start};
use super::helm::Helm;
use super::notices::{self, Post};
use super::record::{Record, Records};
use super::told::ToldRollout;
use super::view::{Ends, Entry, View, array, document};
use crate::repository::keeper::Command;
use crate::repository::ledger::{Steering, owned_by};
use crate::repository::snapshot::Snapshot;
use crate::rollout::config::{GateKind, RolloutConfig};
use crate::rollout::state::{Action, Rollout};
use crate::route::ActiveSplit;

use follow::Following;

pub(crate) use past::Past;

/// Every rollout.
#[derive(Debug)]
pub(crate) struct Registry {
    tools: Arc<Tools>,
    entries: ArcSwap<BTreeMap<String, Arc<Entry>>>,
    starting: Mutex<()>,
    /// Whom this server follows, if anybody.
    following: Option<Following>,
}

/// How a registry reaches the keeper of the repository.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Where commands go.
    pub(crate) commands: tokio::sync::mpsc::Sender<Command>,
    /// Where the keeper publishes.
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
}

impl Registry {
    /// A registry that goes on with what was there before.
    ///
    /// # Errors
    /// `internal` when a stored rollout cannot be shown.
    pub(crate) fn new(tools: Tools, past: Past, leader: Option<String>) -> Result<Self> {
        let mut registry = Self {
            tools: Arc::new(tools),
            entries: ArcSwap::default(),
            starting: Mutex::default(),
            following: leader.map(Following::new),
        };
        for (rollout, record) in past.ended {
            let split = split_of(&rollout)?;
            registry.enter_own(&rollout, &record, &split)?;
        }
        for (id, model, notices) in past.notices {
            tokio::spawn(Post::new(&registry.tools).deliver(id, model, notices));
        }
        for (config, split, told) in past.followed {
            registry.go_on_following(config, split, told)?;
        }
        for (rollout, record, actions, split) in past.running {
            let (entry, ends) = registry.enter_own(&rollout, &record, &split)?;
            let start = Start {
                rollout,
                record,
                split,
                shown: Arc::clone(&entry.shown),
                ends,
                is_resumed: true,
            };
            registry.run(start, actions);
        }
        Ok(registry)
    }

    fn go_on_following(
        &mut self,
        config: RolloutConfig,
        split: Arc<ActiveSplit>,
        told: ToldRollout,
    ) -> Result<()> {
        let id = config.id.clone();
        let mut trail = self.trail(config, split, told)?.resumed();
        match &mut self.following {
            Some(following) => following.resume(&id, trail),
            None => drop(tokio::spawn(async move {
                if let Err(error) = trail.give_up().await {
                    let diagnostic = error.diagnostic();
                    tracing::error!(rollout = id, %error, diagnostic, "its end is not kept");
                }
            })),
        }
        Ok(())
    }

    /// Starts a rollout; gives its status.
    ///
    /// # Errors
    /// As `Rollouts::start` lists them.
    pub(crate) async fn start(&self, file: &str, actor: &str) -> Result<Document> {
        self.check_decides()?;
        let config =
            RolloutConfig::parse(file).map_err(|error| Error::invalid(error.to_string()))?;
        let _only_one = self.starting.lock().await;
        self.check(&config)?;
        let now = Clock::start().now();
        let (rollout, actions) = Rollout::start(config, now);
        let record = Record::new(file, actor, now, rollout.progress().clone());
        let split = split_of(&rollout)?;
        let id = rollout.config().id.clone();
        let records = &self.tools.records;
        records.keep(&id, &record, Vec::new(), None).await?;
        let config = rollout.config();
        let steering = steering(config, &split);
        self.tools.helm.steer(&config.model, steering).await?;
        tracing::info!(rollout = id, model = %config.model, actor, "a rollout starts");
        let (entry, ends) = self.enter_own(&rollout, &record, &split)?;
        let status = entry.view().status.clone();
        let start = Start {
            rollout,
            record,
            split,
            shown: Arc::clone(&entry.shown),
            ends,
            is_resumed: false,
        };
        self.run(start, actions);
        Ok(status)
    }

    fn check(&self, config: &RolloutConfig) -> Result<()> {
        let entries = self.entries.load();
        if entries.contains_key(&config.id) {
            let message = format!(
                "`rollout.id`: `{}` was used before; choose another",
                config.id
            );
            return Err(Error::new(Code::Conflict, message));
        }
        let mut running = entries.iter().filter(|(_, entry)| !entry.view().is_final());
        if let Some((id, _)) = running.find(|(_, entry)| entry.model == config.model) {
            return Err(owned_by(&config.model, id));
        }
        if self.tools.helm.routing(&config.model)?.split.is_some() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "model `{}` has a split; remove it first, so that one of them decides",
                    config.model
                ),
            ));
        }
        if self
            .tools
            .helm
            .served(&config.model, &config.stable)
            .is_none()
        {
            return Err(Error::invalid(format!(
                "`rollout.stable`: version `{}` of model `{}` does not serve; load it first",
                config.stable, config.model
            )));
        }
        for (place, gate) in config.gates.iter().enumerate() {
            if let GateKind::Webhook { url, .. } = &gate.asks {
                let checked = self.tools.gatekeeper.check(url);
                checked.map_err(|e| e.in_context(format!("`rollout.gates[{place}].url`")))?;
            }
        }
        for (place, notify) in config.on_rollback.notify.iter().enumerate() {
            let checked = notices::check(notify, &*self.tools.gatekeeper);
            let key = || format!("`rollout.on_rollback.notify[{place}]`");
            checked.map_err(|e| e.in_context(key()))?;
        }
        Ok(())
    }

    fn enter_own(
        &self,
        rollout: &Rollout,
        record: &Record,
        split: &ActiveSplit,
    ) -> Result<(Arc<Entry>, Ends)> {
        let config = rollout.config();
        let view = View::new(rollout, None)?;
        let assigner = split.assigner().clone();
        let (entry, ends) = Entry::new(config.model.clone(), &record.file, view, assigner);
        *entry.shown.replicas() = record.replicas.clone();
        self.enter(&config.id, &entry);
        Ok((entry, ends))
    }

    fn enter(&self, id: &str, entry: &Arc<Entry>) {
        self.entries.rcu(|entries| {
            let mut entries = BTreeMap::clone(entries);
            entries.insert(id.to_owned(), Arc::clone(entry));
            entries
        });
    }

    fn run(&self, start: Start, actions: Vec<Action>) {
        let (course, inbox) = Course::new(Arc::clone(&self.tools), start);
        tokio::spawn(course.run(inbox, actions));
    }

    fn entry(&self, id: &str) -> Result<Arc<Entry>> {
        let entries = self.entries.load();
        entries.get(id).cloned().ok_or_else(|| {
            let message = format!("no rollout is called `{}`", id.escape_debug());
            Error::new(Code::RolloutNotFound, message)
        })
    }

    /// The status of every rollout, those that run first.
    pub(crate) fn list(&self) -> Document {
        let entries = self.entries.load();
        let views = entries.values().map(|entry| entry.view());
        let (ended, running): (Vec<_>, Vec<_>) = views.partition(|view| view.is_final());
        array(
            running
                .iter()
                .chain(&ended)
                .map(|view| view.status.as_str()),
        )
    }

    /// Where a rollout stands.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub(crate) fn status(&self, id: &str) -> Result<Document> {
        Ok(self.entry(id)?.view().status.clone())
    }

    /// All numbers of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub(crate) fn evidence(&self, id: &str) -> Result<Document> {
        Ok(self.entry(id)?.view().evidence.clone())
    }

    /// The verdict as a number.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub(crate) fn verdict(&self, id: &str) -> Result<Document> {
        Ok(self.entry(id)?.view().verdict.clone())
    }

    /// The last moves of a rollout, the newest first.
    ///
    /// # Errors
    /// `rollout_not_found`, or `internal` when they cannot be read.
    pub(crate) async fn moves(&self, id: &str, limit: usize) -> Result<Document> {
        self.check_decides()?;
        self.entry(id)?;
        let moves = self.tools.records.moves(id, limit).await?;
        Ok(array(moves.iter().map(String::as_str)))
    }

    /// Does what an operator wants.
    ///
    /// # Errors
    /// `rollout_not_found`, or `conflict`.
    pub(crate) async fn act(&self, id: &str, act: Act) -> Result<Document> {
        self.check_decides()?;
        let ended = || {
            let message = format!("the rollout `{id}` has ended; start a new one");
            Error::new(Code::Conflict, message)
        };
        let (done, answer) = oneshot::channel();
        let orders = &self.entry(id)?.orders;
        orders.send((act, done)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Follows a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub(crate) fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>> {
        self.check_decides()?;
        Ok(Box::new(self.entry(id)?.watch()))
    }

    /// The arm of a unit now.
    ///
    /// # Errors
    /// `rollout_not_found`, or `invalid_request` for the empty unit.
    pub(crate) fn assign(&self, id: &str, unit: &str) -> Result<Document> {
        if unit.is_empty() {
            return Err(Error::invalid("`unit`: the empty text is no unit"));
        }
        let assigner = self.entry(id)?.shown.assigner.load_full();
        let arm = match assigner.arm_of(unit) {
            Some(0) => "candidate",
            Some(_) => "stable",
            None => "outside",
        };
        let bucket = assigner.bucket_of(unit);
        document(&json!({"rollout": id, "unit": unit, "arm": arm, "bucket": bucket}))
    }
}

/// A split in force for a rollout, without copies.
pub(super) fn steering(config: &RolloutConfig, split: &Arc<ActiveSplit>) -> Steering {
    Steering {
        rollout: config.id.clone(),
        stable: config.stable.clone(),
        candidate: config.candidate.clone(),
        split: Arc::clone(split),
        mirror: None,
    }
}

/// The split of a rollout at the weight of now.
fn split_of(rollout: &Rollout) -> Result<Arc<ActiveSplit>> {
    let split = rollout.config().split(rollout.traffic().weight);
    Ok(Arc::new(ActiveSplit::new(split, "")?))
}

impl Tools {
    /// What rollouts work with that reach the repository like this.
    pub(crate) fn new(reach: Reach, records: Records, options: &crate::ServerOptions) -> Self {
        Self {
            helm: Helm::new(reach.commands, reach.published),
            records,
            gatekeeper: Arc::clone(&options.gatekeeper),
            observe: Arc::clone(&options.observe),
            block: options.rollout_block,
            public_url: options.public_url.clone(),
        }
    }
}
