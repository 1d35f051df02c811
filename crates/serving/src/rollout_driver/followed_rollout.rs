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

use contract::{Error, RawJson, Result, Routing, Version};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Dependencies;
use super::leader_state::LeaderRollout;
use super::registry::rollout_routing;
use super::replicas::ReplicaCounters;
use super::snapshot::{RolloutHandle, RolloutSnapshot};
use crate::route::ActiveSplit;
use rollout::config::RolloutConfig;

/// From one try to load the candidate to the next: its files may still be on their way.
const RETRY: Duration = Duration::from_secs(10);

/// One followed rollout.
#[derive(Debug)]
pub(super) struct FollowedRollout {
    dependencies: Arc<Dependencies>,
    config: RolloutConfig,
    /// What others see of it.
    handle: Arc<RolloutHandle>,
    split: Arc<ActiveSplit>,
    /// What is in force, as it is kept.
    current: LeaderRollout,
    /// Whether the rollout decides about the model here.
    controls_traffic: bool,
    load: Option<JoinHandle<Result<Routing>>>,
    next_load: Instant,
    /// The longest run of errors of the candidate, and the generation it belongs to.
    error_run: (u64, u64),
}

impl FollowedRollout {
    /// A trail of a rollout that was told for the first time, or is known from before a restart;
    /// then it steers already.
    pub(super) fn new(
        dependencies: Arc<Dependencies>,
        config: RolloutConfig,
        handle: Arc<RolloutHandle>,
        split: Arc<ActiveSplit>,
        current: LeaderRollout,
    ) -> Self {
        Self {
            dependencies,
            config,
            handle,
            split,
            current,
            controls_traffic: false,
            load: None,
            next_load: Instant::now(),
            error_run: (0, 0),
        }
    }

    /// The same trail, from before a restart.
    pub(super) fn resumed(self) -> Self {
        Self {
            controls_traffic: true,
            ..self
        }
    }

    /// Whether anything of it is in force here.
    pub(super) fn is_in_force(&self) -> bool {
        self.controls_traffic || self.has_ended()
    }

    /// Whether a winner is pinned, and nothing follows any more.
    pub(super) fn has_ended(&self) -> bool {
        self.current.winner.is_some()
    }

    /// Does what the leader told.
    ///
    /// # Errors
    /// Why it is not done yet; the next word of the leader is the next try.
    pub(super) async fn follow(&mut self, leader_rollout: &LeaderRollout) -> Result<()> {
        if self.has_ended() || leader_rollout.generation < self.current.generation {
            return Ok(());
        }
        match &leader_rollout.winner {
            Some(winner) => self.finish(leader_rollout, winner).await,
            None => self.apply(leader_rollout).await,
        }
    }

    /// Back to stable: the leader knows the rollout no longer.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(super) async fn abandon(&mut self) -> Result<()> {
        if self.has_ended() {
            return Ok(());
        }
        let (rollout, stable) = (&self.config.id, self.config.stable.to_string());
        tracing::warn!(rollout, stable, "nobody leads a rollout; stable answers");
        let leader_rollout = self.current.clone();
        self.finish(&leader_rollout, &stable).await
    }

    async fn apply(&mut self, leader_rollout: &LeaderRollout) -> Result<()> {
        if !self.controls_traffic {
            // Kept first: a kill in between must not let the highest version answer.
            self.persist(leader_rollout, 0.0, None).await?;
            self.set_split(0.0).await?;
        }
        let (is_there, loading) = self.check_candidate().await;
        let weight = match is_there {
            true => leader_rollout.weight,
            false => 0.0,
        };
        if self.current.weight.to_bits() != weight.to_bits() {
            self.set_split(weight).await?;
        }
        self.publish(leader_rollout, None);
        self.persist(leader_rollout, weight, None).await?;
        loading
    }

    async fn finish(&mut self, leader_rollout: &LeaderRollout, winner: &str) -> Result<()> {
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
        if !self.controls_traffic
            && !self
                .dependencies
                .traffic_control
                .has_version(&model, &winner)
        {
            return Err(Error::invalid(format!(
                "version `{winner}` of model `{model}` has won and is not here"
            )));
        }
        // A winner that does not serve here would fail every request.
        if self.controls_traffic && winner == self.config.candidate {
            let (is_there, loading) = self.check_candidate().await;
            if !is_there {
                return loading;
            }
        }
        let warm = (loser, self.config.on_rollback.keep_candidate_warm);
        let warm = Some(warm).filter(|_| self.controls_traffic);
        let traffic_control = &self.dependencies.traffic_control;
        traffic_control
            .finish(&self.config, winner.clone(), warm)
            .await?;
        tracing::info!(rollout = self.config.id, %model, %winner, "a followed rollout has ended");
        self.publish(leader_rollout, Some(winner.clone()));
        self.persist(leader_rollout, weight, Some(winner.to_string()))
            .await
    }

    /// Whether the candidate serves; tries to load it when it does not, and says why that failed.
    async fn check_candidate(&mut self) -> (bool, Result<()>) {
        let (model, candidate) = (&self.config.model, &self.config.candidate);
        if self
            .dependencies
            .traffic_control
            .served(model, candidate)
            .is_some()
        {
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
            let traffic_control = self.dependencies.traffic_control.clone();
            let (model, candidate) = (model.clone(), candidate.clone());
            let actor = self.config.id.clone();
            let load = async move { traffic_control.ensure_loaded(model, candidate, actor).await };
            self.load = Some(tokio::spawn(load));
        }
        (false, Ok(()))
    }

    async fn set_split(&mut self, weight: f64) -> Result<()> {
        let split = self.split.reweighted(self.config.split(weight), "")?;
        let split = Arc::new(split);
        let rollout_routing = rollout_routing(&self.config, &split);
        self.dependencies
            .traffic_control
            .set_split(&self.config.model, rollout_routing)
            .await?;
        let (rollout, generation) = (&self.config.id, self.current.generation);
        tracing::info!(rollout, weight, generation, "a followed rollout moved");
        let assigner = Arc::new(split.assigner().clone());
        self.handle.published.assigner.store(assigner);
        (self.split, self.controls_traffic) = (split, true);
        Ok(())
    }

    fn publish(&self, leader_rollout: &LeaderRollout, winner: Option<Version>) {
        let snapshot = RolloutSnapshot::from_leader(leader_rollout, winner);
        self.handle.published.snapshot.store(Arc::new(snapshot));
    }

    /// Keeps what is in force, when it has changed.
    async fn persist(
        &mut self,
        leader_rollout: &LeaderRollout,
        weight: f64,
        winner: Option<String>,
    ) -> Result<()> {
        let now = leader_rollout.as_applied(weight, winner);
        if !self.current.has_same_effect(&now) {
            self.dependencies.records.persist_followed(&now).await?;
        }
        self.current = now;
        Ok(())
    }

    /// What was counted here.
    ///
    /// # Errors
    /// `internal` when it cannot be written.
    pub(super) fn counts(&mut self) -> Result<RawJson> {
        let [candidate, stable] = self.split.arms() else {
            return Err(Error::internal("the split of a rollout has two arms"));
        };
        let run = candidate.counters.take_longest_error_run();
        let generation = self.current.generation;
        self.error_run = match self.error_run {
            (known, longest) if known == generation => (generation, longest.max(run)),
            // What ran before belongs to the generation before.
            _ => (generation, 0),
        };
        let (stable, candidate) = (stable.counters.totals(), candidate.counters.totals());
        ReplicaCounters::new(generation, self.error_run.1, &stable, &candidate).document()
    }
}
