//! The section of the page about the reference and one other version.

use api::comparison::{ComparisonReport, PairReport};
use maud::{Markup, html};

use super::{plots, sentences};
use crate::number::difference;
use crate::page::colour;
use crate::plot;

/// The most entries of a readable list.
const MAX_LINES: usize = 12;

/// Returns the section of the page about one pair.
pub(super) fn part(report: &ComparisonReport, pair: &PairReport) -> Markup {
    let index = |name: &str| {
        report
            .versions
            .iter()
            .position(|version| version.version == name)
    };
    let colours = [&pair.reference, &pair.other].map(|name| colour(index(name).unwrap_or(0)));
    html! {
        h2 { "Version " (pair.other) " compared with version " (pair.reference) }
        div.plots {
            div.card {
                h3 { "Agreement" }
                (plot::shares("Agreement", &shares(pair, colours)))
                (remarks(pair))
            }
            @if let Some(classes) = &pair.classes {
                div.card {
                    h3 {
                        "Class of " (pair.reference) " (down) and of " (pair.other)
                        " (across), in rows"
                    }
                    (plots::confusion(&classes.confusion))
                }
            }
        }
        (outputs_part(pair))
    }
}

/// Returns the bars of one pair.
fn shares(pair: &PairReport, [reference, other]: [&'static str; 2]) -> Vec<plot::Share> {
    const GOOD: &str = "var(--good)";
    const BAD: &str = "var(--bad)";
    let mut shares = Vec::new();
    let mut add = |name: &str, part: u64, whole: u64, colour| {
        let name = name.to_owned();
        shares.push(plot::Share {
            name,
            part,
            whole,
            colour,
        });
    };
    if let Some(classes) = &pair.classes {
        add("same class", classes.same, classes.rows, GOOD);
    }
    let n_items = pair.pairs + pair.only_reference_failed + pair.only_other_failed;
    let name = "all outputs within tolerance";
    add(name, pair.agreeing, n_items, GOOD);
    if let Some(labels) = &pair.labels {
        let n_rows = labels.both_correct
            + labels.only_reference_correct
            + labels.only_other_correct
            + labels.neither_correct;
        add("both correct", labels.both_correct, n_rows, GOOD);
        let only = [
            (&pair.reference, labels.only_reference_correct, reference),
            (&pair.other, labels.only_other_correct, other),
        ];
        for (version, n_correct, colour) in only {
            let name = format!("only version {version} correct");
            add(&name, n_correct, n_rows, colour);
        }
        add("neither correct", labels.neither_correct, n_rows, BAD);
    }
    shares
}

fn remarks(pair: &PairReport) -> Markup {
    let failed = [
        (&pair.reference, pair.only_reference_failed),
        (&pair.other, pair.only_other_failed),
    ];
    let differing = &pair.differing_items;
    let items: Vec<_> = differing
        .iter()
        .take(MAX_LINES)
        .map(u64::to_string)
        .collect();
    html! {
        @for sentence in [sentences::accuracy(pair), sentences::latency(pair)].iter().flatten() {
            p { (sentence) "." }
        }
        @for (version, n_failed) in failed {
            @if n_failed > 0 {
                p.bad { "Only version " (version) " failed to answer " (n_failed) " items." }
            }
        }
        @if pair.same_shape < pair.pairs {
            @let n_other = pair.pairs - pair.same_shape;
            p.bad { (n_other) " pairs have other names, element types or shapes." }
        }
        @if !differing.is_empty() {
            p.soft {
                "Items that differ, from 0: " (items.join(", "))
                @if differing.len() > MAX_LINES { ", ..." }
            }
        }
    }
}

fn outputs_part(pair: &PairReport) -> Markup {
    html! {
        div.card style="margin-top:12px" {
            h3 { "Differences of the outputs" }
            div.scroll { table {
                tr {
                    th { "output" } th { "elements" } th { "differing" } th { "mean difference" }
                    th { "largest" } th { "largest, relative" }
                }
                @for output in &pair.outputs {
                    tr {
                        td { (output.name) }
                        td { (output.elements) }
                        td { (output.differing) }
                        td { (difference(output.mean_absolute)) }
                        td { (difference(output.largest_absolute)) }
                        td { (difference(output.largest_relative)) }
                    }
                }
            } }
            (plots::differences(&pair.outputs))
        }
    }
}
