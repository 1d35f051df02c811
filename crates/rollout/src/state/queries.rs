//! Queries of Prometheus for gates and guards.
//!
//! Decision: the queries of guards are made in every stage, also while held; what their results mean
//! is decided in one place for guards and gates.

use api::rollout::GuardQueryStatus;
use contract::GateDecision;

use super::actions::{Action, QueryIndex};
use super::gates::GateProgress;
use super::phase::Phase;
use super::reason::Reason;
use super::{Rollout, SYSTEM_ACTOR};
use crate::config::GateKind;
use crate::config::prometheus::PrometheusQuery;
use crate::prometheus::Reading;
use crate::timestamp::Timestamp;

impl GateProgress {
    /// Adds the result of a query, and schedules the next one.
    fn add_reading(
        &mut self,
        query: &PrometheusQuery,
        reading: &Reading,
        now: Timestamp,
    ) -> (GateDecision, String) {
        let (decision, text) = self.query.add(query, reading, now);
        self.last_answer = Some(text.clone());
        match reading {
            Reading::Value(_) | Reading::NoData => self.schedule(now + query.interval),
            Reading::Invalid(_) | Reading::Unavailable(_) => self.schedule_retry(now),
        }
        (decision, text)
    }
}

impl Rollout {
    /// Makes the queries of guards that are due.
    pub(super) fn query_guards(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.progress.phase.stage().is_none() {
            return;
        }
        for (index, guard) in self.progress.guard_queries.iter_mut().enumerate() {
            if guard.is_due(now) {
                actions.push(Action::Query(QueryIndex::Guard(index)));
            }
        }
    }

    /// Returns whether the query of a guard is wrong, so that it guards nothing.
    pub(super) fn has_invalid_guard(&self) -> bool {
        let mut guards = self.progress.guard_queries.iter();
        guards.any(|guard| guard.query.is_invalid)
    }

    /// Returns a query of the configuration.
    #[must_use]
    pub fn query(&self, index: QueryIndex) -> Option<&PrometheusQuery> {
        match index {
            QueryIndex::Gate(index) => match &self.config.gates.get(index)?.kind {
                GateKind::Prometheus(query) => Some(query),
                GateKind::Manual | GateKind::Webhook { .. } => None,
            },
            QueryIndex::Guard(index) => self.config.guard_queries.get(index),
        }
    }

    pub(super) fn query_answered(
        &mut self,
        index: QueryIndex,
        reading: &Reading,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(query) = self.query(index).cloned() else {
            return;
        };
        let progress = match index {
            QueryIndex::Gate(index) => self.progress.gates.get_mut(index),
            QueryIndex::Guard(index) => self.progress.guard_queries.get_mut(index),
        };
        let Some(progress) = progress else {
            return;
        };
        let (decision, text) = progress.add_reading(&query, reading, now);
        // Without a stage the candidate has no traffic that it could harm.
        let has_stage = self.progress.phase.stage().is_some();
        match (decision, index) {
            (GateDecision::Proceed, QueryIndex::Gate(_)) => progress.is_open = true,
            (GateDecision::RollBack, _) if has_stage => {
                let reason = Reason::Query(format!("`{}`: {text}", query.name));
                self.roll_back(Phase::RolledBack, reason, SYSTEM_ACTOR, now, actions);
            }
            (GateDecision::Proceed | GateDecision::Wait | GateDecision::RollBack, _) => {}
        }
    }

    /// Returns the state of each query of a guard.
    pub(super) fn guard_query_statuses(&self) -> Vec<GuardQueryStatus> {
        let guards = self.config.guard_queries.iter();
        let guards = guards.zip(&self.progress.guard_queries);
        let status = |(query, progress): (&PrometheusQuery, &GateProgress)| GuardQueryStatus {
            name: query.name.clone(),
            failures: progress.query.n_failures,
            failure_limit: query.failure_limit,
            last_answer: progress.last_answer.clone(),
            asked_at: progress.asked_at.map(|time| time.to_string()),
        };
        guards.map(status).collect()
    }
}
