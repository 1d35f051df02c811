//! Applies the actions of the state machine.
//!
//! Decision: slow actions (loading, warming up, querying a gate) run concurrently with the task and
//! come back as events, so that a rollout that waits for a person still sees a candidate fail.

use std::sync::Arc;

use api::rollout::{ArmReport, MetricReport, Report};
use contract::{
    Event as Observed, RolloutEvent, RolloutRate, RolloutReading, RolloutScore, Version,
};
use rollout::config::{GateKind, WarmupSource};
use rollout::state::{Action, Alert, Arm, Event, Phase, Traffic, Transition};

use super::RolloutTask;
use crate::control::snapshot::ServedVersion;
use crate::rollout_driver::compatibility;
use crate::rollout_driver::notification_sender::NotificationSender;
use crate::rollout_driver::notifications::Notifications;
use crate::rollout_driver::shadow_runner::{ShadowRunner, pair_totals};
use crate::rollout_driver::snapshot::transition_document;
use crate::rollout_driver::warmup::warm_up;
use crate::route::{ActiveArm, Mirror};

impl RolloutTask {
    /// Applies actions in order.
    pub(super) async fn apply_actions(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Load => self.load(),
                Action::WarmUp => self.warm_up().await,
                Action::SetTraffic(traffic) => self.set_traffic(traffic).await,
                Action::QueryGate(index) => self.query_gate(index),
                Action::Alert(Alert::StableNotReady) => tracing::error!(
                    rollout = self.id(),
                    "rollback delayed: stable version is not ready to take the traffic"
                ),
                Action::Release { arm, after } => {
                    let config = self.rollout.config();
                    let version = match arm {
                        Arm::Stable => &config.stable,
                        Arm::Candidate => &config.candidate,
                    };
                    self.warm = Some((version.clone(), after));
                }
                Action::Record(transition) => self.record_transition(&transition),
            }
        }
    }

    /// Loads both versions and compares their signatures.
    fn load(&self) {
        let traffic_control = self.dependencies.traffic_control.clone();
        let config = self.rollout.config().clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let ensure_loaded = |version: &Version| {
                traffic_control.ensure_loaded(
                    config.model.clone(),
                    version.clone(),
                    config.id.clone(),
                )
            };
            // Without stable there is nothing to compare with; the state machine handles that.
            let stable = ensure_loaded(&config.stable).await;
            let event = match ensure_loaded(&config.candidate).await {
                Err(error) => Event::CandidateFailed(error.message().to_owned()),
                Ok(_) => {
                    let info = |version| {
                        let served = traffic_control.served(&config.model, version);
                        served.map(|served| Arc::clone(served.loaded_version.info()))
                    };
                    let has_same_outputs = config.guards.shape_change.is_some();
                    let difference = match (info(&config.stable), info(&config.candidate), stable) {
                        (Some(now), Some(new), Ok(_)) => compatibility::difference(
                            &now.signature,
                            &new.signature,
                            has_same_outputs,
                        ),
                        _ => None,
                    };
                    difference.map_or(Event::CandidateReady, Event::CandidateFailed)
                }
            };
            // The task may have ended meanwhile.
            events.send(event).await.unwrap_or_default();
        });
    }

    /// Sends uncounted requests to the candidate.
    async fn warm_up(&mut self) {
        let Some(rule) = self.rollout.config().warmup else {
            return;
        };
        let arriving = match rule.source {
            WarmupSource::Synthetic => None,
            WarmupSource::Recorded => {
                let (mirror, arriving) = Mirror::new(1.0, Arc::default());
                self.mirror = Some(Arc::new(mirror));
                self.set_split().await;
                Some(arriving)
            }
        };
        let (traffic_control, config) = (
            self.dependencies.traffic_control.clone(),
            self.rollout.config().clone(),
        );
        let events = self.events.clone();
        tokio::spawn(async move {
            let version = &config.candidate;
            let loaded = traffic_control.ensure_loaded(
                config.model.clone(),
                version.clone(),
                config.id.clone(),
            );
            let loaded = loaded.await;
            let event = match (loaded, traffic_control.served(&config.model, version)) {
                (Ok(_), Some(candidate)) => warm_up(rule, candidate, arriving).await,
                (Err(error), _) => Event::WarmupFailed(error.message().to_owned()),
                (Ok(_), None) => {
                    Event::WarmupFailed("the candidate is no longer loaded".to_owned())
                }
            };
            events.send(event).await.unwrap_or_default();
        });
    }

    async fn set_traffic(&mut self, traffic: Traffic) {
        let config = self.rollout.config();
        match self.split.reweighted(config.split(traffic.weight), "") {
            Ok(split) => self.split = Arc::new(split),
            // The rollout file was checked for every weight from 0 to 1.
            Err(error) => tracing::error!(rollout = self.id(), %error, "failed to set weight"),
        }
        self.published
            .assigner
            .store(Arc::new(self.split.assigner().clone()));
        self.mirror = self.start_shadow_runner(traffic.shadow);
        self.set_split().await;
        let [candidate, stable] = self.arms();
        let units = [stable, candidate].map(|arm| arm.counters.n_units());
        self.counter_deltas.discard_units(units);
    }

    /// Starts to compare shadow requests of a share of the traffic; `None` when the share is zero.
    fn start_shadow_runner(&self, share: f64) -> Option<Arc<Mirror>> {
        let config = self.rollout.config();
        let shadow = config.shadow.filter(|_| share > 0.0)?;
        let (mirror, arriving) = Mirror::new(share, Arc::clone(&self.drops));
        let runner = ShadowRunner {
            shadow,
            traffic_control: self.dependencies.traffic_control.clone(),
            model: config.model.clone(),
            candidate: config.candidate.clone(),
            pairs: Arc::clone(&self.pairs),
            drops: Arc::clone(&self.drops),
        };
        tokio::spawn(runner.run(arriving));
        Some(Arc::new(mirror))
    }

    /// Applies the current split to the repository.
    pub(super) async fn set_split(&self) {
        let model = &self.rollout.config().model;
        if let Err(error) = self
            .dependencies
            .traffic_control
            .set_split(model, self.rollout_routing())
            .await
        {
            let diagnostic = error.diagnostic();
            tracing::error!(rollout = self.id(), %error, diagnostic, "failed to set traffic");
        }
    }

    fn query_gate(&self, index: usize) {
        let gate = self.rollout.config().gates.get(index);
        let Some(GateKind::Webhook { url, timeout }) = gate.map(|gate| gate.kind.clone()) else {
            return;
        };
        let Ok(snapshot) = self.snapshot() else {
            return;
        };
        let (webhooks, events) = (Arc::clone(&self.dependencies.webhooks), self.events.clone());
        tokio::spawn(async move {
            let answer = webhooks.query_gate(&url, &snapshot.status, timeout).await;
            let event = Event::GateAnswered {
                gate: index,
                answer,
            };
            events.send(event).await.unwrap_or_default();
        });
    }

    /// Records a transition, logs it, and reports it to the metrics and watchers.
    fn record_transition(&mut self, transition: &Transition) {
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        let config = self.rollout.config();
        tracing::info!(
            rollout = config.id,
            model = %config.model,
            from,
            to,
            reason = %transition.reason,
            actor = transition.actor,
            generation = transition.generation,
            "rollout changed state"
        );
        self.dependencies
            .observe
            .observe(&Observed::RolloutTransitioned {
                rollout: &config.id,
                model: &config.model,
                from,
                to,
                reason: transition.reason.label(),
            });
        if transition.to == Phase::RolledBack {
            self.create_notifications(transition);
        }
        match transition_document(self.rollout.config(), transition) {
            Ok(document) => {
                self.transitions.push(document.as_str().to_owned());
                self.notify_watchers(RolloutEvent::Transition(document));
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(
                    rollout = self.id(),
                    diagnostic,
                    "failed to record transition"
                );
            }
        }
    }

    /// Creates the notifications about a rollback.
    fn create_notifications(&mut self, transition: &Transition) {
        let public_url = self.dependencies.public_url.as_deref();
        match Notifications::new(&self.rollout, transition, public_url) {
            Ok(notifications) if notifications.is_empty() => {}
            Ok(notifications) => self.notifications = Some(notifications),
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(
                    rollout = self.id(),
                    diagnostic,
                    "failed to create notifications"
                );
            }
        }
    }

    /// Sends pending notifications, also when they could not be persisted.
    pub(super) fn deliver_notifications(&mut self) {
        if let Some(notifications) = self.notifications.take() {
            let config = self.rollout.config();
            let (id, model) = (config.id.clone(), config.model.clone());
            tokio::spawn(NotificationSender::new(&self.dependencies).deliver(
                id,
                model,
                notifications,
            ));
        }
    }

    /// Sends an event to the watchers, if there are any.
    pub(super) fn notify_watchers(&self, update: RolloutEvent) {
        drop(self.updates.send(update));
    }

    /// Reports the metrics of the rollout.
    pub(super) fn report_metrics(&self) {
        let (config, pairs) = (self.rollout.config(), pair_totals(&self.pairs));
        let report = self.rollout.progress().evidence.report(config);
        let weight = self.rollout.traffic().weight;
        let differing = pairs.differing();
        let reading = RolloutReading {
            rollout: &config.id,
            model: &config.model,
            state: self.rollout.progress().phase.as_str(),
            weights: [("stable", 1.0 - weight), ("candidate", weight)],
            scores: report
                .metrics
                .iter()
                .flat_map(|m| scores(&report, m))
                .collect(),
            rates: report.metrics.iter().flat_map(rates).collect(),
            mismatch: report.srm.ln_e,
            n_agreeing: differing.n - differing.events,
            n_differing: differing.events,
            dropped: self.drops.counts().collect(),
            n_without_unit: self.split.n_without_unit(),
        };
        self.dependencies
            .observe
            .observe(&Observed::RolloutMeasured(&reading));
    }

    /// Returns the arms: candidate and stable, in the order of the split.
    pub(super) fn arms(&self) -> [&Arc<ActiveArm>; 2] {
        match self.split.arms() {
            [candidate, stable] => [candidate, stable],
            _ => unreachable!("the split of a rollout has two arms"),
        }
    }

    /// Returns the served version, when it is ready.
    pub(super) fn served(&self, version: &Version) -> Option<Arc<ServedVersion>> {
        self.dependencies
            .traffic_control
            .served(&self.rollout.config().model, version)
    }
}

fn scores<'a>(report: &Report, metric: &'a MetricReport) -> Vec<RolloutScore<'a>> {
    let score = |kind, value, limit| RolloutScore {
        metric: &metric.name,
        kind,
        value,
        limit,
    };
    let limits = report.limits;
    let mut scores = vec![
        score("worse_start", metric.ln_worse_start, limits.ln_worse_start),
        score("worse_step", metric.ln_worse_step, limits.ln_worse_step),
    ];
    if let Some((value, limit)) = metric.ln_not_worse.zip(metric.ln_not_worse_limit) {
        scores.push(score("not_worse", value, limit));
    }
    scores
}

fn rates(metric: &MetricReport) -> impl Iterator<Item = RolloutRate<'_>> {
    let arms = [
        ("stable", metric.arms.stable),
        ("candidate", metric.arms.candidate),
    ];
    let rate = |arm, report: ArmReport| RolloutRate {
        metric: &metric.name,
        arm,
        value: report.value,
        interval: report.ci,
    };
    let known = arms.into_iter();
    known.filter_map(move |(arm, report)| report.map(|report| rate(arm, report)))
}
