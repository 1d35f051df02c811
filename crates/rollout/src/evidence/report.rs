//! Report of the evidence with its limits, for people and other programs.
//!
//! Decision: every number stands beside the limit that it is compared with, because a verdict that
//! cannot be followed is not trusted.

use std::time::Duration;

use api::rollout::{
    ArmReport, ArmsReport, DifferenceReport, MetricAction, MetricReport, MismatchReport, Report,
};
use stats::bernoulli::ConfidenceSequence;
use stats::means::difference::{Effect, Moments, TUNED_FOR};
use stats::{Counts, Interval};

use super::metric::{MetricEvidence, shadow_sequence};
use super::share::{ShareEvidence, ShareLimits};
use super::{Evidence, Limits, Verdict, Window, mismatch};
use crate::config::{Metric, MetricKind, RolloutConfig, ShareRule};
use crate::numbers::duration;

impl Evidence {
    /// Returns all numbers with their limits.
    #[must_use]
    pub fn report(&self, config: &RolloutConfig) -> Report {
        let metrics = config.metrics.iter().zip(&self.metrics);
        let metrics = metrics.map(|(metric, evidence)| metric_report(config, metric, evidence));
        Report {
            metrics: metrics.collect(),
            srm: MismatchReport {
                ln_e: self.mismatch.ln_bf(),
                limit: mismatch::LN_LIMIT,
            },
        }
    }
}

/// Returns the conditions that keep the blocking metrics from "not worse", a phrase for each, with
/// the time that is left at this number of requests to the candidate, or shadow requests, a second.
#[must_use]
pub fn missing(report: &Report, requests_per_second: Option<f64>) -> Vec<String> {
    let blocking = report.metrics.iter().filter(|metric| {
        metric.action == MetricAction::Block && metric.verdict != Verdict::NotWorse
    });
    blocking
        .map(|metric| missing_of_metric(metric, requests_per_second))
        .collect()
}

/// Returns about how long this number of requests takes, as the end of a phrase.
#[must_use]
pub fn time_left(n: u64, requests_per_second: Option<f64>) -> String {
    let seconds = requests_per_second.map(|rate| n as f64 / rate);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.map_or(String::new(), |time| {
        format!(", in about {}", duration(time))
    })
}

fn missing_of_metric(metric: &MetricReport, requests_per_second: Option<f64>) -> String {
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
        Some(n) => {
            let time = time_left(n, requests_per_second);
            format!("{name}: needs about {n} more {requests}{time}")
        }
        None if is_empty => format!("{name}: has counted no {requests} yet"),
        None => format!("{name}: would not pass at the rates so far"),
    }
}

fn metric_report(
    config: &RolloutConfig,
    metric: &Metric,
    evidence: &MetricEvidence,
) -> MetricReport {
    let limits = Limits::of(config, metric);
    let report = MetricReport {
        name: metric.name.clone(),
        action: metric.action,
        verdict: if evidence.worse(config, metric).is_some() {
            Verdict::Worse
        } else if evidence.passes(config, &metric.kind) {
            Verdict::NotWorse
        } else {
            Verdict::Unknown
        },
        ln_worse_start: evidence.ln_worse(Window::Start),
        ln_worse_start_limit: limits.worse_start,
        ln_worse_step: evidence.ln_worse(Window::Step),
        ln_worse_step_limit: limits.worse_step,
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
        MetricEvidence::Share(share) => match &metric.kind {
            MetricKind::Share(rule) => MetricReport {
                ln_not_worse: rule.not_worse_ratio.map(|_| share.ln_not_worse()),
                ..with_rates(report, rule, config.beta, share)
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

fn with_rates(
    report: MetricReport,
    rule: &ShareRule,
    beta: f64,
    share: &ShareEvidence,
) -> MetricReport {
    let limits = ShareLimits::of(rule, beta);
    let (all, step) = (share.trials(), share.step_trials());
    MetricReport {
        ln_not_worse_limit: limits.ln_ratio,
        abs: limits.difference.map(|limit| DifferenceReport {
            upper: limits.sequence.upper(step.candidate),
            lower: limits.sequence.lower(step.stable),
            limit,
            ok: limits.difference_passes(step),
        }),
        arms: ArmsReport {
            stable: Some(arm(limits.sequence, all.stable)),
            candidate: Some(arm(limits.sequence, all.candidate)),
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
