//! The section of the page about the reference and one other version.

use api::comparison::{ComparisonReport, PairReport};

use super::plots;
use crate::number::difference;
use crate::page::{append, colour, escape};
use crate::plot;

/// The most entries of a readable list.
const MAX_LINES: usize = 12;

/// Returns the section of the page about one pair.
pub(super) fn part(report: &ComparisonReport, pair: &PairReport) -> String {
    let index = |name: &str| {
        report
            .versions
            .iter()
            .position(|version| version.version == name)
    };
    let colours = [&pair.reference, &pair.other].map(|name| colour(index(name).unwrap_or(0)));
    let (reference, other) = (escape(&pair.reference), escape(&pair.other));
    let confusion = pair.classes.as_ref().map_or(String::new(), |classes| {
        format!(
            "<div class=\"card\"><h3>Class of {reference} (down) and of {other} (across), in rows</h3>\n{}</div>\n",
            plots::confusion(&classes.confusion)
        )
    });
    format!(
        "<h2>Version {other} compared with version {reference}</h2>\n<div class=\"plots\">\n\
         <div class=\"card\"><h3>Agreement</h3>\n{}{}</div>\n{confusion}</div>\n{}",
        plot::shares("Agreement", &shares(pair, colours)),
        remarks(pair),
        outputs_part(pair),
    )
}

/// Returns the bars of one pair.
fn shares(pair: &PairReport, [reference, other]: [&'static str; 2]) -> Vec<plot::Share> {
    let mut shares = Vec::new();
    let mut add = |name: String, part: u64, whole: u64, colour| {
        shares.push(plot::Share {
            name,
            part,
            whole,
            colour,
        });
    };
    if let Some(classes) = &pair.classes {
        add(
            "same class".to_owned(),
            classes.same,
            classes.rows,
            "var(--good)",
        );
    }
    let n_items = pair.pairs + pair.only_reference_failed + pair.only_other_failed;
    add(
        "all outputs within tolerance".to_owned(),
        pair.agreeing,
        n_items,
        "var(--good)",
    );
    if let Some(labels) = &pair.labels {
        let n_rows = labels.both_correct
            + labels.only_reference_correct
            + labels.only_other_correct
            + labels.neither_correct;
        add(
            "both correct".to_owned(),
            labels.both_correct,
            n_rows,
            "var(--good)",
        );
        let only = [
            (&pair.reference, labels.only_reference_correct, reference),
            (&pair.other, labels.only_other_correct, other),
        ];
        for (version, n_correct, colour) in only {
            add(
                format!("only version {version} correct"),
                n_correct,
                n_rows,
                colour,
            );
        }
        add(
            "neither correct".to_owned(),
            labels.neither_correct,
            n_rows,
            "var(--bad)",
        );
    }
    shares
}

fn remarks(pair: &PairReport) -> String {
    let mut remarks = String::new();
    let failed = [
        (&pair.reference, pair.only_reference_failed),
        (&pair.other, pair.only_other_failed),
    ];
    for (version, n_failed) in failed.into_iter().filter(|(_, n_failed)| *n_failed > 0) {
        let version = escape(version);
        append(
            &mut remarks,
            format_args!(
                "<p class=\"bad\">Only version {version} failed to answer {n_failed} items.</p>\n"
            ),
        );
    }
    if pair.same_shape < pair.pairs {
        let n_other = pair.pairs - pair.same_shape;
        append(
            &mut remarks,
            format_args!(
                "<p class=\"bad\">{n_other} pairs have other names, element types or shapes.</p>\n"
            ),
        );
    }
    if !pair.differing_items.is_empty() {
        let items: Vec<_> = pair
            .differing_items
            .iter()
            .take(MAX_LINES)
            .map(u64::to_string)
            .collect();
        let more = match pair.differing_items.len() > MAX_LINES {
            true => ", ...",
            false => "",
        };
        append(
            &mut remarks,
            format_args!(
                "<p class=\"soft\">Items that differ, from 0: {}{more}</p>\n",
                items.join(", ")
            ),
        );
    }
    remarks
}

fn outputs_part(pair: &PairReport) -> String {
    let mut rows = String::new();
    for output in &pair.outputs {
        append(
            &mut rows,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&output.name),
                output.elements,
                output.differing,
                difference(output.mean_absolute),
                difference(output.largest_absolute),
                difference(output.largest_relative),
            ),
        );
    }
    format!(
        "<div class=\"card\" style=\"margin-top:12px\"><h3>Differences of the outputs</h3>\n\
         <div class=\"scroll\"><table>\n<tr><th>output</th><th>elements</th><th>differing</th>\
         <th>mean difference</th><th>largest</th><th>largest, relative</th></tr>\n{rows}</table></div>\n{}\
         </div>\n",
        plots::differences(&pair.outputs)
    )
}
