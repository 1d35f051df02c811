//! Reports: tables in the terminal, files with all figures, and the Markdown for the documents.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, TableStyle, presets};
use serde_json::json;

use super::Compare;
use super::case_result::CaseResult;
use super::environment::Environment;
use super::figures::{Figures, Row};
use super::goal::Verdict;

const FOLDER: &str = "bench/results";

/// The document that has the tables between the two marker lines.
const DOCUMENT: &str = "docs/performance.md";
const FIRST_LINE: &str = "<!-- written by cargo xtask bench compare -->";
const LAST_LINE: &str = "<!-- end -->";

const HEADER: [&str; 10] = [
    "Connections",
    "Server",
    "Requests/s",
    "p50",
    "p99",
    "CPU per request",
    "Memory",
    "First reply",
    "of echo",
    "of FastAPI",
];

/// The number of columns that always have values; the others are ratios to other rows.
const N_ALWAYS: usize = 8;

/// Prints the figures of a case.
pub(super) fn print(measured: &CaseResult) {
    println!("{}", section(measured, presets::UTF8_BORDERS_ONLY));
}

/// Prints the outcomes of the goals and writes all files; a run of selected contenders or cases
/// leaves the documents unchanged.
pub(super) fn write(
    root: &Path,
    compare: &Compare,
    environment: &Environment,
    measured: &[CaseResult],
) -> Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    println!("{}", goals(measured, presets::UTF8_BORDERS_ONLY));
    for case in measured {
        let path = folder.join(format!("{}-{}.json", environment.date, case.case.name));
        write_file(&path, &json(compare, environment, case)?)?;
    }
    if compare.is_complete() {
        let tables = markdown(compare, environment, measured);
        write_file(&folder.join("latest.md"), &tables)?;
        let document = root.join(DOCUMENT);
        let text = fs::read_to_string(&document).context(DOCUMENT)?;
        write_file(&document, &filled(&text, &tables).context(DOCUMENT)?)?;
    }
    println!("the figures are in {FOLDER}");
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the document with these tables in place of the previous ones.
fn filled(document: &str, tables: &str) -> Result<String> {
    let (before, rest) = document
        .split_once(FIRST_LINE)
        .context("the marker before the tables is missing")?;
    let (_, after) = rest
        .split_once(LAST_LINE)
        .context("the marker after the tables is missing")?;
    Ok(format!(
        "{before}{FIRST_LINE}\n\n{tables}\n{LAST_LINE}{after}"
    ))
}

fn json(compare: &Compare, environment: &Environment, measured: &CaseResult) -> Result<String> {
    let value = json!({
        "format": 2,
        "case": measured.case.name,
        "machine": environment,
        "seconds": compare.seconds,
        "repeat": compare.repeat,
        "verdicts": measured.verdicts(),
        "medians": measured.figures.as_ref().ok(),
        "error": measured.figures.as_ref().err(),
        "rounds": measured.rounds,
    });
    Ok(serde_json::to_string_pretty(&value).context("the figures")? + "\n")
}

fn markdown(compare: &Compare, environment: &Environment, measured: &[CaseResult]) -> String {
    let mut text = format!(
        "Measured on {} with {} cores of {}, Linux {}; {}.\n\
         Medians of {} rounds with measurements of {} s; requests/s with the slowest and the \
         fastest round.\n\n",
        environment.date,
        environment.n_cores,
        environment.processor,
        environment.kernel,
        environment.generator,
        compare.repeat,
        compare.seconds,
    );
    text += &format!("{}\n", goals(measured, presets::ASCII_MARKDOWN));
    for case in measured {
        text += &format!("\n{}", section(case, presets::ASCII_MARKDOWN));
    }
    text
}

/// Returns a table of all goals with their outcomes.
fn goals(measured: &[CaseResult], style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(["Case", "Goal", "Measured", ""]);
    for verdict in measured.iter().flat_map(CaseResult::verdicts) {
        let Verdict {
            case,
            goal,
            measured,
            outcome,
            ..
        } = verdict;
        table.add_row([case.to_owned(), goal, measured, outcome.to_string()]);
    }
    table
}

/// Returns the figures of a case under its title.
fn section(measured: &CaseResult, style: TableStyle) -> String {
    let case = measured.case;
    let mut text = format!("Case `{}`: {}.\n\n", case.name, case.title);
    match &measured.figures {
        Ok(figures) => text += &body(figures, style),
        Err(reason) => text += &format!("Not measured: {reason}.\n"),
    }
    text
}

fn body(figures: &Figures, style: TableStyle) -> String {
    let mut text = String::new();
    if !figures.rows.is_empty() {
        text += &format!("{}\n", table(&figures.rows, style));
    }
    let values = figures.values.iter();
    let values = values.map(|value| format!("{}: {}", value.name, value.unit.write(value.value)));
    let lines: Vec<_> = values.chain(figures.notes.iter().cloned()).collect();
    if !lines.is_empty() && !text.is_empty() {
        text += "\n";
    }
    for line in lines {
        text += &format!("- {line}\n");
    }
    text
}

/// Returns a table of the rows without empty columns.
fn table(rows: &[Row], style: TableStyle) -> Table {
    let all: Vec<_> = rows.iter().map(cells).collect();
    let is_shown = |index: usize| {
        let mut column = all.iter().filter_map(|cells| cells.get(index));
        index < N_ALWAYS || column.any(|cell| !cell.is_empty())
    };
    let shown = |cells: Vec<String>| -> Vec<String> {
        let cells = cells.into_iter().enumerate();
        let cells = cells.filter(|(index, _)| is_shown(*index));
        cells.map(|(_, cell)| cell).collect()
    };
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(shown(HEADER.map(str::to_owned).to_vec()));
    for cells in &all {
        table.add_row(shown(cells.to_vec()));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(row: &Row) -> [String; HEADER.len()] {
    let median = &row.median;
    let of_echo = row.of_echo.map(|ratio| format!("{ratio:.2}"));
    let of_fastapi = row.of_fastapi.map(|ratio| format!("{ratio:.1} x"));
    [
        median.n_connections.to_string(),
        median.server_name.clone(),
        format!(
            "{:.0} ({:.0} to {:.0})",
            median.requests_per_second, row.slowest, row.fastest
        ),
        latency(median.p50_us),
        latency(median.p99_us),
        latency(median.cpu_us_per_request),
        format!("{:.0} MB", median.memory_mb),
        format!("{:.0} ms", median.first_reply_ms),
        of_echo.unwrap_or_default(),
        of_fastapi.unwrap_or_default(),
    ]
}

/// Formats a latency in a readable unit.
fn latency(us: f64) -> String {
    match us {
        us if us < 100.0 => format!("{us:.1} us"),
        us if us < 1000.0 => format!("{us:.0} us"),
        us => format!("{:.2} ms", us / 1000.0),
    }
}

#[cfg(test)]
mod tests;
