//! The table in the terminal, the files with all figures, and the Markdown that documents quote.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, TableStyle, presets};
use serde_json::json;

use super::Compare;
use super::case::Case;
use super::machine::Machine;
use super::summary::{self, Row, Run};

const FOLDER: &str = "bench/results";

const HEADER: [&str; 9] = [
    "Connections",
    "Server",
    "Requests/s",
    "p50",
    "p99",
    "CPU per request",
    "Memory",
    "of echo",
    "of FastAPI",
];

/// Prints and writes everything; a run of some contenders or cases leaves the Markdown as it is.
pub(super) fn write(root: &Path, compare: &Compare, machine: &Machine, runs: &[Run]) -> Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for case in compare.cases() {
        let rows = summary::rows(runs, case);
        println!(
            "{case}: {}\n{}\n",
            case.title(),
            table(&rows, presets::UTF8_BORDERS_ONLY)
        );
        let path = folder.join(format!("{}-{case}.json", machine.date));
        write_file(&path, &json(compare, machine, case, runs)?)?;
    }
    if compare.is_complete() {
        write_file(&folder.join("latest.md"), &markdown(compare, machine, runs))?;
    }
    println!("the figures are in {FOLDER}");
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn json(compare: &Compare, machine: &Machine, case: Case, runs: &[Run]) -> Result<String> {
    let of_case: Vec<_> = runs.iter().filter(|run| run.case == case).collect();
    let value = json!({
        "format": 1,
        "machine": machine,
        "seconds": compare.seconds,
        "repeat": compare.repeat,
        "rows": summary::rows(runs, case),
        "runs": of_case,
    });
    Ok(serde_json::to_string_pretty(&value).context("the figures")? + "\n")
}

fn markdown(compare: &Compare, machine: &Machine, runs: &[Run]) -> String {
    let mut text = format!(
        "Measured on {} with {} cores of {}, Linux {}; {}.\n\
         Medians of {} runs of {} s each; requests/s with the slowest and the fastest run.\n",
        machine.date,
        machine.n_cores,
        machine.processor,
        machine.kernel,
        machine.generator,
        compare.repeat,
        compare.seconds,
    );
    for case in compare.cases() {
        let table = table(&summary::rows(runs, case), presets::ASCII_MARKDOWN);
        text += &format!("\nCase `{case}`: {}.\n\n{table}\n", case.title());
    }
    text
}

fn table(rows: &[Row], style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(HEADER);
    for row in rows {
        table.add_row(cells(row));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(row: &Row) -> [String; 9] {
    let median = &row.median;
    let memory = format!("{:.0} MB", median.memory_mb);
    let of_fastapi = row.of_fastapi.map(|ratio| format!("{ratio:.1} x"));
    [
        median.n_connections.to_string(),
        median.contender.to_string(),
        format!(
            "{:.0} ({:.0} to {:.0})",
            median.requests_per_second, row.slowest, row.fastest
        ),
        latency(median.p50_us),
        latency(median.p99_us),
        format!("{:.1} us", median.cpu_us_per_request),
        memory,
        row.of_echo
            .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        of_fastapi.unwrap_or_default(),
    ]
}

/// In the unit that a reader would choose.
fn latency(us: f64) -> String {
    match us < 1000.0 {
        true => format!("{us:.0} us"),
        false => format!("{:.2} ms", us / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::Contender;

    fn row() -> Row {
        Row {
            median: Run {
                case: Case::Predict,
                contender: Contender::Lockgate,
                n_connections: 64,
                requests_per_second: 50_000.4,
                p50_us: 999.4,
                p99_us: 1500.0,
                cpu_us_per_request: 22.26,
                memory_mb: 41.7,
            },
            slowest: 48_000.0,
            fastest: 51_000.0,
            of_echo: Some(0.555),
            of_fastapi: None,
        }
    }

    #[test]
    fn figures_are_rounded_and_have_units() {
        let expected = [
            "64",
            "Lockgate",
            "50000 (48000 to 51000)",
            "999 us",
            "1.50 ms",
            "22.3 us",
            "42 MB",
            "0.56",
            "",
        ];
        assert_eq!(cells(&row()), expected.map(str::to_owned));
    }

    #[test]
    fn the_table_of_a_document_is_markdown() {
        let text = table(&[row()], presets::ASCII_MARKDOWN).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with('|') && line.ends_with('|'))
        );
        assert!(lines[1].starts_with("|--"), "{text}");
    }
}
