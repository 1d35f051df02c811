//! Metrics of a rollout file.
//!
//! Decision: a key that has no meaning for its event is an error, because its author expected an
//! effect.

use stats::arm_totals::Span;

use super::super::file::{EventFile, MetricFile, NotWorseFile, WorseFile};
use super::super::{
    ConfigError, Metric, MetricAction, MetricKind, ShareEvent, ShareRule, Strategy,
};
use super::{error, number, required};

/// A candidate that fails a quarter more often than stable is worse. A smaller ratio rolls back
/// candidates inside every limit at enough traffic.
const DEFAULT_WORSE_RATIO: f64 = 1.25;

/// One more failure in a thousand requests is no reason to roll back.
const DEFAULT_WORSE_DIFFERENCE: f64 = 0.001;

/// Returns the metrics of a file that names none: errors, slow requests at the 99th percentile and
/// the median, and the distribution of the outputs, which can only hold.
fn default_metrics() -> Vec<MetricFile> {
    let slow = |percentile: &str, not_worse_than, weight| MetricFile {
        name: Some(format!("slow_{percentile}")),
        event: Some(EventFile::LatencyOver),
        at: Some(format!("stable_{percentile}")),
        not_worse_than,
        weight: Some(weight),
        ..MetricFile::default()
    };
    vec![
        default_errors(),
        slow("p99", limits(2.0, 0.01), 2.0),
        MetricFile {
            span: Some(Span::Infer),
            ..slow("p50", limits(1.2, 0.05), 1.0)
        },
        MetricFile {
            name: Some("outputs".to_owned()),
            event: Some(EventFile::OutputBin),
            ..MetricFile::default()
        },
    ]
}

fn default_errors() -> MetricFile {
    MetricFile {
        name: Some("errors".to_owned()),
        event: Some(EventFile::Error),
        not_worse_than: limits(2.0, 0.005),
        weight: Some(4.0),
        ..MetricFile::default()
    }
}

fn limits(ratio: f64, abs: f64) -> Option<NotWorseFile> {
    Some(NotWorseFile {
        ratio: Some(ratio),
        abs: Some(abs),
    })
}

/// Returns the metric that the `shadow` strategy adds to the errors: differing answers.
fn default_shadow_metric() -> MetricFile {
    MetricFile {
        name: Some("disagree".to_owned()),
        event: Some(EventFile::ShadowDiffers),
        max_rate: Some(0.02),
        ..MetricFile::default()
    }
}

/// Resolves every metric, and checks that at least one of them is blocking.
pub(super) fn resolve(
    strategy: Strategy,
    files: Option<Vec<MetricFile>>,
    has_shadow: bool,
) -> Result<Vec<Metric>, ConfigError> {
    let by_default = || match strategy {
        // Shadow requests say nothing about times, and the candidate answers no others.
        Strategy::Shadow => vec![default_errors(), default_shadow_metric()],
        Strategy::Canary | Strategy::BlueGreen | Strategy::Ab => default_metrics(),
    };
    let mut metrics: Vec<Metric> = Vec::new();
    for (index, file) in files.unwrap_or_else(by_default).into_iter().enumerate() {
        let key = format!("rollout.metrics[{index}]");
        let metric = metric(&key, &file)?;
        if metrics.iter().any(|other| other.name == metric.name) {
            let message = format!(
                "`{}` is the name of another metric; expected a unique name",
                metric.name
            );
            return Err(error(format!("{key}.name"), message));
        }
        let needs_shadow = matches!(metric.kind, MetricKind::ShadowDiffers { .. });
        if needs_shadow && !has_shadow {
            let message = "`shadow_differs` needs pairs of answers; add `rollout.shadow`";
            return Err(error(format!("{key}.event"), message));
        }
        metrics.push(metric);
    }
    match metrics
        .iter()
        .any(|metric| metric.action == MetricAction::Block)
    {
        true => Ok(metrics),
        false => {
            let message = "no metric has `action: block`, so nothing would ever be decided; \
                           add one for `error` or `latency_over`";
            Err(error("rollout.metrics", message))
        }
    }
}

fn metric(key: &str, file: &MetricFile) -> Result<Metric, ConfigError> {
    let event = required(&format!("{key}.event"), file.event)?;
    refuse_unrelated_keys(key, file, event)?;
    let default_action = match event {
        EventFile::Error | EventFile::LatencyOver | EventFile::ShadowDiffers => MetricAction::Block,
        EventFile::OutputBin => MetricAction::Hold,
        EventFile::Feedback => MetricAction::Report,
    };
    let action = file.action.unwrap_or(default_action);
    let is_possible = match event {
        EventFile::Error | EventFile::LatencyOver | EventFile::ShadowDiffers => true,
        EventFile::OutputBin => action != MetricAction::Block,
        EventFile::Feedback => action == MetricAction::Report,
    };
    if !is_possible {
        let allowed = match event {
            EventFile::OutputBin => "`hold` or `report`",
            EventFile::Feedback
            | EventFile::Error
            | EventFile::LatencyOver
            | EventFile::ShadowDiffers => "`report`",
        };
        let message = format!("expected {allowed} for this event");
        return Err(error(format!("{key}.action"), message));
    }
    Ok(Metric {
        name: required(&format!("{key}.name"), file.name.clone())?,
        weight: number(&format!("{key}.weight"), file.weight, 1.0, 1e-6, 1e6)?,
        kind: kind(key, file, event, action)?,
        action,
    })
}

fn kind(
    key: &str,
    file: &MetricFile,
    event: EventFile,
    action: MetricAction,
) -> Result<MetricKind, ConfigError> {
    let rate = |name: &str, value: Option<f64>| {
        let key = format!("{key}.{name}");
        let value = required(&key, value)?;
        number(&key, Some(value), value, 1e-6, 1.0)
    };
    Ok(match event {
        EventFile::Error => MetricKind::Share(share(key, file, ShareEvent::Error, action)?),
        EventFile::LatencyOver => {
            let event = ShareEvent::LatencyOver {
                percentile: percentile(&format!("{key}.at"), file.at.as_deref())?,
                span: file.span.unwrap_or_default(),
            };
            MetricKind::Share(share(key, file, event, action)?)
        }
        EventFile::ShadowDiffers => MetricKind::ShadowDiffers {
            max_rate: rate("max_rate", file.max_rate)?,
        },
        EventFile::OutputBin => MetricKind::OutputBins {
            tolerance: rate("tolerance_js", file.tolerance_js.or(Some(0.1)))?,
        },
        EventFile::Feedback => MetricKind::Feedback {
            direction: file.direction.unwrap_or_default(),
        },
    })
}

fn share(
    key: &str,
    file: &MetricFile,
    event: ShareEvent,
    action: MetricAction,
) -> Result<ShareRule, ConfigError> {
    let not_worse = file.not_worse_than.as_ref();
    let ratio = not_worse.and_then(|limits| limits.ratio);
    let difference = not_worse.and_then(|limits| limits.abs);
    if action == MetricAction::Block && ratio.is_none() && difference.is_none() {
        let message = "a metric that blocks needs `ratio`, `abs` or both, such as \
                       `{ratio: 2.0, abs: 0.005}`; without them nothing is ever promoted";
        return Err(error(format!("{key}.not_worse_than"), message));
    }
    let (worse_ratio, worse_difference) = worse_than(key, file.worse_than.as_ref())?;
    let limit = |name: &str, value: Option<f64>, low, high| {
        let key = format!("{key}.not_worse_than.{name}");
        value
            .map(|value| number(&key, Some(value), value, low, high))
            .transpose()
    };
    let rule = ShareRule {
        event,
        worse_than: worse_ratio,
        worse_difference,
        not_worse_ratio: limit("ratio", ratio, 1.01, 100.0)?,
        not_worse_difference: limit("abs", difference, 1e-6, 1.0)?,
    };
    check_reachable(key, &rule)?;
    Ok(rule)
}

/// Resolves the margin of "worse": a ratio and a difference.
fn worse_than(key: &str, file: Option<&WorseFile>) -> Result<(f64, f64), ConfigError> {
    let key = format!("{key}.worse_than");
    let (ratio_key, ratio, difference) = match file {
        None => (key.clone(), None, None),
        Some(WorseFile::Ratio(ratio)) => (key.clone(), Some(*ratio), None),
        Some(WorseFile::Margin(margin)) => (format!("{key}.ratio"), margin.ratio, margin.abs),
    };
    let difference_key = format!("{key}.abs");
    let difference = number(
        &difference_key,
        difference,
        DEFAULT_WORSE_DIFFERENCE,
        0.0,
        1.0,
    )?;
    Ok((
        number(&ratio_key, ratio, DEFAULT_WORSE_RATIO, 0.01, 100.0)?,
        difference,
    ))
}

/// Refuses ratios that the rate of the event cannot reach: a half of stable's requests is slower
/// than its median, so no candidate has twice as many.
fn check_reachable(key: &str, rule: &ShareRule) -> Result<(), ConfigError> {
    let ShareEvent::LatencyOver { percentile, .. } = rule.event else {
        return Ok(());
    };
    let rate = f64::from(100 - percentile) / 100.0;
    let highest = 1.0 / rate;
    let ratios = [
        ("worse_than", Some(rule.worse_than)),
        ("not_worse_than.ratio", rule.not_worse_ratio),
    ];
    for (name, ratio) in ratios {
        if let Some(ratio) = ratio.filter(|ratio| *ratio >= highest) {
            let message = format!(
                "{percent} % of stable's requests are slower than its p{percentile}, so no \
                 candidate has {ratio} times as many; expected a ratio below {highest:.2}, or `abs`",
                percent = 100 - percentile,
            );
            return Err(error(format!("{key}.{name}"), message));
        }
    }
    Ok(())
}

/// Parses a percentile such as `stable_p99`.
fn percentile(key: &str, at: Option<&str>) -> Result<u8, ConfigError> {
    let at = required(key, at)?;
    let percentile = at.strip_prefix("stable_p").and_then(|p| p.parse().ok());
    let percentile = percentile.filter(|p| (1..=99).contains(p));
    percentile.ok_or_else(|| {
        let got = at.escape_debug();
        error(
            key,
            format!("expected a percentile of stable such as `stable_p99`, got `{got}`"),
        )
    })
}

/// Rejects keys that have no meaning for the event.
fn refuse_unrelated_keys(
    key: &str,
    file: &MetricFile,
    event: EventFile,
) -> Result<(), ConfigError> {
    const SHARES: &[EventFile] = &[EventFile::Error, EventFile::LatencyOver];
    let keys: [(&str, bool, &[EventFile], &str); 7] = [
        (
            "at",
            file.at.is_some(),
            &[EventFile::LatencyOver],
            "`latency_over`",
        ),
        (
            "span",
            file.span.is_some(),
            &[EventFile::LatencyOver],
            "`latency_over`",
        ),
        (
            "worse_than",
            file.worse_than.is_some(),
            SHARES,
            "`error` and `latency_over`",
        ),
        (
            "not_worse_than",
            file.not_worse_than.is_some(),
            SHARES,
            "`error` and `latency_over`",
        ),
        (
            "max_rate",
            file.max_rate.is_some(),
            &[EventFile::ShadowDiffers],
            "`shadow_differs`",
        ),
        (
            "tolerance_js",
            file.tolerance_js.is_some(),
            &[EventFile::OutputBin],
            "`output_bin`",
        ),
        (
            "direction",
            file.direction.is_some(),
            &[EventFile::Feedback],
            "`feedback`",
        ),
    ];
    for (name, is_given, events, of) in keys {
        if is_given && !events.contains(&event) {
            return Err(error(
                format!("{key}.{name}"),
                format!("is only for the event {of}"),
            ));
        }
    }
    Ok(())
}
