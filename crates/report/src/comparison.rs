//! The comparison report: versions next to each other, and each with the reference.

mod pair;
mod plots;
pub mod sentences;

use api::comparison::{ComparisonReport, InputSource, LatencyReport, VersionReport};
use maud::{Markup, html};

use crate::number::{millis, percent, rate, size};
use crate::page::{Page, colour};
use crate::plot;

/// The most versions whose numbers stand out as cards; more of them are easier to read in the table.
const MAX_CARD_VERSIONS: usize = 4;

/// Returns the page.
pub fn page(report: &ComparisonReport) -> String {
    let sections = html! {
        @if report.versions.len() <= MAX_CARD_VERSIONS { (cards(report)) }
        (versions_part(report))
        (speed_part(report))
        @for pair in &report.pairs { (pair::part(report, pair)) }
    };
    let page = Page {
        title: &format!("Versions of {}", report.model),
        subtitle: &subtitle(report),
        sections: &sections,
        footer: &footer(report),
    };
    page.into_html()
}

fn footer(report: &ComparisonReport) -> String {
    format!(
        "Latency is measured inside the server, one item at a time, the order of the versions \
         shuffled for each item (seed {}); rates are medians; numbers agree within {} + {} of the \
         number of the reference.",
        report.seed, report.atol, report.rtol,
    )
}

fn subtitle(report: &ComparisonReport) -> String {
    let source = match report.source {
        InputSource::Recorded => "recorded from traffic",
        InputSource::Given => "from a file",
    };
    let versions: Vec<_> = report
        .versions
        .iter()
        .map(|version| version.version.as_str())
        .collect();
    format!(
        "Versions {} on {} items with {} rows, {source}. Version {} is the reference. Compared at {}.",
        versions.join(", "),
        report.items,
        report.rows,
        versions.first().unwrap_or(&""),
        report.compared_at,
    )
}

/// Returns the cards with the most important numbers.
fn cards(report: &ComparisonReport) -> Markup {
    let card = |value: String, what: String| {
        html! { div.card { div.big { (value) } div.soft { (what) } } }
    };
    html! {
        div.cards {
            @for pair in &report.pairs {
                @let names = format!("{} and {}", pair.reference, pair.other);
                @match &pair.classes {
                    Some(same) => (card(percent(same.agreement), format!("same class, {names}"))),
                    None => (card(percent(pair.agreement), format!("items agree, {names}"))),
                }
            }
            @for VersionReport { version, accuracy, .. } in &report.versions {
                @if let Some(accuracy) = accuracy {
                    (card(percent(accuracy.ratio), format!("correct, version {version}")))
                }
            }
            @for VersionReport { version, latency_ms, .. } in &report.versions {
                @if let Some(latency) = latency_ms {
                    @let value = format!("{} ms", millis(latency.p50));
                    (card(value, format!("median latency, version {version}")))
                }
            }
        }
    }
}

fn versions_part(report: &ComparisonReport) -> Markup {
    html! {
        h2 { "Versions" }
        div.card.scroll {
            table {
                tr {
                    th { "version" } th { "answers" } th { "errors" } th { "correct" }
                    th { "mean ms" } th { "p50" } th { "p95" } th { "p99" } th { "max" }
                    th { "rows/s" } th { "instances" } th { "model file" }
                }
                @for (index, version) in report.versions.iter().enumerate() {
                    tr { (version_cells(index, version)) }
                }
            }
            @for version in &report.versions {
                p.soft.hash { (sentences::content(version)) }
            }
            @for version in &report.versions {
                @if let Some(error) = &version.first_error {
                    p.bad { "Version " (version.version) " failed first with: " (error) }
                }
            }
        }
    }
}

fn version_cells(index: usize, version: &VersionReport) -> Markup {
    let latency = version.latency_ms.as_ref();
    let times = latency.map_or([const { String::new() }; 5], |latency| {
        [
            latency.mean,
            latency.p50,
            latency.p95,
            latency.p99,
            latency.max,
        ]
        .map(millis)
    });
    let correct = version
        .accuracy
        .as_ref()
        .map_or("-".to_owned(), |accuracy| {
            format!(
                "{} of {} ({})",
                accuracy.correct,
                accuracy.labelled,
                percent(accuracy.ratio)
            )
        });
    let numbers = [
        version.answers.to_string(),
        version.errors.to_string(),
        correct,
    ];
    let rest = [
        rate(version.rows_per_second),
        version.instances.to_string(),
        size(version.model_file_size),
    ];
    html! {
        td {
            span.dot style={ "background:" (colour(index)) } {}
            (version.version)
            @if version.named != version.version { " " span.soft { "(" (version.named) ")" } }
        }
        @for cell in numbers.into_iter().chain(times).chain(rest) { td { (cell) } }
    }
}

fn speed_part(report: &ComparisonReport) -> Markup {
    let concurrency = report.concurrency;
    let mut bars = Vec::new();
    for (index, version) in report.versions.iter().enumerate() {
        let name = &version.version;
        bars.push(plot::Bar {
            name: format!("version {name}"),
            value: version.rows_per_second,
            colour: colour(index),
        });
        if concurrency > 1 {
            bars.push(plot::Bar {
                name: format!("version {name}, {concurrency} at once"),
                value: version.rows_per_second_concurrent,
                colour: colour(index),
            });
        }
    }
    let versions = report.versions.iter().enumerate();
    let curves: Vec<_> = versions
        .filter_map(|(index, version)| {
            Some(plot::Curve {
                name: format!("version {}", version.version),
                points: points(version.latency_ms.as_ref()?),
                colour: colour(index),
            })
        })
        .collect();
    html! {
        div.plots {
            div.card {
                h3 { "Latency by share of the answers, ms" }
                (plot::curves("Latency", &curves))
            }
            div.card {
                h3 { "Rows per second" }
                (plot::bars("Rows per second", &bars))
            }
        }
    }
}

/// Returns points of percent and milliseconds. The slowest answer depends more on the machine than
/// on the version, and would dominate the scale of the plot; it is shown in the table.
fn points(latency: &LatencyReport) -> Vec<(f64, f64)> {
    let curve = (0..=19_u8).zip(&latency.curve);
    let curve = curve.map(|(step, &time)| (f64::from(step) * 5.0, time));
    curve.chain([(99.0, latency.p99)]).collect()
}

#[cfg(test)]
mod tests;
