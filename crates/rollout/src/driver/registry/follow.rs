//! Leader and follower: rollouts of several servers, decided by one of them.
//!
//! Decision: a follower decides nothing. It fetches the state of the leader, applies it and reports
//! its counts; everything that needs agreement happens in the leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::rollout::{CountedReplicas, LeaderRollout};
use contract::{Code, Error, RawJson, Result};
use tokio::sync::Mutex;

use super::super::documents::document;
use super::super::followed_rollout::FollowedRollout;
use super::super::leader_state;
use super::super::replicas::ReplicaCounters;
use super::super::snapshot::{RolloutHandle, RolloutSnapshot};
use super::super::task::Clock;
use super::Registry;
use crate::config::RolloutConfig;

/// Time for which an end is announced, so that every follower learns of it.
const END_ANNOUNCEMENT: Duration = Duration::from_secs(600);

/// The follower side of a registry.
#[derive(Debug)]
pub(super) struct Follower {
    /// The server that decides.
    leader: String,
    state: Mutex<FollowerState>,
}

#[derive(Debug, Default)]
struct FollowerState {
    followed_rollouts: BTreeMap<String, FollowedRollout>,
    /// The last error by rollout, so that it is logged once.
    last_errors: BTreeMap<String, String>,
}

impl FollowerState {
    fn record_result(&mut self, rollout: &str, result: Result<()>) {
        match result {
            Ok(()) => drop(self.last_errors.remove(rollout)),
            Err(error) => {
                let message = error.message().to_owned();
                let known = self.last_errors.insert(rollout.to_owned(), message);
                if known.as_deref() != Some(error.message()) {
                    let diagnostic = error.diagnostic();
                    tracing::error!(rollout, %error, diagnostic, "failed to follow rollout");
                }
            }
        }
    }
}

impl Follower {
    /// Creates the state of a follower of the server at this address.
    pub(super) fn new(leader: String) -> Self {
        Self {
            leader,
            state: Mutex::default(),
        }
    }

    /// Resumes a rollout that was followed before a restart.
    pub(super) fn resume(&mut self, id: &str, followed_rollout: FollowedRollout) {
        self.state
            .get_mut()
            .followed_rollouts
            .insert(id.to_owned(), followed_rollout);
    }
}

impl Registry {
    /// Refuses a request that only the leader can handle.
    pub(super) fn check_is_leader(&self) -> Result<()> {
        match &self.follower {
            None => Ok(()),
            Some(Follower { leader, .. }) => Err(Error::new(
                Code::Conflict,
                format!("this server follows `{leader}` in rollouts; send the request there"),
            )),
        }
    }

    /// Returns the state that followers fetch.
    ///
    /// # Errors
    /// `conflict` when this server follows another one.
    pub fn leader_state(&self) -> Result<RawJson> {
        self.check_is_leader()?;
        let handles = self.handles.load();
        let mut last: BTreeMap<_, (&String, &Arc<RolloutHandle>, Arc<RolloutSnapshot>)> =
            BTreeMap::new();
        for (id, handle) in handles.iter() {
            let snapshot = handle.snapshot();
            let order = |snapshot: &RolloutSnapshot| (!snapshot.is_final(), snapshot.since);
            let is_later = |known: &RolloutSnapshot| order(&snapshot) >= order(known);
            let known = last.get(&handle.model);
            if known.is_none_or(|(_, _, known)| is_later(known)) {
                last.insert(&handle.model, (id, handle, snapshot));
            }
        }
        let rollouts = last.into_values();
        let rollouts =
            rollouts.filter(|(_, handle, snapshot)| self.should_announce(handle, snapshot));
        let rollouts = rollouts
            .map(|(id, handle, snapshot)| leader_state::of_snapshot(id, &handle.file, &snapshot));
        leader_state::document(rollouts.collect::<Result<_>>()?)
    }

    /// Returns whether followers get a rollout: while it runs, for a while after its end, and as
    /// long as its winner is pinned, so that a new server learns which version answers.
    fn should_announce(&self, handle: &RolloutHandle, snapshot: &RolloutSnapshot) -> bool {
        let Some(winner) = &snapshot.winner else {
            return true;
        };
        let routing = self
            .dependencies
            .traffic_control
            .routing(&handle.model)
            .ok();
        let pinned = routing.and_then(|routing| routing.pinned);
        pinned.as_ref() == Some(winner)
            || Clock::start().now().since(snapshot.since) < END_ANNOUNCEMENT
    }

    /// Records the counts of a replica.
    ///
    /// # Errors
    /// As `Rollouts::record_replica_counts` lists them.
    pub fn record_replica_counts(
        &self,
        id: &str,
        replica: &str,
        counts: &RawJson,
    ) -> Result<RawJson> {
        self.check_is_leader()?;
        let handle = self.handle(id)?;
        let counters = ReplicaCounters::read(counts.as_str())?;
        if handle.snapshot().is_final() {
            let message = format!("rollout `{id}` has ended and accepts no counts");
            return Err(Error::new(Code::Conflict, message));
        }
        let n_replicas = handle.published.replicas().update(replica, counters)?;
        document(&CountedReplicas {
            replicas: n_replicas,
        })
    }

    /// Applies the state of the leader; returns the counts of this server for each running rollout.
    ///
    /// # Errors
    /// As `Rollouts::follow` lists them.
    pub async fn follow(&self, leader_state: &RawJson) -> Result<Vec<(String, RawJson)>> {
        let Some(Follower { state, .. }) = &self.follower else {
            return Err(Error::new(
                Code::Conflict,
                "this server follows no leader; set `rollout_leader` to follow one",
            ));
        };
        let rollouts = leader_state::read(leader_state.as_str())?;
        let mut state = state.lock().await;
        for rollout in &rollouts {
            let result = self.follow_one(&mut state.followed_rollouts, rollout).await;
            state.record_result(&rollout.id, result);
        }
        let is_led = |id: &str| rollouts.iter().any(|rollout| rollout.id == id);
        let mut abandoned = Vec::new();
        for (id, followed_rollout) in &mut state.followed_rollouts {
            if !is_led(id) {
                abandoned.push((id.clone(), followed_rollout.abandon().await));
            }
        }
        for (id, result) in abandoned {
            state.record_result(&id, result);
        }
        let running = state.followed_rollouts.iter_mut();
        let running = running.filter(|(_, followed_rollout)| !followed_rollout.has_ended());
        running
            .map(|(id, followed_rollout)| Ok((id.clone(), followed_rollout.counts()?)))
            .collect()
    }

    async fn follow_one(
        &self,
        followed_rollouts: &mut BTreeMap<String, FollowedRollout>,
        leader_rollout: &LeaderRollout,
    ) -> Result<()> {
        let run = leader_state::run(leader_rollout);
        let known = followed_rollouts.get_mut(&leader_rollout.id);
        if let Some(followed_rollout) = known.filter(|known| known.run() == run) {
            return followed_rollout.follow(leader_rollout).await;
        }
        let mut followed_rollout = self.start_following(leader_rollout)?;
        let result = followed_rollout.follow(leader_rollout).await;
        if followed_rollout.is_in_force() {
            followed_rollouts.insert(leader_rollout.id.clone(), followed_rollout);
        }
        result
    }

    /// Starts to follow a rollout that is new here.
    fn start_following(&self, leader_rollout: &LeaderRollout) -> Result<FollowedRollout> {
        let config = RolloutConfig::parse(&leader_rollout.file);
        let config = config.map_err(|error| Error::invalid(error.to_string()))?;
        let config = config.for_run(leader_state::run(leader_rollout));
        if config.id != leader_rollout.id {
            let message = format!("rollout file has the id `{}`", config.id);
            return Err(Error::invalid(message));
        }
        self.dependencies.traffic_control.routing(&config.model)?;
        let known = self.handle(&leader_rollout.id).ok();
        let is_other = |known: &Arc<RolloutHandle>| {
            known.run == config.run && *known.file != *leader_rollout.file
        };
        if known.as_ref().is_some_and(is_other) {
            let message = "this server used the id before, with another rollout file";
            return Err(Error::new(Code::Conflict, message));
        }
        // None of it is applied yet.
        let current = LeaderRollout {
            weight: 0.0,
            generation: 0,
            winner: None,
            ..leader_rollout.clone()
        };
        self.followed_rollout(config, 0.0, current)
    }

    /// Creates a followed rollout and registers its handle.
    pub(super) fn followed_rollout(
        &self,
        config: RolloutConfig,
        weight: f64,
        current: LeaderRollout,
    ) -> Result<FollowedRollout> {
        let winner = current.winner.as_ref();
        let winner = winner.and_then(|winner| {
            let mut both = [&config.stable, &config.candidate].into_iter();
            both.find(|version| version.as_str() == winner).cloned()
        });
        let snapshot = leader_state::snapshot(&current, winner);
        let now = Clock::start().now();
        let traffic_control = &self.dependencies.traffic_control;
        let traffic = traffic_control.traffic(&config, weight, now)?;
        let assigner = traffic.assigner().clone();
        let (handle, _) = RolloutHandle::new(&config, &current.file, snapshot, assigner);
        self.insert(&config.id, &handle);
        let dependencies = Arc::clone(&self.dependencies);
        Ok(FollowedRollout::new(
            dependencies,
            config,
            handle,
            traffic,
            current,
        ))
    }
}
