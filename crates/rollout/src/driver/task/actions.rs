//! Applies the actions of the state machine.
//!
//! Decision: slow actions (loading, warming up, querying a gate) run concurrently with the task and
//! come back as events, so that a rollout that waits for a person still sees a candidate fail.

use std::sync::Arc;

use api::rollout::{ArmReport, MetricReport};
use contract::{Event as Observed, RolloutEvent, RolloutRate, RolloutReading, RolloutScore};

use super::RolloutTask;
use crate::config::{GateKind, RolloutConfig};
use crate::driver::compatibility;
use crate::driver::notifications::Occasion;
use crate::driver::snapshot::transition_document;
use crate::driver::traffic_control::TrafficControl;
use crate::prometheus::Reading;
use crate::state::{Action, Alert, Arm, Availability, Event, QueryIndex, Traffic, Transition};

impl RolloutTask {
    /// Applies actions in order.
    pub(super) async fn apply_actions(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Load => self.load(),
                Action::WarmUp => self.warm_up().await,
                Action::SetTraffic(traffic) => self.set_traffic(traffic).await,
                Action::QueryGate(index) => self.query_gate(index),
                Action::Query(index) => self.query_prometheus(index),
                Action::Alert(Alert::StableNotReady) => tracing::error!(
                    rollout = self.id(),
                    "rollback delayed: stable version is not ready to take the traffic"
                ),
                Action::Alert(Alert::StableMissing) => tracing::error!(
                    rollout = self.id(),
                    "rollout held: stable version is missing and the candidate answers for it"
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
        let traffic_control = Arc::clone(&self.dependencies.traffic_control);
        let config = self.rollout.config().clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = load(&*traffic_control, &config).await;
            // The task may have ended meanwhile.
            events.send(event).await.unwrap_or_default();
        });
    }

    /// Sends uncounted requests to the candidate.
    async fn warm_up(&mut self) {
        let Some(rule) = self.rollout.config().warmup else {
            return;
        };
        let warmup = self.traffic.start_warmup(rule);
        self.apply_traffic().await;
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = warmup
                .await
                .map_or_else(Event::WarmupFailed, |()| Event::WarmedUp);
            events.send(event).await.unwrap_or_default();
        });
    }

    pub(super) async fn set_traffic(&mut self, traffic: Traffic) {
        self.assignment_epoch = self.rollout.config().assignment_epoch(self.clock.now());
        if let Err(error) = self.traffic.set(traffic, self.assignment_epoch) {
            // The rollout file was checked for every weight from 0 to 1.
            tracing::error!(rollout = self.id(), %error, "failed to set weight");
        }
        self.published
            .assigner
            .store(Arc::new(self.traffic.assigner().clone()));
        self.apply_traffic().await;
    }

    /// Applies the current traffic to the server.
    pub(super) async fn apply_traffic(&self) {
        if let Err(error) = self.traffic.apply().await {
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

    fn query_prometheus(&self, index: QueryIndex) {
        let Some(query) = self.rollout.query(index) else {
            return;
        };
        let text = query.filled_in(self.rollout.config());
        let (url, name, timeout) = (query.url.clone(), query.name.clone(), query.timeout);
        let (webhooks, events) = (Arc::clone(&self.dependencies.webhooks), self.events.clone());
        let rollout = self.id().to_owned();
        tokio::spawn(async move {
            let reply = webhooks.query_prometheus(&url, &text, timeout).await;
            let reading = Reading::of_reply(&reply);
            if let Reading::Invalid(why) | Reading::Unavailable(why) = &reading {
                tracing::warn!(rollout, query = name, why, "failed to query Prometheus");
            }
            let query = index;
            let event = Event::QueryAnswered { query, reading };
            events.send(event).await.unwrap_or_default();
        });
    }

    /// Records a transition, logs it, and reports it to the metrics and watchers.
    fn record_transition(&mut self, transition: &Transition) {
        let [from, to] = [transition.from, transition.to].map(|phase| phase.state().as_str());
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
        self.create_notifications(transition);
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

    /// Creates the notifications about a transition.
    fn create_notifications(&mut self, transition: &Transition) {
        let public_url = self.dependencies.public_url.as_deref();
        let occasion = Occasion::transition(&self.rollout, transition, public_url);
        match occasion.notifications() {
            Ok(notifications) => self.notifications.extend(notifications),
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

    /// Sends an event to the watchers, if there are any.
    pub(super) fn notify_watchers(&self, update: RolloutEvent) {
        drop(self.updates.send(update));
    }

    /// Reports the metrics of the rollout.
    pub(super) fn report_metrics(&self) {
        let config = self.rollout.config();
        let report = self.rollout.progress().evidence.report(config);
        let weight = self.rollout.traffic().weight;
        let differing = self.traffic.pairs().differing();
        let reading = RolloutReading {
            rollout: &config.id,
            model: &config.model,
            state: self.rollout.progress().phase.state().as_str(),
            weights: [("stable", 1.0 - weight), ("candidate", weight)],
            scores: report.metrics.iter().flat_map(scores).collect(),
            rates: report.metrics.iter().flat_map(rates).collect(),
            mismatch: report.srm.ln_e,
            n_agreeing: differing.n - differing.events,
            n_differing: differing.events,
            dropped: self.traffic.dropped(),
            n_without_unit: self.traffic.n_without_unit(),
        };
        self.dependencies
            .observe
            .observe(&Observed::RolloutMeasured(&reading));
    }
}

/// Loads both versions of a rollout and compares their signatures.
async fn load(traffic_control: &dyn TrafficControl, config: &RolloutConfig) -> Event {
    // Without stable there is nothing to compare with; the state machine handles that.
    let stable = traffic_control.ensure_loaded(config, &config.stable).await;
    let candidate = traffic_control.ensure_loaded(config, &config.candidate);
    if let Err(error) = candidate.await {
        return match traffic_control.availability(&config.model, &config.candidate) {
            Availability::Missing => Event::CandidateMissing,
            Availability::Ready | Availability::Loading | Availability::Failed => {
                Event::CandidateFailed(error.message().to_owned())
            }
        };
    }
    let info = |version| Some(traffic_control.ready_version(&config.model, version)?.info);
    let has_same_outputs = config.guards.shape_change.is_some();
    let difference = match (info(&config.stable), info(&config.candidate), stable) {
        (Some(now), Some(new), Ok(())) => {
            compatibility::difference(&now.signature, &new.signature, has_same_outputs)
        }
        _ => None,
    };
    difference.map_or(Event::CandidateReady, Event::CandidateFailed)
}

fn scores(metric: &MetricReport) -> Vec<RolloutScore<'_>> {
    let score = |kind, value, limit| RolloutScore {
        metric: &metric.name,
        kind,
        value,
        limit,
    };
    let mut scores = vec![
        score(
            "worse_start",
            metric.ln_worse_start,
            metric.ln_worse_start_limit,
        ),
        score(
            "worse_step",
            metric.ln_worse_step,
            metric.ln_worse_step_limit,
        ),
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
