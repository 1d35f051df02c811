//! Report of the evidence with its limits, for people and other programs.
//!
//! Decision: every number stands beside the limit that it is compared with, because a verdict that
//! cannot be followed is not trusted.

use api::rollout::{
    ArmReport, ArmsReport, CombinedReport, DifferenceReport, LimitsReport, MetricAction,
    MetricReport, MismatchReport, Report,
};
use stats::bernoulli::ConfidenceSequence;
use stats::means::difference::{Effect, Moments, TUNED_FOR};
use stats::{ArmCounts, Counts, Interval};

use super::metric::{MetricEvidence, ShareLimits, shadow_sequence};
use super::{Evidence, Limits, Verdict, Window, mismatch};
use crate::config::{Metric, MetricKind, RolloutConfig, ShareRule};

impl Evidence {
    /// Returns all numbers with their limits.
    #[must_use]
    pub fn report(&self, config: &RolloutConfig) -> Report {
        let limits = Limits::of(config);
        let metrics = config.metrics.iter().zip(&self.metrics);
        let metrics: Vec<_> = metrics
            .map(|(metric, evidence)| metric_report(config, metric, evidence))
            .collect();
        let highest = metrics
            .iter()
            .filter_map(|metric| metric.ln_not_worse_limit);
        Report {
            limits: LimitsReport {
                ln_worse_start: limits.worse_start,
                ln_worse_step: limits.worse_step,
                ln_not_worse: highest.fold(-config.beta.ln(), f64::max),
            },
            metrics,
            combined: CombinedReport {
                ln_start: self.combined(config, Window::Start),
                ln_step: self.combined(config, Window::Step),
            },
            srm: MismatchReport {
                ln_e: self.mismatch.ln_bf(),
                limit: mismatch::LN_LIMIT,
            },
        }
    }
}

/// Returns the conditions that keep the blocking metrics from "not worse", a phrase for each.
#[must_use]
pub fn missing(report: &Report) -> Vec<String> {
    let blocking = report.metrics.iter().filter(|metric| {
        metric.action == MetricAction::Block && metric.verdict != Verdict::NotWorse
    });
    blocking.map(missing_of_metric).collect()
}

fn missing_of_metric(metric: &MetricReport) -> String {
    let name = &metric.name;
    let requests = match metric.arms.stable {
        Some(_) => "requests to the candidate",
        // Only shadow pairs are not compared with another arm.
        None => "shadow requests",
    };
    let is_empty = metric
        .arms
        .candidate
        .is_none_or(|candidate| candidate.n == 0);
    match metric.further_requests {
        Some(n) => format!("{name}: needs about {n} more {requests}"),
        None if is_empty => format!("{name}: has counted no {requests} yet"),
        None => format!("{name}: would not pass at the rates so far"),
    }
}

fn metric_report(
    config: &RolloutConfig,
    metric: &Metric,
    evidence: &MetricEvidence,
) -> MetricReport {
    let limits = Limits::of(config);
    let (start, step) = (
        evidence.ln_worse(Window::Start),
        evidence.ln_worse(Window::Step),
    );
    let report = MetricReport {
        name: metric.name.clone(),
        action: metric.action,
        verdict: if start >= limits.worse_start || step >= limits.worse_step {
            Verdict::Worse
        } else if evidence.passes(config, &metric.kind) {
            Verdict::NotWorse
        } else {
            Verdict::Unknown
        },
        ln_worse_start: start,
        ln_worse_step: step,
        ln_not_worse: None,
        ln_not_worse_limit: None,
        further_requests: match metric.action {
            MetricAction::Block => evidence.further_requests(config, &metric.kind),
            MetricAction::Hold | MetricAction::Report => None,
        },
        abs: None,
        distance: None,
        effect: None,
        arms: ArmsReport::default(),
    };
    with_details(config, metric, evidence, report)
}

fn with_details(
    config: &RolloutConfig,
    metric: &Metric,
    evidence: &MetricEvidence,
    report: MetricReport,
) -> MetricReport {
    match evidence {
        MetricEvidence::Share {
            not_worse, arms, ..
        } => match &metric.kind {
            MetricKind::Share(rule) => MetricReport {
                ln_not_worse: rule.not_worse_ratio.map(|_| not_worse.ln_n()),
                ..with_rates(report, rule, config.beta, *arms)
            },
            MetricKind::ShadowDiffers { .. }
            | MetricKind::OutputBins { .. }
            | MetricKind::Feedback { .. } => report,
        },
        MetricEvidence::ShadowDiffers { pairs, .. } => MetricReport {
            arms: ArmsReport {
                stable: None,
                candidate: Some(arm(shadow_sequence(config), *pairs)),
            },
            ..report
        },
        MetricEvidence::OutputBins(bins) => MetricReport {
            distance: Some(bins.distance()),
            arms: ArmsReport {
                stable: Some(plain_arm(bins.total().stable, None)),
                candidate: Some(plain_arm(bins.total().candidate, None)),
            },
            ..report
        },
        MetricEvidence::Feedback { stable, candidate } => MetricReport {
            effect: effect(*stable, *candidate).map(Into::into),
            arms: ArmsReport {
                stable: Some(plain_arm(stable.n, stable.mean())),
                candidate: Some(plain_arm(candidate.n, candidate.mean())),
            },
            ..report
        },
    }
}

fn with_rates(report: MetricReport, rule: &ShareRule, beta: f64, arms: ArmCounts) -> MetricReport {
    let limits = ShareLimits::of(rule, beta);
    let stable = arm(limits.sequence, arms.stable);
    let candidate = arm(limits.sequence, arms.candidate);
    let ends = stable.ci.zip(candidate.ci);
    let difference = limits.difference.zip(ends);
    MetricReport {
        ln_not_worse_limit: limits.ln_ratio,
        abs: difference.map(|(limit, ((lower, _), (_, upper)))| DifferenceReport {
            upper,
            lower,
            limit,
            ok: limits.difference_passes(arms),
        }),
        arms: ArmsReport {
            stable: Some(stable),
            candidate: Some(candidate),
        },
        ..report
    }
}

fn arm(sequence: ConfidenceSequence, counts: Counts) -> ArmReport {
    let Interval { lower, upper } = sequence.interval(counts);
    ArmReport {
        n: counts.n,
        events: Some(counts.events),
        value: counts.rate(),
        ci: Some((lower, upper)),
    }
}

fn plain_arm(n: u64, value: Option<f64>) -> ArmReport {
    ArmReport {
        n,
        events: None,
        value,
        ci: None,
    }
}

fn effect(stable: Moments, candidate: Moments) -> Option<Interval> {
    Some(Effect::absolute(stable, candidate)?.interval(0.05, TUNED_FOR))
}
