//! Prints the results of the arms of a split as tables.

use anyhow::Result;
use api::routing::{ArmComparison, ArmReport, CountedOutputs, OutputKind, Reward, Routing};

use crate::commands::table::table;
use crate::output;

/// The most kinds of answers of one arm on a line; more are hard to read.
const MAX_KINDS: usize = 5;

/// The names of the bins of scores, in order.
const SCORES: [&str; 12] = [
    "<0", "0-0.1", "-0.2", "-0.3", "-0.4", "-0.5", "-0.6", "-0.7", "-0.8", "-0.9", "-1", ">1",
];

/// Prints the distribution of answers, the comparison and the sample ratio.
pub(super) fn show(routing: &Routing) -> Result<()> {
    show_outputs(&routing.results)?;
    show_comparison(&routing.comparison)?;
    match routing.sample_ratio {
        Some(ratio) if ratio.is_mismatch => output::line(format_args!(
            "the units do not follow the weights (ln BF {:.4} of {:.4}); the split is broken, and \
             no comparison holds",
            ratio.ln_bf, ratio.limit
        ))?,
        Some(_) | None => {}
    }
    Ok(())
}

fn show_outputs(results: &[ArmReport]) -> Result<()> {
    let mut rows = table(&["arm", "answers"]);
    for result in results {
        if let Some(outputs) = &result.outputs {
            rows.add_row([result.arm.clone(), distribution(outputs)]);
        }
    }
    if !rows.is_empty() {
        output::line(rows)?;
    }
    Ok(())
}

/// Formats the most frequent answers, with their share.
fn distribution(outputs: &CountedOutputs) -> String {
    let is_score = outputs.kind == OutputKind::Scores;
    let counts = outputs.counts.iter().copied();
    let total: u64 = counts.clone().sum();
    let mut kinds: Vec<_> = counts.enumerate().filter(|(_, count)| *count > 0).collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let name = |bin: usize| match SCORES.get(bin) {
        Some(name) if is_score => (*name).to_owned(),
        Some(_) | None => bin.to_string(),
    };
    let shown = kinds.iter().take(MAX_KINDS).map(|(bin, count)| {
        let percent = *count as f64 * 100.0 / total as f64;
        format!("{}: {percent:.1} %", name(*bin))
    });
    let mut shown: Vec<_> = shown.collect();
    if kinds.len() > MAX_KINDS {
        shown.push(format!("and {} more", kinds.len() - MAX_KINDS));
    }
    shown.join(", ")
}

fn show_comparison(comparison: &[ArmComparison]) -> Result<()> {
    let header = [
        "arm",
        "with",
        "of",
        "difference",
        "from",
        "to",
        "p",
        "significant",
    ];
    let mut rows = table(&header);
    for pair in comparison {
        for (difference, what) in [
            (pair.error_rate, "error rate"),
            (pair.reward, "mean reward"),
        ] {
            let Some(difference) = difference else {
                continue;
            };
            let [lower, upper] = difference.interval;
            rows.add_row([
                pair.arm.clone(),
                pair.with.clone(),
                what.to_owned(),
                number(Some(difference.estimate)),
                number(Some(lower)),
                number(Some(upper)),
                number(Some(difference.p_value)),
                if difference.significant { "yes" } else { "no" }.to_owned(),
            ]);
        }
    }
    if !rows.is_empty() {
        output::line(rows)?;
    }
    Ok(())
}

/// Returns the mean reward of an arm and its number of rewards, as two cells.
pub(super) fn reward(reward: Reward) -> [String; 2] {
    [number(reward.mean), reward.n.to_string()]
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_answers_come_first() {
        let distribution = |kind, counts| distribution(&CountedOutputs { kind, counts });
        let mut counts = vec![0; 32];
        (counts[7], counts[3]) = (3, 1);
        let classes = distribution(OutputKind::Classes, counts);
        assert_eq!(classes, "7: 75.0 %, 3: 25.0 %");
        let scores = vec![0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        let scores = distribution(OutputKind::Scores, scores);
        assert_eq!(scores, "0-0.1: 50.0 %, >1: 50.0 %");
        let many = distribution(OutputKind::Classes, vec![1; 8]);
        assert!(many.ends_with("and 3 more"));
    }
}
