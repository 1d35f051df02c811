//! Leading and following: rollouts of several servers that one of them decides about.
//!
//! Decision: a follower decides nothing. It asks, does what it is told, and says what it has
//! counted; everything that needs agreement happens in the one leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{Code, Document, Error, Result};
use serde_json::json;
use tokio::sync::Mutex;

use super::super::course::Clock;
use super::super::replicas::Vector;
use super::super::told::{Told, ToldRollout};
use super::super::trail::Trail;
use super::super::view::{Entry, View, document};
use super::Registry;
use crate::rollout::config::RolloutConfig;
use crate::route::ActiveSplit;

/// So long every follower has the time to hear how a rollout ended.
const TELL_END: Duration = Duration::from_secs(600);

/// What a follower follows.
#[derive(Debug)]
pub(super) struct Following {
    /// The server that decides.
    leader: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trails: BTreeMap<String, Trail>,
    /// What went wrong last, by rollout, so that it is logged once.
    troubles: BTreeMap<String, String>,
}

impl State {
    fn note(&mut self, rollout: &str, result: Result<()>) {
        match result {
            Ok(()) => drop(self.troubles.remove(rollout)),
            Err(error) => {
                let trouble = error.message().to_owned();
                let known = self.troubles.insert(rollout.to_owned(), trouble);
                if known.as_deref() != Some(error.message()) {
                    let diagnostic = error.diagnostic();
                    tracing::error!(rollout, %error, diagnostic, "a rollout cannot be followed");
                }
            }
        }
    }
}

impl Following {
    /// Follows the server at an address.
    pub(super) fn new(leader: String) -> Self {
        Self {
            leader,
            state: Mutex::default(),
        }
    }

    /// Goes on with what was followed before a restart.
    pub(super) fn resume(&mut self, id: &str, trail: Trail) {
        self.state.get_mut().trails.insert(id.to_owned(), trail);
    }
}

impl Registry {
    /// Refuses what only the server does that decides.
    pub(super) fn check_decides(&self) -> Result<()> {
        match &self.following {
            None => Ok(()),
            Some(Following { leader, .. }) => Err(Error::new(
                Code::Conflict,
                format!("the server at `{leader}` decides about rollouts; ask it"),
            )),
        }
    }

    /// What followers are told.
    ///
    /// # Errors
    /// `conflict` when this server follows another one.
    pub(crate) fn following(&self) -> Result<Document> {
        self.check_decides()?;
        let entries = self.entries.load();
        let mut last: BTreeMap<_, (&String, &Arc<Entry>, Arc<View>)> = BTreeMap::new();
        for (id, entry) in entries.iter() {
            let view = entry.view();
            let place = |view: &View| (!view.is_final(), view.since);
            let is_later = |known: &View| place(&view) >= place(known);
            let known = last.get(&entry.model);
            if known.is_none_or(|(_, _, known)| is_later(known)) {
                last.insert(&entry.model, (id, entry, view));
            }
        }
        let rollouts = last.into_values();
        let told = rollouts.filter(|(_, entry, view)| self.is_news(entry, view));
        let told = told.map(|(id, entry, view)| ToldRollout::new(id, &entry.file, &view));
        Told::new(told.collect::<Result<_>>()?).document()
    }

    /// An end is news for a while, and as long as its winner is pinned, so that a server that is
    /// new learns which version answers.
    fn is_news(&self, entry: &Entry, view: &View) -> bool {
        let Some(winner) = &view.winner else {
            return true;
        };
        let routing = self.tools.helm.routing(&entry.model).ok();
        let pinned = routing.and_then(|routing| routing.pinned);
        pinned.as_ref() == Some(winner) || Clock::start().now().since(view.since) < TELL_END
    }

    /// Takes what a replica has counted.
    ///
    /// # Errors
    /// As `Rollouts::count_replica` lists them.
    pub(crate) fn count_replica(
        &self,
        id: &str,
        replica: &str,
        counts: &Document,
    ) -> Result<Document> {
        self.check_decides()?;
        let entry = self.entry(id)?;
        let vector = Vector::read(counts.as_str())?;
        if entry.view().is_final() {
            let message = format!("the rollout `{id}` has ended; nothing counts any more");
            return Err(Error::new(Code::Conflict, message));
        }
        let n_replicas = entry.shown.replicas().take(replica, vector)?;
        document(&json!({"replicas": n_replicas}))
    }

    /// Does what the leader told; gives what was counted here for each rollout that runs.
    ///
    /// # Errors
    /// As `Rollouts::follow` lists them.
    pub(crate) async fn follow(&self, told: &Document) -> Result<Vec<(String, Document)>> {
        let Some(Following { state, .. }) = &self.following else {
            return Err(Error::new(
                Code::Conflict,
                "this server decides about rollouts itself; `rollout_leader` names another one",
            ));
        };
        let told = Told::read(told.as_str())?;
        let mut state = state.lock().await;
        for rollout in &told.rollouts {
            let result = self.follow_one(&mut state.trails, rollout).await;
            state.note(&rollout.id, result);
        }
        let is_told = |id: &str| told.rollouts.iter().any(|rollout| rollout.id == id);
        let mut forgotten = Vec::new();
        for (id, trail) in &mut state.trails {
            if !is_told(id) {
                forgotten.push((id.clone(), trail.give_up().await));
            }
        }
        for (id, result) in forgotten {
            state.note(&id, result);
        }
        let running = state.trails.iter_mut();
        let running = running.filter(|(_, trail)| !trail.has_ended());
        running
            .map(|(id, trail)| Ok((id.clone(), trail.counts()?)))
            .collect()
    }

    async fn follow_one(
        &self,
        trails: &mut BTreeMap<String, Trail>,
        told: &ToldRollout,
    ) -> Result<()> {
        if let Some(trail) = trails.get_mut(&told.id) {
            return trail.follow(told).await;
        }
        let mut trail = self.begin(told)?;
        let result = trail.follow(told).await;
        if trail.is_at_work() {
            trails.insert(told.id.clone(), trail);
        }
        result
    }

    /// A trail of a rollout that was not known here.
    fn begin(&self, told: &ToldRollout) -> Result<Trail> {
        let config = RolloutConfig::parse(&told.file);
        let config = config.map_err(|error| Error::invalid(error.to_string()))?;
        if config.id != told.id {
            return Err(Error::invalid("its file is that of another rollout"));
        }
        self.tools.helm.routing(&config.model)?;
        let known = self.entry(&told.id).ok();
        if known.is_some_and(|known| *known.file != *told.file) {
            let message = "its id was used here for another rollout";
            return Err(Error::new(Code::Conflict, message));
        }
        let split = Arc::new(ActiveSplit::new(config.split(0.0), "")?);
        self.trail(config, split, told.unknown())
    }

    /// A trail, and what others see of it.
    pub(super) fn trail(
        &self,
        config: RolloutConfig,
        split: Arc<ActiveSplit>,
        current: ToldRollout,
    ) -> Result<Trail> {
        let winner = current.winner.as_ref();
        let winner = winner.and_then(|winner| {
            let mut both = [&config.stable, &config.candidate].into_iter();
            both.find(|version| version.as_str() == winner).cloned()
        });
        let view = View::told(&current, winner);
        let assigner = split.assigner().clone();
        let (entry, _) = Entry::new(config.model.clone(), &current.file, view, assigner);
        self.enter(&config.id, &entry);
        let tools = Arc::clone(&self.tools);
        Ok(Trail::new(tools, config, entry, split, current))
    }
}
