//! Prints the results of the arms of a split as tables.

use anyhow::Result;
use serde_json::Value;

use crate::commands::table::table;
use crate::output;

/// The most kinds of answers of one arm on a line; more are hard to read.
const MAX_KINDS: usize = 5;

/// The names of the bins of scores, in order.
const SCORES: [&str; 12] = [
    "<0", "0-0.1", "-0.2", "-0.3", "-0.4", "-0.5", "-0.6", "-0.7", "-0.8", "-0.9", "-1", ">1",
];

/// Prints the distribution of answers, the comparison and the sample ratio.
pub(super) fn show(answer: &Value) -> Result<()> {
    show_outputs(list(answer, "results"))?;
    show_comparison(list(answer, "comparison"))?;
    show_ratio(answer.get("sample_ratio").unwrap_or(&Value::Null))
}

fn show_outputs(results: &[Value]) -> Result<()> {
    let mut rows = table(&["arm", "answers"]);
    for result in results {
        if let Some(outputs) = result.get("outputs").filter(|outputs| outputs.is_object()) {
            rows.add_row([text(result, "arm"), distribution(outputs)]);
        }
    }
    if !rows.is_empty() {
        output::line(rows)?;
    }
    Ok(())
}

/// Formats the most frequent answers, with their share.
fn distribution(outputs: &Value) -> String {
    let is_score = outputs.get("kind").and_then(Value::as_str) == Some("scores");
    let counts = list(outputs, "counts").iter().filter_map(Value::as_u64);
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

fn show_comparison(comparison: &[Value]) -> Result<()> {
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
        for (key, what) in [("error_rate", "error rate"), ("reward", "mean reward")] {
            let Some(difference) = pair.get(key).filter(|one| one.is_object()) else {
                continue;
            };
            let end = |index: usize| difference.pointer(&format!("/interval/{index}"));
            let is_significant = difference.get("significant") == Some(&Value::Bool(true));
            rows.add_row([
                text(pair, "arm"),
                text(pair, "with"),
                what.to_owned(),
                number(difference.get("estimate")),
                number(end(0)),
                number(end(1)),
                number(difference.get("p_value")),
                if is_significant { "yes" } else { "no" }.to_owned(),
            ]);
        }
    }
    if !rows.is_empty() {
        output::line(rows)?;
    }
    Ok(())
}

fn show_ratio(ratio: &Value) -> Result<()> {
    if ratio.get("is_off") == Some(&Value::Bool(true)) {
        output::line(format_args!(
            "the units do not follow the weights (ln BF {} of {}); the split is broken, and no \
             comparison holds",
            number(ratio.get("ln_bf")),
            number(ratio.get("limit"))
        ))?;
    }
    Ok(())
}

/// Returns the mean reward of an arm and its number of rewards, as two cells.
pub(super) fn reward(result: &Value) -> [String; 2] {
    let reward = result.get("reward").unwrap_or(&Value::Null);
    [number(reward.get("mean")), text(reward, "n")]
}

fn number(value: Option<&Value>) -> String {
    let value = value.and_then(Value::as_f64);
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_most_frequent_answers_come_first() {
        let mut counts = vec![0; 32];
        (counts[7], counts[3]) = (3, 1);
        let classes = json!({"kind": "classes", "counts": counts});
        assert_eq!(distribution(&classes), "7: 75.0 %, 3: 25.0 %");
        let scores = json!({"kind": "scores", "counts": [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]});
        assert_eq!(distribution(&scores), "0-0.1: 50.0 %, >1: 50.0 %");
        let many = json!({"kind": "classes", "counts": [1, 1, 1, 1, 1, 1, 1, 1]});
        assert!(distribution(&many).ends_with("and 3 more"));
    }
}
