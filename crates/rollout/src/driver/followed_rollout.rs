//! One rollout that the leader decides about and this follower applies.
//!
//! Input: the state of the rollout, fetched from the leader each second. Rule: the candidate gets
//! the weight of the leader once it is ready here, and no traffic before; an older generation never
//! replaces a newer one, and nothing replaces a final state. Units and salt are those of the
//! leader, so a user gets the same version from every server. Cold start: stable answers. Recovery:
//! the applied state is persisted, and controls traffic again before the leader has answered; while
//! the leader is unreachable, weights stay. When the leader answers but no longer knows the
//! rollout, stable answers.

use std::sync::Arc;
use std::time::Duration;

use api::rollout::LeaderRollout;
use contract::{Error, RawJson, Result, Version};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Dependencies;
use super::leader_state;
use super::replicas::ReplicaCounters;
use super::snapshot::RolloutHandle;
use super::task::Clock;
use super::traffic_control::RolloutTraffic;
use crate::config::RolloutConfig;
use crate::state::{Availability, Traffic};

/// Time between two attempts to load the candidate: its files may not have arrived yet.
const RETRY: Duration = Duration::from_secs(10);

/// A followed rollout.
#[derive(Debug)]
pub(super) struct FollowedRollout {
    dependencies: Arc<Dependencies>,
    config: RolloutConfig,
    /// Handle through which others read the rollout.
    handle: Arc<RolloutHandle>,
    traffic: Box<dyn RolloutTraffic>,
    /// The applied state, as it is persisted.
    current: LeaderRollout,
    /// Set when the rollout controls the model on this server.
    controls_traffic: bool,
    load: Option<JoinHandle<Result<()>>>,
    next_load: Instant,
    /// The longest run of errors of the candidate, and the generation it belongs to.
    error_run: (u64, u64),
}

impl FollowedRollout {
    /// Creates a followed rollout that does not control traffic yet.
    pub(super) fn new(
        dependencies: Arc<Dependencies>,
        config: RolloutConfig,
        handle: Arc<RolloutHandle>,
        traffic: Box<dyn RolloutTraffic>,
        current: LeaderRollout,
    ) -> Self {
        Self {
            dependencies,
            config,
            handle,
            traffic,
            current,
            controls_traffic: false,
            load: None,
            next_load: Instant::now(),
            error_run: (0, 0),
        }
    }

    /// Returns the rollout as resumed after a restart: it controls traffic already.
    pub(super) fn resumed(self) -> Self {
        Self {
            controls_traffic: true,
            ..self
        }
    }

    /// Returns the number of the run of its id.
    pub(super) fn run(&self) -> u64 {
        self.config.run
    }

    /// Returns whether the rollout has any effect here.
    pub(super) fn is_in_force(&self) -> bool {
        self.controls_traffic || self.has_ended()
    }

    /// Returns whether a winner is pinned, so that nothing is left to follow.
    pub(super) fn has_ended(&self) -> bool {
        self.current.winner.is_some()
    }

    /// Applies the state of the leader.
    ///
    /// # Errors
    /// The reason why it is not applied yet; the next state of the leader is the next attempt.
    pub(super) async fn follow(&mut self, leader_rollout: &LeaderRollout) -> Result<()> {
        if self.has_ended() || leader_rollout.generation < self.current.generation {
            return Ok(());
        }
        match &leader_rollout.winner {
            Some(winner) => self.finish(leader_rollout, winner).await,
            None => self.apply(leader_rollout).await,
        }
    }

    /// Returns to stable, because the leader no longer knows the rollout.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(super) async fn abandon(&mut self) -> Result<()> {
        if self.has_ended() {
            return Ok(());
        }
        let (rollout, stable) = (&self.config.id, self.config.stable.to_string());
        tracing::warn!(
            rollout,
            stable,
            "rollout has no leader; returning to stable"
        );
        let leader_rollout = self.current.clone();
        self.finish(&leader_rollout, &stable).await
    }

    async fn apply(&mut self, leader_rollout: &LeaderRollout) -> Result<()> {
        if !self.controls_traffic {
            // Persisted first: a kill in between must not let the highest version answer.
            self.persist(leader_rollout, 0.0, None).await?;
            self.set_weight(0.0).await?;
        }
        let (is_there, loading) = self.check_candidate().await;
        let weight = match is_there {
            true => leader_rollout.weight,
            false => 0.0,
        };
        if self.current.weight.to_bits() != weight.to_bits() {
            self.set_weight(weight).await?;
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
                let message = format!("winner `{winner}` is not a version of this rollout");
                return Err(Error::invalid(message));
            }
        };
        let (winner, loser) = (winner.clone(), loser.clone());
        let model = self.config.model.clone();
        let traffic_control = &self.dependencies.traffic_control;
        let is_there = traffic_control.availability(&model, &winner) != Availability::Missing;
        if !self.controls_traffic && !is_there {
            return Err(Error::invalid(format!(
                "winner `{winner}` of model `{model}` is not in the repository of this server"
            )));
        }
        // A winner that is not ready here would fail every request.
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
        tracing::info!(rollout = self.config.id, %model, %winner, "finished followed rollout");
        self.publish(leader_rollout, Some(winner.clone()));
        self.persist(leader_rollout, weight, Some(winner.to_string()))
            .await
    }

    /// Returns whether the candidate is ready; when it is not, tries to load it and returns the
    /// error of the last attempt.
    async fn check_candidate(&mut self) -> (bool, Result<()>) {
        let (model, candidate) = (&self.config.model, &self.config.candidate);
        if self
            .dependencies
            .traffic_control
            .ready_version(model, candidate)
            .is_some()
        {
            self.load = None;
            return (true, Ok(()));
        }
        if let Some(load) = self.load.take_if(|load| load.is_finished()) {
            let ended = |error| Error::internal(format!("failed to load the candidate: {error}"));
            let loaded = load.await.map_err(ended).and_then(|loaded| loaded);
            return (false, loaded);
        }
        if self.load.is_none() && Instant::now() >= self.next_load {
            self.next_load = Instant::now() + RETRY;
            let traffic_control = &self.dependencies.traffic_control;
            let load = traffic_control.ensure_loaded(&self.config, candidate);
            self.load = Some(tokio::spawn(load));
        }
        (false, Ok(()))
    }

    async fn set_weight(&mut self, weight: f64) -> Result<()> {
        let generation = self.current.generation;
        let traffic = Traffic {
            weight,
            shadow: 0.0,
            generation,
        };
        let assignment_epoch = self.config.assignment_epoch(Clock::start().now());
        self.traffic.set(traffic, assignment_epoch)?;
        self.traffic.apply().await?;
        let rollout = &self.config.id;
        tracing::info!(
            rollout,
            weight,
            generation,
            "set weight of followed rollout"
        );
        let assigner = Arc::new(self.traffic.assigner().clone());
        self.handle.published.assigner.store(assigner);
        self.controls_traffic = true;
        Ok(())
    }

    fn publish(&self, leader_rollout: &LeaderRollout, winner: Option<Version>) {
        let snapshot = leader_state::snapshot(leader_rollout, winner);
        self.handle.published.snapshot.store(Arc::new(snapshot));
    }

    /// Persists the applied state when it has changed.
    async fn persist(
        &mut self,
        leader_rollout: &LeaderRollout,
        weight: f64,
        winner: Option<String>,
    ) -> Result<()> {
        let now = LeaderRollout {
            weight,
            winner,
            ..leader_rollout.clone()
        };
        if !leader_state::has_same_effect(&self.current, &now) {
            self.dependencies.records.persist_followed(&now).await?;
        }
        self.current = now;
        Ok(())
    }

    /// Returns the counts of this server.
    ///
    /// # Errors
    /// `internal` when they cannot be serialized.
    pub(super) fn counts(&mut self) -> Result<RawJson> {
        // Sampled by the totals alone.
        drop(self.traffic.take_observations());
        let totals = self.traffic.totals().arms;
        let run = self.traffic.take_longest_error_runs().candidate;
        let generation = self.current.generation;
        self.error_run = match self.error_run {
            (known, longest) if known == generation => (generation, longest.max(run)),
            // Earlier errors belong to an earlier generation.
            _ => (generation, 0),
        };
        ReplicaCounters::new(generation, self.error_run.1, &totals).document()
    }
}
