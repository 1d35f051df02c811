//! Metrics of a rollout file.
//!
//! Decision: a key that has no meaning for its event is an error, because its author expected an
//! effect.

use super::super::file::{EventFile, MetricFile, NotWorseFile};
use super::super::{
    ConfigError, Metric, MetricAction, MetricKind, ShareEvent, ShareRule, Strategy,
};
use super::{error, number, required};

/// Returns the metrics of a file that names none: errors, at most twice as many or half a percent
/// more.
fn default_metrics() -> Vec<MetricFile> {
    vec![MetricFile {
        name: Some("errors".to_owned()),
        event: Some(EventFile::Error),
        not_worse_than: Some(NotWorseFile {
            ratio: Some(2.0),
            abs: Some(0.005),
        }),
        ..MetricFile::default()
    }]
}

/// Returns the metric that the `shadow` strategy adds to the defaults: differing answers.
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
    let by_default = || {
        let shadow = (strategy == Strategy::Shadow).then(default_shadow_metric);
        default_metrics().into_iter().chain(shadow).collect()
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
    let worse_than = number(
        &format!("{key}.worse_than"),
        file.worse_than,
        1.0,
        0.01,
        100.0,
    )?;
    let limit = |name: &str, value: Option<f64>, low, high| {
        let key = format!("{key}.not_worse_than.{name}");
        value
            .map(|value| number(&key, Some(value), value, low, high))
            .transpose()
    };
    Ok(ShareRule {
        event,
        worse_than,
        not_worse_ratio: limit("ratio", ratio, 1.01, 100.0)?,
        not_worse_difference: limit("abs", difference, 1e-6, 1.0)?,
    })
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
