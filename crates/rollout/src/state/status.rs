//! Status and report of a rollout: its state, what it waits for, and every number with its limit.

use api::rollout::{ArmName, ArmStatus, RolloutReport, SoakReport, Status, Verdict};

use super::{HoldReason, Phase, Rollout};

impl Rollout {
    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> Status {
        let (config, progress) = (&self.config, &self.progress);
        let weight = self.traffic().weight;
        let arm = |name, version: &contract::Version, weight| ArmStatus {
            name,
            version: version.to_string(),
            weight,
        };
        Status {
            id: config.id.clone(),
            run: config.run,
            model: config.model.to_string(),
            state: progress.phase.state(),
            step: progress.phase.step(),
            n_steps: config.steps.len(),
            weight,
            generation: progress.generation,
            epoch: progress.epoch,
            since: progress.since.to_string(),
            reason: self.reason(),
            verdict: self.verdict(),
            arms: [
                arm(ArmName::Stable, &config.stable, 1.0 - weight),
                arm(ArmName::Candidate, &config.candidate, weight),
            ],
            missing: self.missing(),
            gate: self.gate_status(),
            guard_queries: self.guard_query_statuses(),
            warnings: Vec::new(),
            shared_state: None,
        }
    }

    /// Returns the verdict on which people and tools promote or roll back.
    ///
    /// Rule: a rollout that was rolled back is worse, whatever its last scores were, and one that
    /// completed is not worse. Before that, only evidence against an undisturbed split makes it not
    /// worse; a candidate that looks worse is unknown until it has been rolled back.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.progress.phase {
            Phase::RolledBack | Phase::Aborted | Phase::Failed => Verdict::Worse,
            Phase::Completed => Verdict::NotWorse,
            Phase::Pending | Phase::Warmup => Verdict::Unknown,
            Phase::Held {
                reason: HoldReason::Srm,
                ..
            } => Verdict::Unknown,
            Phase::Running(_) | Phase::Held { .. } => match self.is_candidate_not_worse() {
                true => Verdict::NotWorse,
                false => Verdict::Unknown,
            },
        }
    }

    /// Returns whether the evidence is "not worse", and no rollback is waiting or due.
    fn is_candidate_not_worse(&self) -> bool {
        let progress = &self.progress;
        let soak = progress.soak.as_ref();
        progress.pending_transition.is_none()
            && !soak.is_some_and(|soak| soak.is_worse(&self.config))
            && progress.evidence.verdict(&self.config) == Verdict::NotWorse
    }

    /// Returns all numbers with their limits.
    #[must_use]
    pub fn report(&self) -> RolloutReport {
        let guards = self.progress.guards.reports(&self.config.guards);
        RolloutReport {
            evidence: self.progress.evidence.report(&self.config),
            soak: self.progress.soak.as_ref().map(|soak| SoakReport {
                ln_d: Some(soak.ln_d(&self.config)).filter(|ln_d| ln_d.is_finite()),
                limit: super::Soak::limit(&self.config),
            }),
            guards: guards.collect(),
            shadow: None,
        }
    }

    fn reason(&self) -> Option<String> {
        let progress = &self.progress;
        match progress.phase {
            Phase::Held { reason, .. } => Some(reason.as_str().to_owned()),
            Phase::Completed | Phase::RolledBack | Phase::Aborted | Phase::Failed => {
                progress.last_reason.as_ref().map(ToString::to_string)
            }
            Phase::Pending | Phase::Warmup | Phase::Running(_) => None,
        }
    }
}
