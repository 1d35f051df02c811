//! Prometheus queries of a rollout file.

use std::time::Duration;

use super::{DEFAULT_CALL_TIMEOUT, duration, error, required};
use crate::config::ConfigError;
use crate::config::file::{GateFile, GuardsFile, QueryFile};
use crate::config::prometheus::{PrometheusQuery, check_placeholders};

/// Default time between two queries: Prometheus has a new value about as often.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

/// Shortest time between two queries.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Default number of values in a row with which a guard rolls back: a single one may be an outlier.
const DEFAULT_FAILURE_LIMIT: u32 = 3;

/// Maximum number of guards: each is a query of its own.
const MAX_GUARDS: usize = 16;

/// Resolves the query of a gate, which never rolls back by default.
pub(super) fn gate(key: &str, file: GateFile) -> Result<PrometheusQuery, ConfigError> {
    let required_for = duration(&format!("{key}.for"), file.required_for, Duration::ZERO)?;
    let file = QueryFile {
        name: file.name,
        url: file.url,
        query: file.query,
        min: file.min,
        max: file.max,
        interval: file.interval,
        timeout: file.timeout,
        on_no_data: file.on_no_data,
        failure_limit: file.failure_limit,
    };
    Ok(PrometheusQuery {
        required_for,
        ..query(key, file)?
    })
}

/// Resolves the queries of the guards, and takes them out of the file.
pub(super) fn guards(file: Option<&mut GuardsFile>) -> Result<Vec<PrometheusQuery>, ConfigError> {
    let files = file.and_then(|file| file.prometheus.as_mut());
    let files = files.map(std::mem::take).unwrap_or_default();
    if files.len() > MAX_GUARDS {
        let message = format!("expected at most {MAX_GUARDS} queries, got {}", files.len());
        return Err(error("rollout.guards.prometheus", message));
    }
    let files = files.into_iter().enumerate();
    let guards = files.map(|(index, file)| {
        let query = query(&format!("rollout.guards.prometheus[{index}]"), file)?;
        let limit = query.failure_limit.or(Some(DEFAULT_FAILURE_LIMIT));
        Ok(PrometheusQuery {
            failure_limit: limit,
            ..query
        })
    });
    guards.collect()
}

/// Returns whether queries are the only guards of a file, which keeps the default counts: nobody who
/// adds a query expects to lose them.
pub(super) fn is_alone(file: &GuardsFile) -> bool {
    let GuardsFile {
        nan_output,
        consecutive_errors,
        load_failure,
        shape_change,
        memory_ratio,
        prometheus,
    } = file;
    let counts = [nan_output, consecutive_errors, load_failure, shape_change];
    prometheus.is_some() && memory_ratio.is_none() && counts.iter().all(|count| count.is_none())
}

fn query(key: &str, file: QueryFile) -> Result<PrometheusQuery, ConfigError> {
    let key_of = |name: &str| format!("{key}.{name}");
    let url = required(&key_of("url"), file.url)?;
    let query = required(&key_of("query"), file.query)?;
    check_placeholders(&query).map_err(|wrong| error(key_of("query"), wrong.to_string()))?;
    check_limits(key, file.min, file.max)?;
    if file.failure_limit == Some(0) {
        let message = "expected 1 or more values in a row that roll back";
        return Err(error(key_of("failure_limit"), message));
    }
    let interval = duration(&key_of("interval"), file.interval, DEFAULT_INTERVAL)?;
    if interval < MIN_INTERVAL {
        return Err(error(key_of("interval"), "expected at least `1s`"));
    }
    Ok(PrometheusQuery {
        name: file.name.unwrap_or_else(|| query.clone()),
        url,
        query,
        min: file.min,
        max: file.max,
        required_for: Duration::ZERO,
        interval,
        timeout: duration(&key_of("timeout"), file.timeout, DEFAULT_CALL_TIMEOUT)?,
        on_no_data: file.on_no_data.unwrap_or_default(),
        failure_limit: file.failure_limit,
    })
}

fn check_limits(key: &str, min: Option<f64>, max: Option<f64>) -> Result<(), ConfigError> {
    for (name, limit) in [("min", min), ("max", max)] {
        if limit.is_some_and(|limit| !limit.is_finite()) {
            return Err(error(format!("{key}.{name}"), "expected a finite number"));
        }
    }
    match (min, max) {
        (None, None) => Err(error(
            format!("{key}.max"),
            "is missing; expected `max`, `min` or both",
        )),
        (Some(min), Some(max)) if min > max => {
            let message = format!("expected at least `min`, which is {min}, got `{max}`");
            Err(error(format!("{key}.max"), message))
        }
        (Some(_), _) | (_, Some(_)) => Ok(()),
    }
}
