//! Gates of a rollout: those before the next weight are asked until each is open.
//!
//! Rule: while the rollout is held for a gate, every webhook that is due is called; after an answer
//! other than "proceed", it is called again after a pause that doubles. The status shows the first
//! gate that is closed, with its last answer. Cold start: every gate is closed. Recovery: calls that
//! were open when the process ended are made again.

use std::time::Duration;

use api::rollout::GateStatus;
use contract::{GateAnswer, GateDecision};
use serde::{Deserialize, Serialize};

use super::actions::{Action, QueryIndex};
use super::phase::{HoldReason, Phase, Stage};
use super::query_progress::QueryProgress;
use super::reason::Reason;
use super::{Rollout, SYSTEM_ACTOR};
use crate::config::{Gate, GateKind, GatePosition};
use crate::timestamp::Timestamp;

/// The first delay after a gate that did not open.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);

/// The maximum delay.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// The progress of a gate, or of the query of a guard, which never opens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GateProgress {
    pub(super) is_open: bool,
    /// The number of calls that did not open it.
    n_refusals: u32,
    /// The time of the next call; `None` while an answer is due.
    next_call: Option<Timestamp>,
    /// The time of the last call; of a manual gate, the time from which on it is waited for.
    #[serde(default)]
    pub(super) asked_at: Option<Timestamp>,
    /// The last answer in words.
    #[serde(default)]
    pub(super) last_answer: Option<String>,
    /// The results of its query.
    #[serde(default)]
    pub(super) query: QueryProgress,
}

/// Returns the progress of this many gates that are all closed.
pub(super) fn closed_gate_progress(count: usize, now: Timestamp) -> Vec<GateProgress> {
    let fresh = GateProgress {
        next_call: Some(now),
        ..GateProgress::default()
    };
    vec![fresh; count]
}

impl GateProgress {
    /// Schedules a call for now: an open one was lost with the process.
    pub(super) fn requery(&mut self, now: Timestamp) {
        self.next_call = Some(now);
    }

    /// Returns whether the gate must be called now; it then waits for the answer.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = !self.is_open && self.next_call.is_some_and(|next| next <= now);
        if is_due {
            self.next_call = None;
            self.asked_at = Some(now);
        }
        is_due
    }

    /// Schedules the next call of a gate that did not open: each delay is twice as long as the
    /// last.
    pub(super) fn schedule_retry(&mut self, now: Timestamp) {
        let factor = 1_u32 << self.n_refusals.min(5);
        self.next_call = Some(now + (FIRST_BACKOFF * factor).min(MAX_BACKOFF));
        self.n_refusals += 1;
    }

    /// Schedules the next call after a useful answer.
    pub(super) fn schedule(&mut self, next_call: Timestamp) {
        self.next_call = Some(next_call);
        self.n_refusals = 0;
    }
}

impl Rollout {
    /// Returns the indices of the closed gates before the next weight.
    pub(super) fn closed_gates(&self, stage: Stage) -> impl Iterator<Item = usize> {
        let next = self.next_position(stage);
        let gates = self.config.gates.iter().zip(&self.progress.gates);
        let closed = gates
            .enumerate()
            .filter(move |(_, (gate, progress))| gate.before == next && !progress.is_open);
        closed.map(|(index, _)| index)
    }

    /// Queries the gates that are due.
    pub(super) fn call_gates(&mut self, stage: Stage, now: Timestamp, actions: &mut Vec<Action>) {
        let closed: Vec<_> = self.closed_gates(stage).collect();
        for index in closed {
            let gate = self.config.gates.get(index);
            let Some((gate, progress)) = gate.zip(self.progress.gates.get_mut(index)) else {
                continue;
            };
            match &gate.kind {
                GateKind::Manual => {
                    progress.asked_at.get_or_insert(now);
                }
                GateKind::Webhook { .. } if progress.is_due(now) => {
                    actions.push(Action::QueryGate(index));
                }
                GateKind::Prometheus(_) if progress.is_due(now) => {
                    actions.push(Action::Query(QueryIndex::Gate(index)));
                }
                GateKind::Webhook { .. } | GateKind::Prometheus(_) => {}
            }
        }
    }

    pub(super) fn gate_answered(
        &mut self,
        gate: usize,
        answer: GateAnswer,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(progress) = self.progress.gates.get_mut(gate) else {
            return;
        };
        progress.last_answer = Some(answer.text.clone());
        match answer.decision {
            GateDecision::Proceed => progress.is_open = true,
            GateDecision::Wait => progress.schedule_retry(now),
            GateDecision::RollBack => {
                let name = self.config.gates.get(gate).map(|gate| self.gate_name(gate));
                let reason = Reason::GateAnswer {
                    gate: name.unwrap_or_default(),
                    answer: answer.text,
                };
                self.roll_back(Phase::RolledBack, reason, SYSTEM_ACTOR, now, actions);
            }
        }
    }

    pub(super) fn open_all_gates(&mut self, stage: Stage) {
        let closed: Vec<_> = self.closed_gates(stage).collect();
        for index in closed {
            if let Some(gate) = self.progress.gates.get_mut(index) {
                gate.is_open = true;
            }
        }
    }

    /// Returns the gate that is asked; `None` when the rollout is not held for one.
    pub(super) fn gate_status(&self) -> Option<GateStatus> {
        let Phase::Held {
            reason: HoldReason::Gate,
            stage,
        } = self.progress.phase
        else {
            return None;
        };
        let index = self.closed_gates(stage).next()?;
        let progress = self.progress.gates.get(index)?;
        Some(GateStatus {
            name: self.gate_name(self.config.gates.get(index)?),
            last_answer: progress.last_answer.clone(),
            asked_at: progress.asked_at.map(|time| time.to_string()),
        })
    }

    /// Returns the name of a gate in the words of the rollout file.
    fn gate_name(&self, gate: &Gate) -> String {
        let before = match gate.before {
            GatePosition::Promote => "promote".to_owned(),
            GatePosition::Step(step) => {
                // Percentages were divided by 100, which leaves an error far below this precision.
                let percent = (self.config.weight_of_step(step) * 1e8).round() / 1e6;
                format!("step_{percent}")
            }
        };
        let kind = gate.kind.as_str();
        match &gate.kind {
            GateKind::Prometheus(query) => format!("{kind} `{}` before {before}", query.name),
            GateKind::Manual | GateKind::Webhook { .. } => format!("{kind} before {before}"),
        }
    }
}
