//! Medians of repeated measurements, and their ratios.

use serde::Serialize;

use super::case::{Case, Contender};

/// One measurement, or the medians of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Run {
    pub(super) case: Case,
    pub(super) contender: Contender,
    pub(super) n_connections: usize,
    pub(super) requests_per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Of all processes of the server, in user space and in the kernel.
    pub(super) cpu_us_per_request: f64,
    /// Resident, of all processes of the server, after the measurement.
    pub(super) memory_mb: f64,
}

/// The medians of one contender, and how it stands to the others.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) median: Run,
    /// Slowest and fastest measurement, in requests per second.
    pub(super) slowest: f64,
    pub(super) fastest: f64,
    /// Requests per second as a share of the echo's in the same run.
    pub(super) of_echo: Option<f64>,
    /// Requests per second as a multiple of FastAPI's in the same run.
    pub(super) of_fastapi: Option<f64>,
}

/// One row for each contender and number of connections of the case, in order of appearance.
pub(super) fn rows(runs: &[Run], case: Case) -> Vec<Row> {
    let mut medians: Vec<(Run, Vec<f64>)> = Vec::new();
    for run in runs.iter().filter(|run| run.case == case) {
        if !medians.iter().any(|(median, _)| is_same(median, run)) {
            medians.push(median_of(runs, run));
        }
    }
    medians.sort_by_key(|(median, _)| median.n_connections);
    let rate = |of: &Run, contender| {
        let is_base =
            |run: &Run| run.contender == contender && run.n_connections == of.n_connections;
        let base = medians.iter().find(|(median, _)| is_base(median))?;
        Some(of.requests_per_second / base.0.requests_per_second)
    };
    medians
        .iter()
        .map(|(median, rates)| Row {
            median: median.clone(),
            slowest: rates.iter().copied().fold(f64::INFINITY, f64::min),
            fastest: rates.iter().copied().fold(0.0, f64::max),
            of_echo: rate(median, Contender::Echo),
            of_fastapi: rate(median, Contender::Fastapi),
        })
        .collect()
}

fn is_same(one: &Run, other: &Run) -> bool {
    let key = |run: &Run| (run.case, run.contender, run.n_connections);
    key(one) == key(other)
}

/// The medians of all runs like this one, and their rates.
fn median_of(runs: &[Run], like: &Run) -> (Run, Vec<f64>) {
    let same: Vec<_> = runs.iter().filter(|run| is_same(run, like)).collect();
    let of = |value: fn(&Run) -> f64| median(same.iter().map(|run| value(run)).collect());
    let median = Run {
        requests_per_second: of(|run| run.requests_per_second),
        p50_us: of(|run| run.p50_us),
        p99_us: of(|run| run.p99_us),
        cpu_us_per_request: of(|run| run.cpu_us_per_request),
        memory_mb: of(|run| run.memory_mb),
        ..like.clone()
    };
    let rates = same.iter().map(|run| run.requests_per_second).collect();
    (median, rates)
}

/// The middle value, or the mean of the two in the middle; nothing has the median 0.
fn median(mut values: Vec<f64>) -> f64 {
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
mod tests {
    use super::*;

    fn run(contender: Contender, n_connections: usize, requests_per_second: f64) -> Run {
        Run {
            case: Case::Predict,
            contender,
            n_connections,
            requests_per_second,
            p50_us: 1e6 / requests_per_second,
            p99_us: 2e6 / requests_per_second,
            cpu_us_per_request: 10.0,
            memory_mb: 50.0,
        }
    }

    #[test]
    fn a_median_is_the_middle() {
        let table = [
            (vec![], 0.0),
            (vec![3.0], 3.0),
            (vec![4.0, 1.0], 2.5),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![9.0, 1.0, 2.0, 4.0], 3.0),
        ];
        let wrong: Vec<_> = table
            .into_iter()
            .filter(|(values, expected)| median(values.clone()) != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn ratios_are_of_medians_at_the_same_connections() {
        let runs = [
            run(Contender::Echo, 64, 90_000.0),
            run(Contender::Fastapi, 64, 5_000.0),
            run(Contender::Lockgate, 64, 40_000.0),
            run(Contender::Echo, 1, 10_000.0),
            run(Contender::Echo, 64, 100_000.0),
            run(Contender::Fastapi, 64, 4_000.0),
            run(Contender::Lockgate, 64, 55_000.0),
            run(Contender::Echo, 64, 200_000.0),
            run(Contender::Fastapi, 64, 5_500.0),
            run(Contender::Lockgate, 64, 50_000.0),
        ];
        let rows = rows(&runs, Case::Predict);
        assert_eq!(rows.len(), 4);
        let lockgate = &rows[3];
        assert_eq!(lockgate.median.requests_per_second, 50_000.0);
        assert_eq!((lockgate.slowest, lockgate.fastest), (40_000.0, 55_000.0));
        assert_eq!(
            (lockgate.of_echo, lockgate.of_fastapi),
            (Some(0.5), Some(10.0))
        );
        assert_eq!((rows[0].of_echo, rows[0].of_fastapi), (Some(1.0), None));
    }

    #[test]
    fn other_cases_are_left_out() {
        assert!(rows(&[run(Contender::Echo, 1, 1.0)], Case::InferJson).is_empty());
    }
}
