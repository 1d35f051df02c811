//! Evidence about the rate of an event, arm against arm.
//!
//! Inputs: trials (first requests of units, or requests without a unit), and the first event of each
//! unit, at the weight of their assignment. Rule: "worse" is tested by the events, because each is
//! in the candidate with the probability of its weight whatever heavy users do; "not worse" is
//! tested by the trials, because a pool of units that runs dry pulls the share of first events back
//! to the weight. A difference of rates compares units of the same step. A candidate is worse only
//! by a margin, or a small difference within every limit would be rolled back at enough traffic:
//! its rate of events per unit at risk is above that of stable, both ends of confidence sequences,
//! by a difference. Cold start: E = 1. Recovery: good blocks push E down again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stats::bernoulli::ConfidenceSequence;
use stats::margin::Margin;
use stats::non_inferiority::NonInferiorityTest;
use stats::restarts::RestartedSprt;
use stats::sprt::Sprt;
use stats::{ArmCounts, Counts};

use super::{Arms, Pairs, TUNED_FOR, Window};
use crate::config::ShareRule;

/// The traffic weight that gives both versions of a shadow pair the same chance.
const WEIGHT_OF_PAIRS: f64 = 0.5;

/// The evidence about the rate of one event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ShareEvidence {
    start: RestartedSprt,
    step: Sprt,
    not_worse: NonInferiorityTest,
    /// Trials since the start, for display.
    trials: ArmCounts,
    step_trials: ArmCounts,
    /// New units and first events since the last change of weight.
    step_events: ArmCounts,
    /// Units of the assignment epoch, which may have their first event later.
    n_at_risk: Arms<u64>,
}

impl ShareEvidence {
    /// Adds trials and events that were assigned at this weight.
    pub(super) fn add(
        &mut self,
        rule: &ShareRule,
        weight: f64,
        trials: ArmCounts,
        events: Arms<u64>,
        elapsed: Duration,
    ) {
        let arm = |n, events| Counts { n, events };
        let counts = ArmCounts {
            stable: arm(trials.stable.n, events.stable),
            candidate: arm(trials.candidate.n, events.candidate),
        };
        self.add_worse(rule, weight, counts, elapsed);
        if let Some(ratio) = rule.not_worse_ratio {
            self.not_worse
                .add_events(trials.candidate.events, trials.stable.events, weight, ratio);
        }
        self.n_at_risk.stable += trials.stable.n;
        self.n_at_risk.candidate += trials.candidate.n;
        self.trials.add(trials);
        self.step_trials.add(trials);
    }

    /// Adds shadow pairs: of the pairs with one event either version may have it. A pair shows which
    /// version is worse, but not how often either fails.
    pub(super) fn add_pairs(&mut self, rule: &ShareRule, pairs: Pairs, elapsed: Duration) {
        if pairs.n == 0 {
            return;
        }
        let arm = |events| Counts { n: pairs.n, events };
        let counts = ArmCounts {
            stable: arm(pairs.stable_alone),
            candidate: arm(pairs.candidate_alone),
        };
        self.add_worse(rule, WEIGHT_OF_PAIRS, counts, elapsed);
    }

    fn add_worse(&mut self, rule: &ShareRule, weight: f64, counts: ArmCounts, elapsed: Duration) {
        let events = [counts.candidate.events, counts.stable.events];
        let evidence = Sprt::of_events(events[0], events[1], weight, rule.worse_than);
        self.start.add(&evidence, counts, elapsed);
        self.step.add(&evidence);
        self.step_events.add(counts);
    }

    /// Starts an assignment epoch: no unit of it has had a request yet.
    pub(super) fn start_epoch(&mut self) {
        self.n_at_risk = Arms::default();
    }

    /// Starts a step: its window is empty.
    pub(super) fn start_step(&mut self) {
        self.step = Sprt::default();
        self.step_trials = ArmCounts::default();
        self.step_events = ArmCounts::default();
    }

    /// Returns ln E of "worse".
    pub(super) fn ln_worse(&self, window: Window) -> f64 {
        match window {
            Window::Start => self.start.ln_e(),
            Window::Step => self.step.ln_e(),
            Window::Soak => 0.0,
        }
    }

    /// Returns the events and the units at risk that the evidence of a window comes from; the trials
    /// since the start for the soak.
    pub(super) fn counts(&self, window: Window) -> ArmCounts {
        let counts = match window {
            Window::Start => self.start.leading(),
            Window::Step => self.step_events,
            Window::Soak => return self.trials,
        };
        // Units from before the window may have their first event in it.
        let at_risk = |counts: Counts, n_at_risk: u64| Counts {
            n: counts.n.max(n_at_risk).max(counts.events),
            events: counts.events,
        };
        ArmCounts {
            stable: at_risk(counts.stable, self.n_at_risk.stable),
            candidate: at_risk(counts.candidate, self.n_at_risk.candidate),
        }
    }

    /// Returns whether the candidate's rate is above that of stable by the margin, over the counts
    /// that the evidence of the window comes from.
    pub(super) fn is_above_margin(&self, rule: &ShareRule, alpha: f64, window: Window) -> bool {
        let margin = Margin {
            difference: rule.worse_difference,
            null_ratio: rule.worse_than,
            alpha,
        };
        margin.is_exceeded(self.counts(window))
    }

    /// Returns whether the candidate would be "not worse" with this multiple of the counts.
    pub(super) fn passes_at(&self, factor: f64, rule: &ShareRule, beta: f64) -> bool {
        let limits = ShareLimits::of(rule, beta);
        limits.ratio_passes(&self.not_worse.scaled(factor))
            || limits.difference_passes(self.step_trials.scaled(factor))
    }

    /// Returns ln N of "not worse" by a ratio.
    pub(super) fn ln_not_worse(&self) -> f64 {
        self.not_worse.ln_n()
    }

    /// Returns the trials since the start.
    pub(super) fn trials(&self) -> ArmCounts {
        self.trials
    }

    /// Returns the trials since the last change of weight.
    pub(super) fn step_trials(&self) -> ArmCounts {
        self.step_trials
    }
}

/// The limits of "not worse" of one metric. With a ratio and a difference either is enough, so each
/// has half of the error budget; a difference needs both arms, so each has half of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareLimits {
    pub(super) ln_ratio: Option<f64>,
    pub(super) difference: Option<f64>,
    pub(super) sequence: ConfidenceSequence,
}

impl ShareLimits {
    pub(super) fn of(rule: &ShareRule, beta: f64) -> Self {
        let has_both = rule.not_worse_ratio.is_some() && rule.not_worse_difference.is_some();
        let budget = if has_both { beta / 2.0 } else { beta };
        Self {
            ln_ratio: rule.not_worse_ratio.map(|_| -budget.ln()),
            difference: rule.not_worse_difference,
            sequence: ConfidenceSequence {
                alpha: budget / 2.0,
                tuned_for: TUNED_FOR,
            },
        }
    }

    pub(super) fn ratio_passes(self, evidence: &NonInferiorityTest) -> bool {
        self.ln_ratio.is_some_and(|limit| evidence.ln_n() >= limit)
    }

    pub(super) fn difference_passes(self, arms: ArmCounts) -> bool {
        let Some(difference) = self.difference else {
            return false;
        };
        // The lower end is never above the rate, so most calls end here, before the search.
        let loosest = arms.stable.rate().unwrap_or(0.0) + difference;
        if !self.sequence.is_at_most(loosest, arms.candidate) {
            return false;
        }
        let bound = self.sequence.lower(arms.stable) + difference;
        self.sequence.is_at_most(bound, arms.candidate)
    }
}
