//! The occasion of a notification: the start of a rollout, or a transition.

use api::rollout::Report;
use contract::Result;
use serde_json::json;

use super::super::documents::document;
use super::alert::{Alert, event_of_hold, labels};
use super::message::{WebhookMessage, evidence_summary, slack_message};
use super::{Notification, url};
use crate::config::RolloutConfig;
use crate::config::notify::{NotificationEvent, NotificationTarget, Notify};
use crate::state::{HoldReason, Phase, Rollout, Stage, Transition};
use crate::timestamp::Timestamp;

/// The occasion of notifications.
#[derive(Debug)]
pub(in crate::driver) struct Occasion<'a> {
    /// The rollout, after the transition.
    rollout: &'a Rollout,
    /// The phase that was reached.
    phase: Phase,
    /// The events, the most important one first.
    events: Vec<NotificationEvent>,
    /// The hold that has ended.
    ended_hold: Option<HoldReason>,
    /// The reason in words, and as one word.
    reason: (String, &'static str),
    /// The actor: an operator, or `lockgate`.
    actor: &'a str,
    at: Timestamp,
    evidence: Report,
    /// Address at which others reach this server.
    public_url: Option<&'a str>,
}

impl<'a> Occasion<'a> {
    /// Creates the occasion of a rollout that starts.
    pub(in crate::driver) fn started(
        rollout: &'a Rollout,
        actor: &'a str,
        public_url: Option<&'a str>,
    ) -> Self {
        Self {
            rollout,
            phase: rollout.progress().phase,
            events: vec![NotificationEvent::Started],
            ended_hold: None,
            reason: (String::new(), ""),
            actor,
            at: rollout.progress().since,
            evidence: rollout.progress().evidence.report(rollout.config()),
            public_url,
        }
    }

    /// Creates the occasion of a transition.
    pub(in crate::driver) fn transition(
        rollout: &'a Rollout,
        transition: &'a Transition,
        public_url: Option<&'a str>,
    ) -> Self {
        Self {
            rollout,
            phase: transition.to,
            events: events(transition.from, transition.to),
            ended_hold: ended_hold(transition.from, transition.to),
            reason: (transition.reason.to_string(), transition.reason.label()),
            actor: &transition.actor,
            at: transition.at,
            evidence: transition.evidence.report(rollout.config()),
            public_url,
        }
    }

    /// Creates the notifications, at most one for each target.
    ///
    /// # Errors
    /// `internal` when one of them cannot be serialized.
    pub(in crate::driver) fn notifications(&self) -> Result<Vec<Notification>> {
        let mut notifications = Vec::new();
        for notify in &self.rollout.config().notify {
            if let Some(message) = self.message(notify)? {
                let url = url(&notify.target);
                notifications.push(Notification { url, message });
            }
        }
        Ok(notifications)
    }

    fn message(&self, notify: &Notify) -> Result<Option<String>> {
        let event = self.event_for(notify);
        let message = match (&notify.target, event) {
            (NotificationTarget::Alertmanager(_), event) => match self.alerts(notify, event) {
                alerts if alerts.is_empty() => return Ok(None),
                alerts => document(&alerts)?,
            },
            (_, None) => return Ok(None),
            (NotificationTarget::Slack(_), Some(event)) => document(&slack_message(
                &summary(self, event),
                self.link().as_deref(),
            ))?,
            (NotificationTarget::Webhook(_), Some(event)) => document(&WebhookMessage {
                event,
                summary: summary(self, event),
                status: self.rollout.status(),
                evidence: self.rollout.report(),
            })?,
        };
        Ok(Some(message.as_str().to_owned()))
    }

    /// Returns the event for which a target gets a notification.
    fn event_for(&self, notify: &Notify) -> Option<NotificationEvent> {
        let mut events = self.events.iter().copied();
        events.find(|event| notify.events.contains(event))
    }

    fn alerts(&self, notify: &Notify, event: Option<NotificationEvent>) -> Vec<Alert> {
        let mut alerts = Vec::new();
        if let Some(hold) = self.ended_hold {
            let event = event_of_hold(hold);
            if notify.events.contains(&event) {
                let labels = labels(self.rollout, event, hold.as_str());
                alerts.push(Alert::resolved(labels, self.at));
            }
        }
        if let Some(event) = event {
            let (_, reason) = self.reason;
            let annotations = json!({
                "summary": summary(self, event),
                "actor": self.actor,
                "evidence": evidence_summary(&self.evidence),
            });
            let labels = labels(self.rollout, event, reason);
            alerts.push(Alert::firing(labels, annotations, self.at, self.link()));
        }
        alerts
    }

    fn link(&self) -> Option<String> {
        let id = &self.rollout.config().id;
        self.public_url
            .map(|url| format!("{url}/api/rollouts/{id}"))
    }
}

/// Returns an event in a sentence.
fn summary(occasion: &Occasion<'_>, event: NotificationEvent) -> String {
    let config = occasion.rollout.config();
    let (id, candidate, stable) = (&config.id, &config.candidate, &config.stable);
    let (reason, _) = &occasion.reason;
    let actor = occasion.actor;
    let happened = match event {
        NotificationEvent::Started => {
            format!("was started by {actor}: version {candidate} against {stable}")
        }
        NotificationEvent::Step => {
            let stage = occasion.phase.stage();
            format!("{}: {reason}", stage_text(config, stage))
        }
        NotificationEvent::Held => {
            let why = reason.strip_prefix("held: ").unwrap_or(reason);
            format!("is held: {why}")
        }
        NotificationEvent::Gate => "waits for a gate".to_owned(),
        NotificationEvent::Resumed => format!("goes on: {reason}"),
        NotificationEvent::Completed if occasion.rollout.traffic().weight > 0.0 => {
            format!("completed: version {candidate} answers all requests")
        }
        NotificationEvent::Completed => format!("completed: version {stable} stays"),
        NotificationEvent::RolledBack => {
            format!("was rolled back from version {candidate} to {stable}: {reason}")
        }
        NotificationEvent::Aborted => format!("was aborted: {reason}"),
        NotificationEvent::Failed => format!("failed: {reason}"),
    };
    format!("{}: rollout {id} {happened}", config.model)
}

/// Returns the stage in words, such as `gives version 2 20 % of the traffic (step 2 of 3)`.
fn stage_text(config: &RolloutConfig, stage: Option<Stage>) -> String {
    let candidate = &config.candidate;
    match stage {
        Some(Stage::Step(step)) => {
            let weight = config.weight_of_step(step);
            let (percent, number) = ((weight * 1e8).round() / 1e6, step + 1);
            let n_steps = config.steps.len();
            format!(
                "gives version {candidate} {percent} % of the traffic, step {number} of {n_steps}"
            )
        }
        Some(Stage::Baseline) => format!("measures version {}", config.stable),
        Some(Stage::Shadow) => format!("gives version {candidate} shadow requests"),
        Some(Stage::Promoting | Stage::Soak) | None => {
            format!("gives version {candidate} all traffic")
        }
    }
}

/// Returns the hold that ends with a transition; another reason is another hold.
fn ended_hold(from: Phase, to: Phase) -> Option<HoldReason> {
    let Phase::Held { reason, .. } = from else {
        return None;
    };
    (!to.is_held_for(reason)).then_some(reason)
}

/// Returns the events of a transition, the most important one first. A weight that follows a hold
/// is both, for those who follow the one or the other.
fn events(from: Phase, to: Phase) -> Vec<NotificationEvent> {
    let was_held = matches!(from, Phase::Held { .. });
    match to {
        Phase::Pending | Phase::Warmup | Phase::Running(Stage::Soak) if !was_held => Vec::new(),
        Phase::Running(_) if was_held && from.stage() != to.stage() => {
            vec![NotificationEvent::Step, NotificationEvent::Resumed]
        }
        Phase::Pending | Phase::Warmup | Phase::Running(_) if was_held => {
            vec![NotificationEvent::Resumed]
        }
        Phase::Pending | Phase::Warmup | Phase::Running(_) => vec![NotificationEvent::Step],
        Phase::Held { reason, .. } if from.is_held_for(reason) => Vec::new(),
        Phase::Held { reason, .. } => vec![event_of_hold(reason)],
        Phase::Completed => vec![NotificationEvent::Completed],
        Phase::RolledBack => vec![NotificationEvent::RolledBack],
        Phase::Aborted => vec![NotificationEvent::Aborted],
        Phase::Failed => vec![NotificationEvent::Failed],
    }
}

#[cfg(test)]
mod tests;
