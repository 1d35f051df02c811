//! The sub-commands, as a user runs them.

use std::process::{Command, Output};

use crate::documents::expanded_lines;
use crate::http::{get, post_json};
use crate::process::{Lockgate, examples, lockgate};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn serve_without_a_library_names_the_command_that_installs_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockgate(folder.path())
        .args(["serve", "--port", "0"])
        .env("LOCKGATE_ONNXRUNTIME", "")
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        text(&output).contains("lockgate runtime install"),
        "{}",
        text(&output)
    );
}

#[test]
fn config_shows_the_source_of_each_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.yaml");
    std::fs::write(&file, "max_headers: 7\n").unwrap();
    let output = lockgate(folder.path())
        .args(["config", "--port", "1234", "--config"])
        .arg(&file)
        .env("LOCKGATE_CORES", "2")
        .output()
        .unwrap();
    let text = text(&output);
    let row = |key: &str| {
        let mut lines = text.lines().map(|line| line.trim_matches(['│', ' ']));
        let line = lines.find(|line| line.starts_with(&format!("{key} ")));
        line.unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("port")[1..], ["1234", "flag"], "{text}");
    assert_eq!(row("cores")[1..], ["2", "environment"], "{text}");
    assert_eq!(row("max_headers")[1..3], ["7", "file"], "{text}");
    assert_eq!(row("log_format")[1..], ["human", "default"], "{text}");
}

#[test]
fn doctor_finds_the_library_and_loads_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockgate(folder.path()).arg("doctor").output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("everything that serving needs is here"),
        "{text}"
    );
    assert!(text.contains("cores for this process"), "{text}");
}

#[test]
fn completions_are_scripts_of_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockgate(folder.path())
        .args(["completions", "bash"])
        .output()
        .unwrap();
    let script = folder.path().join("completion.bash");
    std::fs::write(&script, &output.stdout).unwrap();
    let syntax = Command::new("bash")
        .arg("-n")
        .arg(&script)
        .status()
        .unwrap();
    assert!(syntax.success() && text(&output).contains("lockgate"));
}

#[test]
fn a_single_file_is_version_1_of_a_model_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flowers.onnx");
    std::fs::copy(examples().join("models/iris/1/model.onnx"), &file).unwrap();
    let server = Lockgate::serve(&file, &[]);
    let body = serde_json::json!({"data": [[5.1, 3.5, 1.4, 0.2]]});
    let reply = post_json(&server.address, "/predict", &body).json();
    assert_eq!(
        (&reply["model"], &reply["model_version"]),
        (&"flowers".into(), &"1".into())
    );
    assert_eq!(reply["predictions"]["label"], serde_json::json!(["setosa"]));
}

#[test]
fn serve_ends_with_the_reason_when_nothing_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for (name, content) in [
        ("net.pt", "PK"),
        ("pointer.onnx", pointer),
        ("named/1/mymodel.onnx", "x"),
        ("flat/one.onnx", "x"),
    ] {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), content).unwrap();
    }
    for (root, reason) in [
        ("net.pt", "`net.pt` is a file of PyTorch"),
        ("pointer.onnx", "pointer.onnx` is a Git LFS pointer"),
        (
            "named",
            "it has `mymodel.onnx`; the name must be `model.onnx`",
        ),
        ("flat", "flat/one/1/model.onnx`"),
    ] {
        let output = lockgate(folder.path())
            .args(["serve", "--port", "0"])
            .arg(path(root))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{root}: {}", text(&output));
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().last().unwrap_or_default();
        assert!(last.contains(reason), "{root}: {errors}");
    }
}

#[test]
fn every_line_that_the_demo_prints_works() {
    let server = Lockgate::start(&["demo".to_owned()], "Ctrl-C");
    let lines = server.greeting.lines();
    let script: Vec<_> = lines.filter(|line| line.starts_with("  ")).collect();
    let script = script.join("\n");
    let expanded = expanded_lines(&script);
    assert!(expanded.is_empty(), "{expanded:?}");
    assert!(
        server.greeting.contains("Model control is on"),
        "{}",
        server.greeting
    );
    let output = Command::new("bash")
        .args(["-e", "-c"])
        .arg(&script)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", text(&output));
    let replies = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "\"label\":\"seven\"",
        "setosa",
        "model_predictions_total",
        "\"results\"",
    ] {
        assert!(
            replies.contains(expected),
            "{expected} is not in\n{replies}"
        );
    }
    assert_eq!(get(&server.address, "/docs/").status, 200);
    assert!(
        server
            .folder()
            .join("demo/models/digits/1/model.onnx")
            .exists()
    );
}

#[test]
fn the_demo_gets_a_runtime_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockgate(folder.path())
        .args(["demo", "--port", "0"])
        .env("LOCKGATE_ONNXRUNTIME", "")
        .env("PATH", "")
        .output()
        .unwrap();
    let text = text(&output);
    assert!(text.contains("installing it with pip"), "{text}");
    assert!(!output.status.success(), "there is no pip without a path");
}

#[test]
fn the_demo_leaves_a_folder_with_other_models_alone() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("mine");
    std::fs::create_dir_all(models.join("model/1")).unwrap();
    let output = lockgate(folder.path())
        .args(["demo", "--port", "0", "--repository"])
        .arg(&models)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        text(&output).contains("lockgate serve"),
        "{}",
        text(&output)
    );
    assert!(!models.join("digits").exists());
}
