//! Tables, files and the updated document.

use super::*;
use crate::bench::case::CASES;
use crate::bench::figures::{Round, Run};
use crate::bench::unit::Unit;

fn run(server_name: &str, requests_per_second: f64) -> Run {
    Run {
        server_name: server_name.to_owned(),
        n_connections: 64,
        requests_per_second,
        p50_us: 999.4,
        p99_us: 1500.0,
        cpu_us_per_request: 22.26,
        memory_mb: 41.7,
        first_reply_ms: 120.4,
    }
}

fn measured(runs: Vec<Run>) -> CaseResult {
    let mut round = Round {
        runs,
        ..Round::default()
    };
    round.set("a number", Unit::Milliseconds, 1.25);
    round.notes.push("a note".to_owned());
    CaseResult::new(&CASES[0], vec![Ok(round)])
}

#[test]
fn figures_are_rounded_and_have_units() {
    let figures = measured(vec![
        run("raw hyper echo", 100_000.0),
        run("Lockgate", 50_000.4),
    ]);
    let figures = figures.figures.unwrap();
    let expected = [
        "64",
        "Lockgate",
        "50000 (50000 to 50000)",
        "999 us",
        "1.50 ms",
        "22.3 us",
        "42 MB",
        "120 ms",
        "0.50",
        "",
    ];
    assert_eq!(cells(&figures.rows[1]), expected.map(str::to_owned));
}

#[test]
fn columns_without_a_ratio_are_left_out() {
    let figures = measured(vec![run("Lockgate", 1.0)]).figures.unwrap();
    let text = table(&figures.rows, presets::ASCII_MARKDOWN).to_string();
    assert!(!text.contains("of echo"), "{text}");
    assert!(text.contains("First reply"), "{text}");
}

#[test]
fn a_section_has_the_table_the_numbers_and_the_notes() {
    let text = section(
        &measured(vec![run("Lockgate", 1.0)]),
        presets::ASCII_MARKDOWN,
    );
    assert!(text.starts_with("Case `predict`: "), "{text}");
    let rows = text.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(rows, 3, "{text}");
    assert!(
        text.ends_with("|\n\n- a number: 1.2 ms\n- a note\n"),
        "{text}"
    );
}

#[test]
fn a_case_that_failed_says_why_in_its_goals_and_its_section() {
    let measured = CaseResult::new(&CASES[0], vec![Err(anyhow::anyhow!("no port"))]);
    let text = section(&measured, presets::ASCII_MARKDOWN);
    assert!(text.contains("Not measured: it failed, no port."), "{text}");
    let text = goals(&[measured], presets::ASCII_MARKDOWN).to_string();
    let n_reported = text.matches("not measured: it failed, no port").count();
    assert_eq!(n_reported, CASES[0].goals.len(), "{text}");
}

#[test]
fn the_goals_stand_with_their_outcome() {
    let figures = measured(vec![
        run("raw hyper echo", 100_000.0),
        run("Lockgate", 50_000.0),
    ]);
    let text = goals(&[figures], presets::ASCII_MARKDOWN).to_string();
    let line = text
        .lines()
        .find(|line| line.contains("raw echo, 64"))
        .unwrap();
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    assert_eq!(cells[3..5], ["0.50", "**missed**"], "{line}");
}

#[test]
fn a_time_is_in_the_unit_that_a_reader_would_choose() {
    let table = [
        (5.04, "5.0 us"),
        (99.94, "99.9 us"),
        (100.4, "100 us"),
        (999.0, "999 us"),
        (1000.0, "1.00 ms"),
        (12_345.0, "12.35 ms"),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .filter(|(us, expected)| latency(*us) != *expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn environment() -> Environment {
    Environment {
        date: "2026-01-02".to_owned(),
        processor: "some processor".to_owned(),
        n_cores: 2,
        kernel: "6.0".to_owned(),
        generator: "wrk".to_owned(),
        versions: [("numpy".to_owned(), "1".to_owned())].into(),
    }
}

fn compare() -> Compare {
    Compare {
        list: false,
        only: Vec::new(),
        cases: Vec::new(),
        seconds: 3,
        repeat: 2,
        connections: Vec::new(),
        skip_build: true,
        own_generator: false,
        onnxruntime: None,
    }
}

#[test]
fn the_file_of_a_case_has_verdicts_medians_and_every_round() {
    let measured = measured(vec![run("Lockgate", 2.0)]);
    let text = json(&compare(), &environment(), &measured).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["format"], 2);
    assert_eq!(value["machine"]["versions"]["numpy"], "1");
    assert_eq!(value["rounds"][0]["runs"][0]["requests_per_second"], 2.0);
    assert_eq!(value["medians"]["rows"][0]["who"], "Lockgate");
    assert_eq!(value["medians"]["values"][0]["value"], 1.25);
    let outcome = &value["verdicts"][0]["outcome"];
    assert_eq!(outcome["not_measured"], "what it compares was left out");
    assert!(value["error"].is_null());
}

#[test]
fn the_markdown_has_the_machine_the_goals_and_each_case() {
    let text = markdown(
        &compare(),
        &environment(),
        &[measured(vec![run("Lockgate", 2.0)])],
    );
    let environment = "Measured on 2026-01-02 with 2 cores of some processor, Linux 6.0; wrk.";
    assert_eq!(text.lines().next(), Some(environment));
    for part in [
        "Medians of 2 rounds",
        "| Case ",
        "\nCase `predict`: ",
        "- a note",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_document_gets_new_tables_and_keeps_the_rest() {
    let document = format!("# Title\n\n{FIRST_LINE}\nold\n{LAST_LINE}\n\nend\n");
    let expected = format!("# Title\n\n{FIRST_LINE}\n\nnew\n\n{LAST_LINE}\n\nend\n");
    assert_eq!(filled(&document, "new\n").unwrap(), expected);
    assert_eq!(filled(&expected, "new\n").unwrap(), expected);
    assert!(filled("# Title\n", "new\n").is_err());
    assert!(filled(FIRST_LINE, "new\n").is_err());
}

#[test]
fn the_document_of_the_repository_marks_where_the_tables_go() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join(DOCUMENT)).unwrap();
    assert!(filled(&text, "").is_ok());
}

/// A repository with the document alone.
fn repository() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("docs")).unwrap();
    let document = format!("# Title\n\n{FIRST_LINE}\nold\n{LAST_LINE}\n");
    fs::write(root.path().join(DOCUMENT), document).unwrap();
    root
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_complete_run_writes_its_figures_and_the_document() {
    let root = repository();
    let measured = [measured(vec![run("Lockgate", 2.0)])];
    write(root.path(), &compare(), &environment(), &measured).unwrap();
    let folder = root.path().join(FOLDER);
    assert_eq!(names(&folder), ["2026-01-02-predict.json", "latest.md"]);
    let document = fs::read_to_string(root.path().join(DOCUMENT)).unwrap();
    let tables = fs::read_to_string(folder.join("latest.md")).unwrap();
    assert!(
        document.contains(&tables) && !document.contains("old"),
        "{document}"
    );
}

#[test]
fn a_run_of_some_leaves_the_document_as_it_is() {
    let root = repository();
    let before = fs::read_to_string(root.path().join(DOCUMENT)).unwrap();
    let compare = Compare {
        cases: vec!["predict".to_owned()],
        ..compare()
    };
    let measured = [measured(vec![run("Lockgate", 2.0)])];
    write(root.path(), &compare, &environment(), &measured).unwrap();
    assert_eq!(
        names(&root.path().join(FOLDER)),
        ["2026-01-02-predict.json"]
    );
    assert_eq!(
        fs::read_to_string(root.path().join(DOCUMENT)).unwrap(),
        before
    );
}

#[test]
fn a_case_without_figures_has_its_error_in_the_file() {
    let measured = CaseResult::new(&CASES[0], vec![Err(anyhow::anyhow!("no port"))]);
    let text = json(&compare(), &environment(), &measured).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["error"], "it failed, no port");
    assert!(value["medians"].is_null());
    assert!(text.ends_with("}\n"), "a file ends with its line");
}
