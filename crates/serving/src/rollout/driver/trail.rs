//! The trail of a follower: one rollout that another server decides about, done here.
//!
//! Input: where the rollout is, as the leader tells it each second. Rule: the candidate gets the
//! weight of the leader once it serves here, and nothing before; an older generation never replaces
//! a newer one, and nothing replaces the end. Units and salt are those of the leader, so a user gets
//! the same version from every server. Cold start: stable answers. Recovery: what is in force is
//! kept, and steers again before the leader has said anything; while the leader is silent, nothing
//! moves. When the leader answers and no longer knows the rollout, stable answers.

use std::sync::Arc;
use std::time::Duration;

use contract::{Document, Error, Result, Routing, Version};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Tools;
use super::registry::steering;
use super::replicas::Vector;
use super::told::ToldRollout;
use super::view::{Entry, View};
use crate::rollout::config::RolloutConfig;
use crate::route::ActiveSplit;

/// From one try to load the candidate to the next: its files may still be on their way.
const RETRY: Duration = Duration::from_secs(10);

/// One followed rollout.
#[derive(Debug)]
pub(super) struct Trail {
    tools: Arc<Tools>,
    config: RolloutConfig,
    /// What others see of it.
    entry: Arc<Entry>,
    split: Arc<ActiveSplit>,
    /// What is in force, as it is kept.
    current: ToldRollout,
    /// Whether the rollout decides about the model here.
    is_steering: bool,
    load: Option<JoinHandle<Result<Routing>>>,
    next_load: Instant,
    /// The longest run of errors of the candidate, and the generation it belongs to.
    error_run: (u64, u64),
}

impl Trail {
    /// A trail of a rollout that was told for the first time, or is known from before a restart;
    /// then it steers already.
    pub(super) fn new(
        tools: Arc<Tools>,
        config: RolloutConfig,
        entry: Arc<Entry>,
        split: Arc<ActiveSplit>,
        current: ToldRollout,
    ) -> Self {
        Self {
            tools,
            config,
            entry,
            split,
            current,
            is_steering: false,
            load: None,
            next_load: Instant::now(),
            error_run: (0, 0),
        }
    }

    /// The same trail, from before a restart.
    pub(super) fn resumed(self) -> Self {
        Self {
            is_steering: true,
            ..self
        }
    }

    /// Whether anything of it is in force here.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_steering || self.has_ended()
    }

    /// Whether a winner is pinned, and nothing follows any more.
    pub(super) fn has_ended(&self) -> bool {
        self.current.winner.is_some()
    }

    /// Does what the leader told.
    ///
    /// # Errors
    /// Why it is not done yet; the next word of the leader is the next try.
    pub(super) async fn follow(&mut self, told: &ToldRollout) -> Result<()> {
        if self.has_ended() || told.generation < self.current.generation {
            return Ok(());
        }
        match &told.winner {
            Some(winner) => self.end(told, winner).await,
            None => self.go_on(told).await,
        }
    }

    /// Back to stable: the leader knows the rollout no longer.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(super) async fn give_up(&mut self) -> Result<()> {
        if self.has_ended() {
            return Ok(());
        }
        let (rollout, stable) = (&self.config.id, self.config.stable.to_string());
        tracing::warn!(rollout, stable, "nobody leads a rollout; stable answers");
        let told = self.current.clone();
        self.end(&told, &stable).await
    }

    async fn go_on(&mut self, told: &ToldRollout) -> Result<()> {
        if !self.is_steering {
            // Kept first: a kill in between must not let the highest version answer.
            self.keep(told, 0.0, None).await?;
            self.steer(0.0).await?;
        }
        let (is_there, loading) = self.look_for_candidate().await;
        let weight = match is_there {
            true => told.weight,
            false => 0.0,
        };
        if self.current.weight.to_bits() != weight.to_bits() {
            self.steer(weight).await?;
        }
        self.show(told, None);
        self.keep(told, weight, None).await?;
        loading
    }

    async fn end(&mut self, told: &ToldRollout, winner: &str) -> Result<()> {
        let (stable, candidate) = (&self.config.stable, &self.config.candidate);
        let (winner, loser, weight) = match winner {
            winner if winner == stable.as_str() => (stable, candidate, 0.0),
            winner if winner == candidate.as_str() => (candidate, stable, 1.0),
            winner => {
                let message = format!("`{winner}` has won, and is no version of this rollout");
                return Err(Error::invalid(message));
            }
        };
        let (winner, loser) = (winner.clone(), loser.clone());
        let model = self.config.model.clone();
        if !self.is_steering && !self.tools.helm.knows(&model, &winner) {
            return Err(Error::invalid(format!(
                "version `{winner}` of model `{model}` has won and is not here"
            )));
        }
        // A winner that does not serve here would fail every request.
        if self.is_steering && winner == self.config.candidate {
            let (is_there, loading) = self.look_for_candidate().await;
            if !is_there {
                return loading;
            }
        }
        let warm = (loser, self.config.on_rollback.keep_candidate_warm);
        let warm = Some(warm).filter(|_| self.is_steering);
        let helm = &self.tools.helm;
        helm.settle(&self.config, winner.clone(), warm).await?;
        tracing::info!(rollout = self.config.id, %model, %winner, "a followed rollout has ended");
        self.show(told, Some(winner.clone()));
        self.keep(told, weight, Some(winner.to_string())).await
    }

    /// Whether the candidate serves; tries to load it when it does not, and says why that failed.
    async fn look_for_candidate(&mut self) -> (bool, Result<()>) {
        let (model, candidate) = (&self.config.model, &self.config.candidate);
        if self.tools.helm.served(model, candidate).is_some() {
            self.load = None;
            return (true, Ok(()));
        }
        if let Some(load) = self.load.take_if(|load| load.is_finished()) {
            let ended = |error| Error::internal(format!("the load of the candidate: {error}"));
            let loaded = load.await.map_err(ended).and_then(|loaded| loaded);
            return (false, loaded.map(drop));
        }
        if self.load.is_none() && Instant::now() >= self.next_load {
            self.next_load = Instant::now() + RETRY;
            let helm = self.tools.helm.clone();
            let (model, candidate) = (model.clone(), candidate.clone());
            let actor = self.config.id.clone();
            let load = async move { helm.provide(model, candidate, actor).await };
            self.load = Some(tokio::spawn(load));
        }
        (false, Ok(()))
    }

    async fn steer(&mut self, weight: f64) -> Result<()> {
        let split = self.split.reweighted(self.config.split(weight), "")?;
        let split = Arc::new(split);
        let steering = steering(&self.config, &split);
        self.tools.helm.steer(&self.config.model, steering).await?;
        let (rollout, generation) = (&self.config.id, self.current.generation);
        tracing::info!(rollout, weight, generation, "a followed rollout moved");
        let assigner = Arc::new(split.assigner().clone());
        self.entry.shown.assigner.store(assigner);
        (self.split, self.is_steering) = (split, true);
        Ok(())
    }

    fn show(&self, told: &ToldRollout, winner: Option<Version>) {
        let view = View::told(told, winner);
        self.entry.shown.view.store(Arc::new(view));
    }

    /// Keeps what is in force, when it has changed.
    async fn keep(
        &mut self,
        told: &ToldRollout,
        weight: f64,
        winner: Option<String>,
    ) -> Result<()> {
        let now = told.in_force(weight, winner);
        if !self.current.is_kept_as(&now) {
            self.tools.records.keep_followed(&now).await?;
        }
        self.current = now;
        Ok(())
    }

    /// What was counted here.
    ///
    /// # Errors
    /// `internal` when it cannot be written.
    pub(super) fn counts(&mut self) -> Result<Document> {
        let [candidate, stable] = self.split.arms() else {
            return Err(Error::internal("the split of a rollout has two arms"));
        };
        let run = candidate.counts.take_longest_error_run();
        let generation = self.current.generation;
        self.error_run = match self.error_run {
            (known, longest) if known == generation => (generation, longest.max(run)),
            // What ran before belongs to the generation before.
            _ => (generation, 0),
        };
        let (stable, candidate) = (stable.counts.totals(), candidate.counts.totals());
        Vector::new(generation, self.error_run.1, &stable, &candidate).document()
    }
}
