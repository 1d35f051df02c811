//! Resolving of a rollout file into a [`RolloutConfig`].
//!
//! Decision: every check that needs more than one key is here, and each error names the path of the
//! key that should change.

mod assignment;
mod gates;
mod metrics;
mod notify;
mod prometheus;

use std::time::Duration;

use contract::{ModelName, Version};

use super::file::{
    GuardsFile, OnRollbackFile, RolloutFile, ShadowFile, StepFile, WarmupFile, WarmupSourceFile,
};
use super::rollback::OnRollback;
use super::{ConfigError, Guards, RolloutConfig, Shadow, StepRule, Strategy, Warmup, WarmupSource};

/// Percentages that find an outage with few users and still end within some hours.
const DEFAULT_STEPS: [f64; 5] = [1.0, 5.0, 10.0, 25.0, 50.0];

/// The weight at which two arms are distinguished with the fewest requests, in percent.
const DEFAULT_AB_PERCENT: f64 = 50.0;

const DEFAULT_SOAK: Duration = Duration::from_secs(30 * 60);

/// Time in which a rollback is questioned, and the candidate may be needed again.
const DEFAULT_WARM_TIME: Duration = Duration::from_secs(10 * 60);

/// Default maximum time of one call of a gate or a guard.
const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One false alarm in a thousand rollouts is rare enough for each to be investigated.
const DEFAULT_ALPHA: f64 = 0.001;

const DEFAULT_BETA: f64 = 0.05;

/// Maximum of every duration; a longer one is a typing error.
const MAX_TIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Maximum length of an id: it becomes a part of file names, metric labels and paths.
const MAX_ID_BYTES: usize = 64;

/// Resolves `file`: checks it and fills in the defaults.
pub(super) fn resolve(mut file: RolloutFile) -> Result<RolloutConfig, ConfigError> {
    let assignment = assignment::AssignmentFile::take(&mut file);
    let model = model(file.model)?;
    let strategy = file.strategy.unwrap_or_default();
    let steps = steps(strategy, file.steps)?;
    if strategy == Strategy::Shadow {
        file.shadow.get_or_insert_default();
    }
    let has_shadow = file.shadow.is_some();
    let stable = version("rollout.stable", file.stable)?;
    let candidate = version("rollout.candidate", file.candidate)?;
    let id = id(file.id, &format!("{model}-{candidate}"))?;
    if stable == candidate {
        let message = format!("expected another version than `rollout.stable`, got `{candidate}`");
        return Err(error("rollout.candidate", message));
    }
    let mut on_rollback = file.on_rollback.unwrap_or_default();
    let config = RolloutConfig {
        strategy,
        assignment: assignment.resolve(strategy, &format!("{model}/{id}"))?,
        id,
        run: 1,
        model,
        stable,
        candidate,
        warmup: warmup(file.warmup.unwrap_or_default())?,
        shadow: file.shadow.as_ref().map(shadow).transpose()?,
        gates: gates::resolve(strategy, file.gates.unwrap_or_default(), &steps)?,
        steps,
        step: step(strategy, file.step.unwrap_or_default())?,
        soak: duration("rollout.soak", file.soak, DEFAULT_SOAK)?,
        alpha: probability("rollout.alpha", file.alpha, DEFAULT_ALPHA)?,
        beta: probability("rollout.beta", file.beta, DEFAULT_BETA)?,
        metrics: metrics::resolve(strategy, file.metrics, has_shadow)?,
        guard_queries: prometheus::guards(file.guards.as_mut())?,
        guards: guards(file.guards)?,
        notify: notify::resolve(file.notify, &mut on_rollback)?,
        on_rollback: rollback(on_rollback)?,
    };
    assignment::check(&config)?;
    Ok(config)
}

fn error(key: impl Into<String>, message: impl Into<String>) -> ConfigError {
    ConfigError {
        key: key.into(),
        message: message.into(),
    }
}

fn required<T>(key: &str, value: Option<T>) -> Result<T, ConfigError> {
    value.ok_or_else(|| error(key, "is missing"))
}

/// Returns the id, or the default when there is none.
fn id(id: Option<String>, default: &str) -> Result<String, ConfigError> {
    let id = id.unwrap_or_else(|| default.to_owned());
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.chars().all(is_allowed) {
        let message = format!(
            "expected 1 to {MAX_ID_BYTES} letters, digits, dots, dashes and underscores, got `{}`",
            id.escape_debug()
        );
        return Err(error("rollout.id", message));
    }
    Ok(id)
}

fn model(name: Option<String>) -> Result<ModelName, ConfigError> {
    let name = required("rollout.model", name)?;
    ModelName::new(&name).map_err(|refused| error("rollout.model", refused.message()))
}

fn version(key: &str, name: Option<String>) -> Result<Version, ConfigError> {
    let name = required(key, name)?;
    Version::new(&name).map_err(|refused| error(key, refused.message()))
}

fn steps(strategy: Strategy, percents: Option<Vec<f64>>) -> Result<Vec<f64>, ConfigError> {
    let percents = match (strategy, percents) {
        (Strategy::BlueGreen | Strategy::Shadow, None) => return Ok(Vec::new()),
        (Strategy::BlueGreen, Some(_)) => {
            let message = "is not for `blue_green`, which gives all traffic at once";
            return Err(error("rollout.steps", message));
        }
        (Strategy::Shadow, Some(_)) => {
            let message = "is not for `shadow`, whose candidate gets no traffic";
            return Err(error("rollout.steps", message));
        }
        (Strategy::Ab, Some(percents)) if percents.len() != 1 => {
            let message = "expected one percentage, because an A/B test keeps its weight";
            return Err(error("rollout.steps", message));
        }
        (Strategy::Ab, None) => vec![DEFAULT_AB_PERCENT],
        (Strategy::Canary, None) => DEFAULT_STEPS.to_vec(),
        (Strategy::Canary | Strategy::Ab, Some(percents)) => percents,
    };
    if percents.is_empty() {
        return Err(error(
            "rollout.steps",
            "is empty; use `strategy: blue_green` for a rollout without steps",
        ));
    }
    let mut last = 0.0;
    for (index, &percent) in percents.iter().enumerate() {
        if !(percent > last && percent < 100.0) {
            let message = format!(
                "expected a percentage above {last} and below 100, because steps rise, got `{percent}`"
            );
            return Err(error(format!("rollout.steps[{index}]"), message));
        }
        last = percent;
    }
    Ok(percents.iter().map(|percent| percent / 100.0).collect())
}

fn warmup(file: WarmupFile) -> Result<Option<Warmup>, ConfigError> {
    let source = match file.source.unwrap_or(WarmupSourceFile::Recorded) {
        WarmupSourceFile::None => return Ok(None),
        WarmupSourceFile::Recorded => WarmupSource::Recorded,
        WarmupSourceFile::Synthetic => WarmupSource::Synthetic,
    };
    Ok(Some(Warmup {
        n_requests: file.requests.unwrap_or(50),
        source,
        timeout: duration(
            "rollout.warmup.timeout",
            file.timeout,
            Duration::from_secs(60),
        )?,
    }))
}

fn shadow(file: &ShadowFile) -> Result<Shadow, ConfigError> {
    let percent = number("rollout.shadow.percent", file.percent, 100.0, 0.0, 100.0)?;
    Ok(Shadow {
        share: percent / 100.0,
        max_extra_load: number(
            "rollout.shadow.max_extra_load",
            file.max_extra_load,
            0.2,
            0.0,
            10.0,
        )?,
        min_pairs: file.min_pairs.unwrap_or(500).max(1),
        absolute_tolerance: number("rollout.shadow.atol", file.atol, 1e-5, 0.0, f64::MAX)?,
        relative_tolerance: number("rollout.shadow.rtol", file.rtol, 1e-3, 0.0, f64::MAX)?,
    })
}

fn step(strategy: Strategy, file: StepFile) -> Result<StepRule, ConfigError> {
    let minute = Duration::from_secs(60);
    let min_time = duration("rollout.step.min_time", file.min_time, minute)?;
    let default_max_time = match strategy {
        Strategy::Canary | Strategy::BlueGreen | Strategy::Shadow => 30 * minute,
        Strategy::Ab => MAX_TIME,
    };
    let max_time = duration("rollout.step.max_time", file.max_time, default_max_time)?;
    if max_time < min_time {
        let message = format!("expected at least `rollout.step.min_time`, which is {min_time:?}");
        return Err(error("rollout.step.max_time", message));
    }
    Ok(StepRule {
        min_time,
        min_requests: file.min_requests.unwrap_or(200),
        max_time,
        on_unknown: file.on_unknown.unwrap_or_default(),
    })
}

fn rollback(file: OnRollbackFile) -> Result<OnRollback, ConfigError> {
    let key = "rollout.on_rollback.keep_candidate_warm";
    let keep_candidate_warm = duration(key, file.keep_candidate_warm, DEFAULT_WARM_TIME)?;
    Ok(OnRollback {
        keep_candidate_warm,
    })
}

fn guards(file: Option<GuardsFile>) -> Result<Guards, ConfigError> {
    let Some(file) = file.filter(|file| !prometheus::is_alone(file)) else {
        return Ok(Guards {
            nan_output: Some(1),
            consecutive_errors: Some(20),
            load_failure: Some(1),
            shape_change: Some(1),
            memory_ratio: None,
        });
    };
    let counts = [
        ("nan_output", file.nan_output),
        ("consecutive_errors", file.consecutive_errors),
        ("load_failure", file.load_failure),
        ("shape_change", file.shape_change),
    ];
    for (key, limit) in counts {
        if limit == Some(0) {
            let message = "expected a count of 1 or more; leave the key out to disable the guard";
            return Err(error(format!("rollout.guards.{key}"), message));
        }
    }
    let ratio = file.memory_ratio;
    Ok(Guards {
        nan_output: file.nan_output,
        consecutive_errors: file.consecutive_errors,
        load_failure: file.load_failure,
        shape_change: file.shape_change,
        memory_ratio: ratio
            .map(|ratio| number("rollout.guards.memory_ratio", Some(ratio), ratio, 1.0, 1e6))
            .transpose()?,
    })
}

/// Parses a duration such as `90s`, `30m` or `1h30m`.
fn duration(key: &str, text: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    let parsed = text.parse().ok();
    let time = parsed.and_then(|time: jiff::SignedDuration| Duration::try_from(time).ok());
    time.filter(|&time| time <= MAX_TIME).ok_or_else(|| {
        let got = text.escape_debug();
        error(
            key,
            format!("expected a time such as `90s`, `30m` or `1h30m`, got `{got}`"),
        )
    })
}

/// Checks a probability: above 0 and up to 0.5.
fn probability(key: &str, value: Option<f64>, default: f64) -> Result<f64, ConfigError> {
    let value = value.unwrap_or(default);
    match (1e-12..=0.5).contains(&value) {
        true => Ok(value),
        false => {
            let message = format!("expected a probability above 0 and up to 0.5, got `{value}`");
            Err(error(key, message))
        }
    }
}

fn number(
    key: &str,
    value: Option<f64>,
    default: f64,
    low: f64,
    high: f64,
) -> Result<f64, ConfigError> {
    let value = value.unwrap_or(default);
    match value.is_finite() && value >= low && value <= high {
        true => Ok(value),
        false if high == f64::MAX => Err(error(
            key,
            format!("expected a number of {low} or more, got `{value}`"),
        )),
        false => Err(error(
            key,
            format!("expected a number from {low} to {high}, got `{value}`"),
        )),
    }
}
