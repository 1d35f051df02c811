//! The comparison report: versions next to each other, and each with the reference.

mod pair;
mod plots;

use api::comparison::{ComparisonReport, InputSource, LatencyReport, VersionReport};

use crate::number::{millis, percent, rate, size};
use crate::page::{Page, append, colour, escape};
use crate::plot;

/// Returns the page.
pub fn page(report: &ComparisonReport) -> String {
    let pairs: String = report
        .pairs
        .iter()
        .map(|pair| pair::part(report, pair))
        .collect();
    let sections = [
        cards(report),
        versions_part(report),
        speed_part(report),
        pairs,
    ];
    let page = Page {
        title: &format!("Versions of {}", report.model),
        subtitle: &subtitle(report),
        sections: &sections.concat(),
        footer: &footer(report),
    };
    page.to_string()
}

fn footer(report: &ComparisonReport) -> String {
    format!(
        "Latency is measured inside the server, one item at a time, versions in turn; \
         numbers agree within {} + {} of the number of the reference.",
        report.atol, report.rtol,
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
        .map(|version| escape(&version.version))
        .collect();
    format!(
        "Versions {} on {} items with {} rows, {source}. Version {} is the reference.",
        versions.join(", "),
        report.items,
        report.rows,
        versions.first().map_or("", String::as_str),
    )
}

/// Returns the cards with the most important numbers.
fn cards(report: &ComparisonReport) -> String {
    let mut cards = String::new();
    let mut add = |value: String, what: String| {
        append(
            &mut cards,
            format_args!(
                "<div class=\"card\"><div class=\"big\">{value}</div><div class=\"soft\">{what}</div></div>\n"
            ),
        );
    };
    for pair in &report.pairs {
        let names = format!("{} and {}", escape(&pair.reference), escape(&pair.other));
        match &pair.classes {
            Some(classes) => add(percent(classes.agreement), format!("same class, {names}")),
            None => add(percent(pair.agreement), format!("items agree, {names}")),
        }
    }
    for version in &report.versions {
        if let Some(accuracy) = &version.accuracy {
            let name = escape(&version.version);
            add(percent(accuracy.ratio), format!("correct, version {name}"));
        }
    }
    for version in &report.versions {
        if let Some(latency) = &version.latency_ms {
            let name = escape(&version.version);
            add(
                format!("{} ms", millis(latency.p50)),
                format!("median latency, version {name}"),
            );
        }
    }
    format!("<div class=\"cards\">\n{cards}</div>\n")
}

fn versions_part(report: &ComparisonReport) -> String {
    let mut rows = String::new();
    for (index, version) in report.versions.iter().enumerate() {
        append(
            &mut rows,
            format_args!("<tr>{}</tr>\n", version_cells(index, version)),
        );
    }
    let errors: String = report.versions.iter().filter_map(error_line).collect();
    format!(
        "<h2>Versions</h2>\n<div class=\"card scroll\"><table>\n<tr><th>version</th><th>answers</th>\
         <th>errors</th><th>correct</th><th>mean ms</th><th>p50</th><th>p95</th><th>p99</th>\
         <th>max</th><th>rows/s</th><th>instances</th><th>model file</th></tr>\n{rows}</table>{errors}\
         </div>\n"
    )
}

fn version_cells(index: usize, version: &VersionReport) -> String {
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
    let named = match version.named == version.version {
        true => String::new(),
        false => format!(" <span class=\"soft\">({})</span>", escape(&version.named)),
    };
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
    let mut cells = format!(
        "<td><span class=\"dot\" style=\"background:{}\"></span>{}{named}</td>",
        colour(index),
        escape(&version.version)
    );
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
    for cell in numbers.into_iter().chain(times).chain(rest) {
        append(&mut cells, format_args!("<td>{cell}</td>"));
    }
    cells
}

fn error_line(version: &VersionReport) -> Option<String> {
    let error = version.first_error.as_ref()?;
    Some(format!(
        "<p class=\"bad\">Version {} failed first with: {}</p>",
        escape(&version.version),
        escape(error)
    ))
}

fn speed_part(report: &ComparisonReport) -> String {
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
    format!(
        "<div class=\"plots\">\n<div class=\"card\"><h3>Latency by share of the answers, ms</h3>\n{}</div>\n\
         <div class=\"card\"><h3>Rows per second</h3>\n{}</div>\n</div>\n",
        plot::curves("Latency", &curves),
        plot::bars("Rows per second", &bars)
    )
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
