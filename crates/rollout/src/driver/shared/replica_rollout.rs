//! One shared rollout on this server.
//!
//! Input: the stored record, once per block. Rule: the candidate gets the weight of the record once
//! it is ready here, and no traffic before. Units and salt are those of the record, so a user gets
//! the same version from every server. Cold start: stable answers. Recovery: the applied state is
//! persisted here and controls traffic again before the store has answered; while the store is away,
//! weights stay. When the store answers but has lost the rollout, stable answers.

use std::sync::Arc;

use contract::{Error, RawJson, Result, RolloutEvent, SharedRecord, SharedRollout, Version};
use tokio::sync::{Mutex, oneshot};

use super::super::record::Record;
use super::super::snapshot::{RolloutHandle, RolloutSnapshot, TaskChannels, winner};
use super::super::task::Clock;
use super::applied::{self, AppliedRollout};
use super::candidate::CandidateLoader;
use super::decider::Decider;
use super::outbox::Outbox;
use super::traffic::LocalTraffic;
use super::{Sharing, actions};
use crate::state::{Availability, Rollout, Traffic};

/// A shared rollout.
#[derive(Debug)]
pub(super) struct ReplicaRollout {
    sharing: Sharing,
    /// The rollout as the record has it.
    rollout: Rollout,
    /// The state that this server has applied and persisted.
    applied: AppliedRollout,
    /// The handle through which others read the rollout.
    handle: Arc<RolloutHandle>,
    channels: TaskChannels,
    traffic: LocalTraffic,
    /// Set when the rollout controls the model on this server.
    controls_traffic: bool,
    /// The traffic as it was set last, with the assignment epoch.
    current: Option<(Traffic, u64)>,
    candidate: CandidateLoader,
    outbox: Outbox,
    decider: Option<Decider>,
}

impl ReplicaRollout {
    /// Creates a rollout that is new here.
    ///
    /// # Errors
    /// When the record cannot be read, or the model is not known here.
    pub(super) fn new(sharing: Sharing, record: &SharedRecord) -> Result<Self> {
        let applied = AppliedRollout::new(record.revision, Record::read(&record.text)?);
        let rollout = applied.rollout(Clock::start().now())?;
        let model = &rollout.config().model;
        sharing.dependencies.traffic_control.routing(model)?;
        Self::with_traffic(sharing, applied, rollout)
    }

    /// Creates a rollout that this server applied before a restart.
    ///
    /// # Errors
    /// When its traffic cannot be created.
    pub(super) fn resume(sharing: Sharing, applied: AppliedRollout) -> Result<Self> {
        let rollout = applied.rollout(Clock::start().now())?;
        Ok(Self {
            controls_traffic: true,
            ..Self::with_traffic(sharing, applied, rollout)?
        })
    }

    fn with_traffic(sharing: Sharing, applied: AppliedRollout, rollout: Rollout) -> Result<Self> {
        let config = rollout.config();
        let now = Clock::start().now();
        let traffic_control = &sharing.dependencies.traffic_control;
        let traffic = traffic_control.traffic(config, applied.weight, now)?;
        let mut snapshot = RolloutSnapshot::new(&rollout, None)?;
        if !applied.has_finished {
            snapshot.winner = None;
        }
        let assigner = traffic.assigner().clone();
        let file = &applied.record.file;
        let (handle, mut channels) = RolloutHandle::new(config, file, snapshot, assigner);
        if applied.has_finished {
            channels.action_requests.close();
        }
        Ok(Self {
            sharing,
            rollout,
            applied,
            handle,
            channels,
            traffic: Arc::new(Mutex::new(traffic)),
            controls_traffic: false,
            current: None,
            candidate: CandidateLoader::new(),
            outbox: Outbox::default(),
            decider: None,
        })
    }

    /// Returns the id.
    pub(super) fn id(&self) -> &str {
        &self.rollout.config().id
    }

    /// Returns the handle through which others read the rollout.
    pub(super) fn handle(&self) -> &Arc<RolloutHandle> {
        &self.handle
    }

    /// Returns whether the winner is pinned here, so that nothing is left to do.
    pub(super) fn has_finished(&self) -> bool {
        self.applied.has_finished
    }

    /// Returns whether the store has a new rollout under the id.
    pub(super) fn was_replaced(&self, stored: &SharedRollout) -> bool {
        self.has_finished() && stored.revision < self.applied.revision
    }

    /// Applies the stored record and adds the counts of this server; decides, where it is its turn.
    ///
    /// # Errors
    /// `unavailable` when the store is away, or the reason why the record is not applied yet; the
    /// next exchange is the next attempt.
    pub(super) async fn exchange(&mut self, revision: u64) -> Result<()> {
        if self.has_finished() {
            return Ok(());
        }
        if revision != self.applied.revision {
            self.read().await?;
        }
        if let Some(winner) = winner(&self.rollout) {
            return self.finish(winner).await;
        }
        let applied = self.apply().await;
        self.send_counts().await?;
        self.decide().await?;
        self.pass_actions();
        applied
    }

    /// Refuses the operator actions that wait here.
    pub(super) fn refuse_actions(&mut self, error: &Error) {
        while let Ok((_, done)) = self.channels.action_requests.try_recv() {
            // The caller may have gone away.
            drop(done.send(Err(error.clone())));
        }
    }

    /// Adds the last counts, and releases the lease.
    ///
    /// # Errors
    /// `unavailable` when the store is away.
    pub(super) async fn leave(&mut self) -> Result<()> {
        if self.has_finished() {
            return Ok(());
        }
        self.decider = None;
        self.send_counts().await?;
        let Sharing { store, replica, .. } = &self.sharing;
        store.release(self.id(), replica).await
    }

    /// Returns to stable, because the store has lost the rollout.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub(super) async fn abandon(&mut self) -> Result<()> {
        if self.has_finished() {
            return Ok(());
        }
        let stable = self.rollout.config().stable.clone();
        tracing::warn!(rollout = self.id(), %stable, "shared rollout was lost; returning to stable");
        self.finish(stable).await
    }

    /// Reads the record and shows it.
    async fn read(&mut self) -> Result<()> {
        let Some(record) = self.sharing.store.record(self.id()).await? else {
            return Ok(());
        };
        self.show(&record).await
    }

    async fn show(&mut self, stored: &SharedRecord) -> Result<()> {
        let record = Record::read(&stored.text)?;
        let (rollout, _actions) = applied::rollout(&record, Clock::start().now())?;
        let generation = self.rollout.progress().generation;
        let n_transitions = rollout.progress().generation.saturating_sub(generation);
        self.rollout = rollout;
        self.applied.record = record;
        self.applied.revision = stored.revision;
        self.publish(None)?;
        self.notify_watchers(n_transitions).await
    }

    /// Publishes the documents of the record; `winner` is pinned here.
    fn publish(&self, winner: Option<Version>) -> Result<()> {
        let snapshot = RolloutSnapshot {
            winner,
            ..RolloutSnapshot::new(&self.rollout, None)?
        };
        self.handle.published.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// Sends the new transitions and the evidence to the watchers.
    async fn notify_watchers(&self, n_transitions: u64) -> Result<()> {
        let updates = &self.channels.updates;
        if updates.receiver_count() == 0 {
            return Ok(());
        }
        let limit = usize::try_from(n_transitions).unwrap_or(usize::MAX);
        let transitions = self.sharing.store.transitions(self.id(), limit).await?;
        for transition in transitions.iter().rev() {
            drop(updates.send(RolloutEvent::Transition(RawJson::new(transition))));
        }
        let evidence = self.handle.snapshot().evidence.clone();
        drop(updates.send(RolloutEvent::Evidence(evidence)));
        Ok(())
    }

    /// Sets the traffic of the record.
    async fn apply(&mut self) -> Result<()> {
        if !self.controls_traffic {
            // Persisted first: a kill in between must not let the highest version answer.
            self.persist().await?;
        }
        let dependencies = &self.sharing.dependencies;
        let config = self.rollout.config();
        let checked = self.candidate.check(&*dependencies.traffic_control, config);
        let (is_there, loading) = checked.await;
        let mut traffic = self.rollout.traffic();
        if !is_there {
            (traffic.weight, traffic.shadow) = (0.0, 0.0);
        }
        let assignment_epoch = self.rollout.config().assignment_epoch(Clock::start().now());
        if self.current != Some((traffic, assignment_epoch)) {
            self.set_traffic(traffic, assignment_epoch).await?;
        }
        loading
    }

    async fn set_traffic(&mut self, traffic: Traffic, assignment_epoch: u64) -> Result<()> {
        let Traffic { weight, .. } = traffic;
        {
            let mut local = self.traffic.lock().await;
            local.set(traffic, assignment_epoch)?;
            local.apply().await?;
            let assigner = Arc::new(local.assigner().clone());
            self.handle.published.assigner.store(assigner);
        }
        self.current = Some((traffic, assignment_epoch));
        self.controls_traffic = true;
        tracing::info!(rollout = self.id(), weight, "set weight of shared rollout");
        self.applied.weight = weight;
        self.persist().await
    }

    /// Pins the winner and returns the model to operators.
    async fn finish(&mut self, winner: Version) -> Result<()> {
        let config = self.rollout.config();
        let traffic_control = &self.sharing.dependencies.traffic_control;
        let is_there = self.has_version(&winner);
        if !self.controls_traffic && !is_there {
            return Err(Error::invalid(format!(
                "winner `{winner}` of model `{}` is not in the repository of this server",
                config.model
            )));
        }
        // A winner that is not ready here would fail every request.
        if self.controls_traffic && winner == config.candidate {
            let (is_there, loading) = self.candidate.check(&**traffic_control, config).await;
            if !is_there {
                return loading;
            }
        }
        let loser = match winner == config.candidate {
            true => config.stable.clone(),
            false => config.candidate.clone(),
        };
        let warm = self
            .controls_traffic
            .then_some((loser, config.on_rollback.keep_candidate_warm));
        traffic_control.finish(config, winner.clone(), warm).await?;
        tracing::info!(rollout = config.id, model = %config.model, %winner, "finished shared rollout");
        if let Some(decider) = self.decider.take() {
            decider.end();
        }
        self.channels.action_requests.close();
        self.publish(Some(winner))?;
        self.applied.has_finished = true;
        self.persist().await
    }

    async fn persist(&self) -> Result<()> {
        let records = &self.sharing.dependencies.records;
        records
            .persist_applied(self.id(), self.applied.to_text()?)
            .await
    }

    async fn send_counts(&mut self) -> Result<()> {
        let mut traffic = self.traffic.lock().await;
        let config = self.rollout.config();
        self.outbox
            .send(&self.sharing, config, &mut **traffic)
            .await
    }

    /// Decides about the rollout while this server has its lease. A server without the candidate
    /// does not ask for it: it would find the candidate missing.
    async fn decide(&mut self) -> Result<()> {
        if self.decider.is_none() && !self.has_version(&self.rollout.config().candidate) {
            return Ok(());
        }
        let Sharing { store, replica, .. } = &self.sharing;
        let time = self.sharing.lease_time();
        if !store.lease(self.id(), replica, time).await? {
            self.decider = None;
            return Ok(());
        }
        let has_ended = self.decider.as_mut().is_none_or(Decider::has_ended);
        if has_ended {
            self.decider = None;
            let Some(stored) = self.sharing.store.record(self.id()).await? else {
                return Ok(());
            };
            self.show(&stored).await?;
            if winner(&self.rollout).is_some() {
                // The next exchange finishes it.
                return Ok(());
            }
            self.start_decider().await?;
        }
        self.supply_decider().await
    }

    fn has_version(&self, version: &Version) -> bool {
        let traffic_control = &self.sharing.dependencies.traffic_control;
        let model = &self.rollout.config().model;
        traffic_control.availability(model, version) != Availability::Missing
    }

    async fn start_decider(&mut self) -> Result<()> {
        let AppliedRollout {
            revision, record, ..
        } = &self.applied;
        tracing::info!(rollout = self.id(), "this server decides about the rollout");
        let traffic = Arc::clone(&self.traffic);
        let decider = Decider::start(&self.sharing, *revision, record.clone(), traffic);
        self.decider = Some(decider.await?);
        Ok(())
    }

    /// Gives the deciding task the counts and the operator actions of the store.
    async fn supply_decider(&self) -> Result<()> {
        let Some(decider) = &self.decider else {
            return Ok(());
        };
        let store = &self.sharing.store;
        decider.add(store.pending(self.id()).await?);
        for request in store.take_actions(self.id()).await? {
            let answer = match actions::read_action(&request.action) {
                Ok(action) => decider.apply_action(action),
                Err(error) => Box::pin(async { Err(error) }),
            };
            actions::answer(store, request.id, answer);
        }
        Ok(())
    }

    /// Passes the operator actions at this server to the server that decides.
    fn pass_actions(&mut self) {
        while let Ok((action, done)) = self.channels.action_requests.try_recv() {
            match &self.decider {
                Some(decider) => reply(decider.apply_action(action), done),
                None => {
                    let (sharing, id) = (self.sharing.clone(), self.id().to_owned());
                    let requested = async move { actions::request(&sharing, &id, &action).await };
                    reply(Box::pin(requested), done);
                }
            }
        }
    }
}

/// Sends an answer when it has come, without waiting for it.
fn reply(
    answer: contract::BoxFuture<'static, Result<RawJson>>,
    done: oneshot::Sender<Result<RawJson>>,
) {
    // The caller may have gone away.
    tokio::spawn(async move { drop(done.send(answer.await)) });
}
