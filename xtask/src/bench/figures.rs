//! Figures of the rounds of a case, and their medians.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Serialize;

use super::contender::Contender;
use super::unit::Unit;

/// One measurement in closed loop, or the medians of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Run {
    #[serde(rename = "who")]
    pub(super) server_name: String,
    pub(super) n_connections: usize,
    pub(super) requests_per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The CPU time of all processes of the server, in user space and in the kernel.
    pub(super) cpu_us_per_request: f64,
    /// The resident memory of all processes of the server, after the measurement.
    pub(super) memory_mb: f64,
    /// The time from the start of the process to its first reply.
    pub(super) first_reply_ms: f64,
}

/// Medians of one contender, with their ratios to other contenders.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) median: Run,
    /// The slowest and the fastest measurement, in requests per second.
    pub(super) slowest: f64,
    pub(super) fastest: f64,
    /// Requests per second as a share of the raw echo's in the same run.
    pub(super) of_echo: Option<f64>,
    /// Requests per second as a multiple of FastAPI's in the same run.
    pub(super) of_fastapi: Option<f64>,
}

/// Figures of one round of a case.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Round {
    pub(super) runs: Vec<Run>,
    pub(super) values: Vec<Value>,
    /// Notes for readers of the numbers.
    pub(super) notes: Vec<String>,
    /// The reason why the goals of the case do not count on this machine.
    pub(super) waiver: Option<String>,
}

/// A number with a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Value {
    pub(super) name: String,
    #[serde(skip)]
    pub(super) unit: Unit,
    pub(super) value: f64,
}

impl Round {
    pub(super) fn set(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        self.values.push(Value { name, unit, value });
    }
}

/// Medians over all rounds of a case.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) case: &'static str,
    pub(super) rows: Vec<Row>,
    pub(super) values: Vec<Value>,
    pub(super) notes: BTreeSet<String>,
    pub(super) waiver: Option<String>,
}

impl Figures {
    pub(super) fn of(case: &'static str, rounds: &[Round]) -> Self {
        let runs: Vec<_> = rounds.iter().flat_map(|round| &round.runs).collect();
        let notes = rounds.iter().flat_map(|round| round.notes.clone());
        Self {
            case,
            rows: rows(&runs),
            values: values(rounds),
            notes: notes.collect(),
            waiver: rounds.iter().find_map(|round| round.waiver.clone()),
        }
    }

    /// Returns the median of a number.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        let found = self.values.iter().find(|value| value.name == name)?;
        Some(found.value)
    }

    /// Returns one number divided by another.
    pub(super) fn quotient(&self, name: &str, by: &str) -> Option<f64> {
        Some(self.value(name)? / self.value(by)?)
    }

    /// Returns the median requests per second of `server_name`.
    pub(super) fn rate(&self, server_name: impl Display, n_connections: usize) -> Option<f64> {
        Some(
            self.row(&server_name.to_string(), n_connections)?
                .requests_per_second,
        )
    }

    /// Returns requests per second of one server as a multiple of another's.
    pub(super) fn rate_ratio(
        &self,
        server_name: impl Display,
        to: impl Display,
        n_connections: usize,
    ) -> Option<f64> {
        Some(self.rate(server_name, n_connections)? / self.rate(to, n_connections)?)
    }

    /// Returns how much longer the median request takes at one server than at another.
    pub(super) fn added_us(
        &self,
        server_name: impl Display,
        to: impl Display,
        n_connections: usize,
    ) -> Option<f64> {
        let row = self.row(&server_name.to_string(), n_connections)?;
        Some(row.p50_us - self.row(&to.to_string(), n_connections)?.p50_us)
    }

    fn row(&self, server_name: &str, n_connections: usize) -> Option<&Run> {
        let is_it =
            |run: &Run| run.server_name == server_name && run.n_connections == n_connections;
        let mut medians = self.rows.iter().map(|row| &row.median);
        medians.find(|run| is_it(run))
    }
}

/// Returns the median of each number, in order of appearance.
fn values(rounds: &[Round]) -> Vec<Value> {
    let all: Vec<_> = rounds.iter().flat_map(|round| &round.values).collect();
    let mut medians: Vec<Value> = Vec::new();
    for value in &all {
        if medians.iter().any(|median| median.name == value.name) {
            continue;
        }
        let same = all.iter().filter(|other| other.name == value.name);
        medians.push(Value {
            value: median(same.map(|value| value.value).collect()),
            ..(*value).clone()
        });
    }
    medians
}

/// Returns one row for each contender and number of connections, in order of appearance.
fn rows(runs: &[&Run]) -> Vec<Row> {
    let mut medians: Vec<(Run, Vec<f64>)> = Vec::new();
    for run in runs {
        if !medians.iter().any(|(median, _)| is_same(median, run)) {
            medians.push(median_of(runs, run));
        }
    }
    medians.sort_by_key(|(median, _)| median.n_connections);
    let ratio = |of: &Run, bases: &[Contender]| {
        let is_base = |run: &Run| {
            run.n_connections == of.n_connections
                && bases.iter().any(|base| run.server_name == base.to_string())
        };
        let base = medians.iter().find(|(median, _)| is_base(median))?;
        Some(of.requests_per_second / base.0.requests_per_second)
    };
    medians
        .iter()
        .map(|(median, rates)| Row {
            median: median.clone(),
            slowest: rates.iter().copied().fold(f64::INFINITY, f64::min),
            fastest: rates.iter().copied().fold(0.0, f64::max),
            of_echo: ratio(median, &[Contender::Echo, Contender::GrpcEcho]),
            of_fastapi: ratio(median, &[Contender::Fastapi]),
        })
        .collect()
}

fn is_same(one: &Run, other: &Run) -> bool {
    one.server_name == other.server_name && one.n_connections == other.n_connections
}

/// Returns the medians of all runs like this one, and their rates.
fn median_of(runs: &[&Run], like: &Run) -> (Run, Vec<f64>) {
    let same: Vec<_> = runs.iter().filter(|run| is_same(run, like)).collect();
    let of = |value: fn(&Run) -> f64| median(same.iter().map(|run| value(run)).collect());
    let median = Run {
        server_name: like.server_name.clone(),
        n_connections: like.n_connections,
        requests_per_second: of(|run| run.requests_per_second),
        p50_us: of(|run| run.p50_us),
        p99_us: of(|run| run.p99_us),
        cpu_us_per_request: of(|run| run.cpu_us_per_request),
        memory_mb: of(|run| run.memory_mb),
        first_reply_ms: of(|run| run.first_reply_ms),
    };
    let rates = same.iter().map(|run| run.requests_per_second).collect();
    (median, rates)
}

/// Returns the middle value, or the mean of the two in the middle; 0 without values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let middle: Vec<_> = match n % 2 {
        0 => values
            .iter()
            .skip((n / 2).saturating_sub(1))
            .take(2)
            .collect(),
        _ => values.iter().skip(n / 2).take(1).collect(),
    };
    let n_middle = middle.len().max(1) as f64;
    middle.into_iter().sum::<f64>() / n_middle
}

#[cfg(test)]
mod tests;
