//! The body of a comparison, read and checked.

use std::time::Duration;

use api::comparison::{ComparisonRequest, ItemLabel, ItemLabels};
use api::version::VersionText;
use contract::{Error, ModelName, Result};
use serde_json::value::RawValue;
use stats::comparison::Tolerance;

use crate::rest::Call;

/// Items of one comparison: enough for an agreement within a few percent, and soon done.
pub(super) const MAX_ITEMS: usize = 1000;

/// More versions do not fit side by side.
const MAX_VERSIONS: usize = 10;

/// The time to wait for requests when the body has no `timeout_s`.
const DEFAULT_TIMEOUT_SECONDS: f64 = 30.0;

/// Callers give up before a longer wait ends.
const MAX_TIMEOUT_SECONDS: f64 = 3600.0;

/// More concurrent requests only wait for each other.
const MAX_CONCURRENCY: usize = 256;

/// The checked body.
#[derive(Debug)]
pub(super) struct CompareBody<'a> {
    /// The model.
    pub(super) model: ModelName,
    /// Its versions or labels, at least two; the first one is the reference.
    pub(super) versions: Vec<String>,
    /// The source of the inputs.
    pub(super) source: Source<'a>,
    /// The right classes by item and row; empty when they are not known.
    pub(super) labels: Vec<Vec<String>>,
    /// The tolerance within which numbers agree.
    pub(super) tolerance: Tolerance,
    /// Concurrent requests when the throughput is measured.
    pub(super) concurrency: usize,
    /// The seed of the order of the versions.
    pub(super) seed: u64,
}

/// The source of the inputs.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// Bodies of `/predict`.
    Items(Vec<&'a [u8]>),
    /// The next requests of callers.
    Recorded(Recorded),
}

/// The limits of a recording.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The number of requests to record.
    pub(super) n_requests: usize,
    /// The time after which the recording ends with the requests that came.
    pub(super) timeout: Duration,
}

impl<'a> CompareBody<'a> {
    /// Reads and checks a body.
    pub(super) fn read(call: &'a Call) -> Result<Self> {
        let raw: ComparisonRequest<'a> = call.json()?;
        let versions: Vec<_> = raw
            .versions
            .into_iter()
            .map(VersionText::into_text)
            .collect();
        if !(2..=MAX_VERSIONS).contains(&versions.len()) {
            return Err(Error::invalid(format!(
                "`versions`: expected 2 to {MAX_VERSIONS} versions, got {}",
                versions.len()
            )));
        }
        if raw.recorded.is_some() && !raw.labels.is_empty() {
            return Err(Error::invalid(
                "`labels`: recorded requests have none; send `items` to measure accuracy",
            ));
        }
        Ok(Self {
            model: ModelName::new(&raw.model).map_err(|error| error.in_context("`model`"))?,
            versions,
            source: source(raw.items, raw.recorded, raw.timeout_s)?,
            labels: raw.labels.into_iter().map(labels).collect(),
            tolerance: tolerance(raw.atol, raw.rtol)?,
            concurrency: in_range("concurrency", raw.concurrency.unwrap_or(1), MAX_CONCURRENCY)?,
            seed: raw.seed.unwrap_or_default(),
        })
    }
}

fn source<'a>(
    items: Option<Vec<&'a RawValue>>,
    recorded: Option<usize>,
    timeout_s: Option<f64>,
) -> Result<Source<'a>> {
    match (items, recorded, timeout_s) {
        (Some(_), Some(_), _) => Err(Error::invalid(
            "the body has both `items` and `recorded`; send one of them",
        )),
        (None, None, _) => Err(Error::invalid(
            "the body has no inputs: expected `items`, an array of bodies of `/predict`, or \
             `recorded`, the number of requests to wait for",
        )),
        (Some(_), None, Some(_)) => Err(Error::invalid(
            "`timeout_s` is only for `recorded`; the header `x-request-timeout-ms` limits the call",
        )),
        (Some(items), None, None) => {
            in_range("items", items.len(), MAX_ITEMS)?;
            let items = items.into_iter().map(|item| item.get().as_bytes());
            Ok(Source::Items(items.collect()))
        }
        (None, Some(n_requests), timeout_s) => Ok(Source::Recorded(Recorded {
            n_requests: in_range("recorded", n_requests, MAX_ITEMS)?,
            timeout: timeout(timeout_s.unwrap_or(DEFAULT_TIMEOUT_SECONDS))?,
        })),
    }
}

fn in_range(key: &str, number: usize, max: usize) -> Result<usize> {
    match (1..=max).contains(&number) {
        true => Ok(number),
        false => Err(Error::invalid(format!(
            "`{key}`: expected 1 to {max}, got {number}"
        ))),
    }
}

fn timeout(seconds: f64) -> Result<Duration> {
    match seconds > 0.0 && seconds <= MAX_TIMEOUT_SECONDS {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(Error::invalid(format!(
            "`timeout_s`: expected more than 0 and at most {MAX_TIMEOUT_SECONDS} seconds, got \
             {seconds}"
        ))),
    }
}

fn tolerance(atol: Option<f64>, rtol: Option<f64>) -> Result<Tolerance> {
    let usual = Tolerance::default();
    let check = |key: &str, number: f64| match number >= 0.0 {
        true => Ok(number),
        false => Err(Error::invalid(format!(
            "`{key}`: expected 0 or more, got {number}"
        ))),
    };
    Ok(Tolerance {
        absolute: check("atol", atol.unwrap_or(usual.absolute))?,
        relative: check("rtol", rtol.unwrap_or(usual.relative))?,
    })
}

fn labels(raw: ItemLabels) -> Vec<String> {
    match raw {
        ItemLabels::Row(label) => vec![label_text(label)],
        ItemLabels::Rows(labels) => labels.into_iter().map(label_text).collect(),
    }
}

/// Returns a label as classes are written; `3.0` is how tables of numbers write the class 3.
fn label_text(label: ItemLabel) -> String {
    match label {
        ItemLabel::Number(number) => number.to_string(),
        ItemLabel::Fraction(number) => number.to_string(),
        ItemLabel::Name(name) => name,
    }
}
