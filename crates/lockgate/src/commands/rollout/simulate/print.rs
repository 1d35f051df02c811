//! Prints the results of a simulation as tables.

use anyhow::Result;
use api::rollout::Quantiles;
use rollout::config::{MetricKind, RolloutConfig};

use super::{BASELINE, BASELINE_THRESHOLDS, Results};
use crate::commands::table::table;
use crate::output;

pub(super) fn print(config: &RolloutConfig, results: &Results) -> Result<()> {
    let summary = &results.summary;
    output::line(format_args!(
        "{}: `{}` from version {} to {}, {} requests/s, {} runs, seed {}",
        config.id,
        config.model,
        config.stable,
        config.candidate,
        results.requests_per_second,
        summary.n_runs,
        results.seed
    ))?;
    print_rates(config, results)?;
    let mut outcomes = table(&["outcome", "probability"]);
    outcomes.add_row(["promoted", &percent(summary.p_promote)]);
    outcomes.add_row(["rolled back", &percent(summary.p_rollback)]);
    let horizon = time(results.horizon_seconds);
    outcomes.add_row([
        &format!("held, or undecided after {horizon}"),
        &percent(summary.p_held),
    ]);
    output::line(outcomes)?;
    let mut quantiles = table(&[
        "of all runs",
        "1 in 10 below",
        "half below",
        "9 in 10 below",
        "most",
    ]);
    quantiles.add_row(row("duration", &summary.duration_seconds, time));
    quantiles.add_row(row(
        "candidate requests",
        &summary.candidate_requests,
        count,
    ));
    quantiles.add_row(row(
        "failed requests of the candidate",
        &summary.failed_requests,
        count,
    ));
    output::line(quantiles)?;
    print_baseline(results)
}

fn print_rates(config: &RolloutConfig, results: &Results) -> Result<()> {
    let mut rates = table(&["assumed", "stable", "candidate"]);
    for (metric, assumed) in config.metrics.iter().zip(&results.rates) {
        let (stable, candidate) = (
            percent(assumed.rates.stable),
            percent(assumed.rates.candidate),
        );
        match metric.kind {
            MetricKind::Share(_) => rates.add_row([metric.name.clone(), stable, candidate]),
            MetricKind::ShadowDiffers { .. } => {
                rates.add_row([metric.name.clone(), "-".to_owned(), candidate])
            }
            MetricKind::OutputBins { .. } | MetricKind::Feedback { .. } => {
                rates.add_row([metric.name.as_str(), "not simulated", ""])
            }
        };
    }
    output::line(rates)?;
    Ok(())
}

fn print_baseline(results: &Results) -> Result<()> {
    if results.fixed_limit.is_empty() {
        return Ok(());
    }
    output::line(format_args!(
        "For comparison, an analysis that requires {} success in each minute, with {} checks in a\n\
         step, and rolls back after a number of failed checks:",
        percent(BASELINE.success),
        BASELINE.n_checks
    ))?;
    let mut header = vec![
        "weight".to_owned(),
        "requests/check".to_owned(),
        "a check fails".to_owned(),
    ];
    header.extend(BASELINE_THRESHOLDS.map(|threshold| format!("rollback after {threshold}")));
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let mut baseline_steps = table(&header);
    for step in &results.fixed_limit {
        let mut cells = vec![
            percent(step.weight),
            count(step.requests_per_check),
            percent(step.check_failure_probability),
        ];
        cells.extend(step.rollback_probability.iter().map(|at| percent(at.p)));
        baseline_steps.add_row(cells);
    }
    output::line(baseline_steps)?;
    Ok(())
}

fn row(name: &str, quantiles: &Quantiles, show: fn(f64) -> String) -> [String; 5] {
    let Quantiles { p10, p50, p90, max } = *quantiles;
    [name.to_owned(), show(p10), show(p50), show(p90), show(max)]
}

/// Formats a percentage with at most two decimals.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn count(value: f64) -> String {
    format!("{value:.0}")
}

/// Formats a time in hours, minutes and seconds, the two largest of them.
fn time(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    let hours = (minutes / 60.0).floor();
    if hours >= 1.0 {
        format!("{hours} h {:02} min", minutes - hours * 60.0)
    } else if minutes >= 1.0 {
        format!("{minutes} min {:02.0} s", seconds - minutes * 60.0)
    } else {
        format!("{seconds:.0} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_short() {
        let rows = [
            (time(0.0), "0 s"),
            (time(59.0), "59 s"),
            (time(61.0), "1 min 01 s"),
            (time(3600.0 * 2.0 + 300.0), "2 h 05 min"),
            (percent(0.0), "0 %"),
            (percent(1.0), "100 %"),
            (percent(0.005), "0.5 %"),
            (percent(0.12345), "12.35 %"),
        ];
        let failing: Vec<_> = rows
            .iter()
            .filter(|(said, expected)| said != expected)
            .collect();
        assert!(failing.is_empty(), "{failing:?}");
    }
}
