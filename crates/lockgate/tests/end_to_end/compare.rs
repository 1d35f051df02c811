//! Comparison of versions of the examples, as a user runs it.

use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

use crate::http::post_json;
use crate::process::{Lockgate, examples, lockgate};

fn serve() -> Lockgate {
    Lockgate::serve(&examples().join("models"), &["--model-control", "true"])
}

fn command(server: &Lockgate, flags: &[&str]) -> Command {
    let mut command = lockgate(server.folder());
    command
        .args(["compare", "digits", "--versions", "1,2"])
        .args(["--url", &format!("http://{}", server.address)])
        .args(flags);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Returns the output of the command, which must succeed.
fn printed(server: &Lockgate, flags: &[&str]) -> String {
    let output = command(server, flags).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn test_data() -> String {
    examples()
        .join("data/digits-test.csv")
        .display()
        .to_string()
}

#[test]
fn both_versions_of_digits_reach_their_known_accuracy() {
    let server = serve();
    let data = test_data();
    let report = printed(&server, &["--data", &data, "--concurrency", "4", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["items"], &report["rows"]),
        (&json!(360), &json!(360))
    );
    let correct = |index: usize| &report["versions"][index]["accuracy"]["correct"];
    assert_eq!((correct(0), correct(1)), (&json!(348), &json!(350)));
    for version in report["versions"].as_array().unwrap() {
        assert_eq!(version["errors"], 0);
        assert!(version["rows_per_second"].as_f64().unwrap() > 0.0);
        assert!(version["rows_per_second_concurrent"].as_f64().unwrap() > 0.0);
        let file = examples()
            .join("models/digits")
            .join(version["version"].as_str().unwrap());
        let n_bytes = std::fs::metadata(file.join("model.onnx")).unwrap().len();
        assert_eq!(version["model_file_size"], n_bytes);
    }
    let pair = &report["pairs"][0];
    assert_eq!(
        (&pair["pairs"], &pair["same_shape"]),
        (&json!(360), &json!(360))
    );
    let count = |key: &str| pair["labels"][key].as_u64().unwrap();
    assert_eq!(count("both_correct") + count("only_reference_correct"), 348);
    assert_eq!(count("both_correct") + count("only_other_correct"), 350);
    let classes = &pair["classes"];
    let n_differing = pair["differing_items"].as_array().unwrap().len() as u64;
    assert_eq!(classes["same"].as_u64().unwrap() + n_differing, 360);
}

#[test]
fn a_version_agrees_with_itself() {
    let server = serve();
    let (url, data) = (format!("http://{}", server.address), test_data());
    let output = lockgate(server.folder())
        .args([
            "compare",
            "digits",
            "--versions",
            "2,2",
            "--limit",
            "20",
            "--json",
        ])
        .args(["--url", &url, "--data", &data])
        .output()
        .unwrap();
    assert!(
        text(&output).contains("the first 20 of 360 items"),
        "{}",
        text(&output)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["pairs"][0]["agreement"], 1.0);
    assert_eq!(report["pairs"][0]["outputs"][1]["largest_absolute"], 0.0);
}

#[test]
fn the_report_is_read_in_the_terminal_and_in_a_browser() {
    let server = serve();
    let page = server.folder().join("report.html");
    let flags = [
        "--data",
        &test_data(),
        "--html",
        &page.display().to_string(),
    ];
    let output_text = printed(&server, &flags);
    for expected in [
        "348 of 360 (96.7 %)",
        "350 of 360 (97.2 %)",
        "same class: ",
        "probabilities",
    ] {
        assert!(
            output_text.contains(expected),
            "{expected} is missing in:\n{output_text}"
        );
    }
    assert!(
        output_text.contains(&page.display().to_string()),
        "{output_text}"
    );
    let page = std::fs::read_to_string(page).unwrap();
    for expected in [
        "Versions of digits",
        "<svg",
        "350 of 360",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("http"), "the page must need nothing else");
}

#[test]
fn requests_of_callers_are_recorded_and_compared() {
    let server = serve();
    let recording = command(&server, &["--recorded", "3", "--timeout", "60", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Callers send requests until the recording is complete.
    let output = thread::scope(|scope| {
        let waiting = scope.spawn(|| recording.wait_with_output().unwrap());
        while !waiting.is_finished() {
            let row = json!({"data": [vec![1; 64]]});
            let reply = post_json(&server.address, "/models/digits/predict", &row);
            assert_eq!(reply.status, 200);
        }
        waiting.join().unwrap()
    });
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["source"], &report["items"]),
        (&json!("recorded"), &json!(3))
    );
    assert_eq!(report["versions"][0]["accuracy"], Value::Null);
}

#[test]
fn a_comparison_that_makes_no_sense_is_refused_with_the_next_step() {
    let server = serve();
    let missing = Path::new("nobody.csv").display().to_string();
    let data = test_data();
    let cases: [(&[&str], &str); 4] = [
        (&["--data", &missing], "cannot read `nobody.csv`"),
        (
            &["--data", &data, "--limit", "0"],
            "`items`: expected 1 to 1000",
        ),
        (
            &["--data", &data, "--label-column", "none"],
            "no column `none`",
        ),
        (&[], "--data <FILE>"),
    ];
    for (flags, expected) in cases {
        let output = command(&server, flags).output().unwrap();
        assert!(!output.status.success());
        assert!(
            text(&output).contains(expected),
            "{flags:?}: {}",
            text(&output)
        );
    }
}
