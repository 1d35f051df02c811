//! The commands of the documents work, on the models that they talk about.
//!
//! A block marked `sh` is run as it stands, against a server with the example models; `curl` and
//! the example clients find it because the documented address is replaced by the real one. A block
//! marked `sh` that builds is not run, but the sub-commands in it must exist.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{Lockgate, copy_folder, examples, lockgate, python};

const DOCUMENTED_ADDRESS: &str = "localhost:8000";

/// The blocks of a Markdown file with the mark `sh`.
fn shell_blocks(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

fn check(document: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join(document)).unwrap();
    let repository = tempfile::tempdir().unwrap();
    copy_folder(&examples().join("models"), repository.path());
    let server = Lockgate::serve(repository.path(), &["--model-control", "true"]);
    let blocks = shell_blocks(&text);
    assert!(!blocks.is_empty(), "{document} has no commands");
    for block in blocks {
        match block.contains("cargo ") {
            true => check_sub_commands(&block),
            false => run(&root, &block, &server),
        }
    }
}

fn run(root: &Path, block: &str, server: &Lockgate) {
    let script = block.replace(DOCUMENTED_ADDRESS, &server.address);
    let binary = Path::new(env!("CARGO_BIN_EXE_lockgate"))
        .parent()
        .unwrap()
        .to_owned();
    let clients = python().parent().unwrap().to_owned();
    let path = format!(
        "{}:{}:/usr/local/bin:/usr/bin:/bin",
        binary.display(),
        clients.display()
    );
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(root)
        .env("PATH", path)
        .env("LOCKGATE_DATA_DIR", server.folder())
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{script}\n{output_text}\n{complained}"
    );
}

/// `cargo run --release -- NAME` must be a sub-command; `cargo xtask` is what runs this test.
fn check_sub_commands(block: &str) {
    let folder = tempfile::tempdir().unwrap();
    for line in block.lines().filter(|line| line.contains("cargo run")) {
        let name = line
            .split(" -- ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap();
        let output = lockgate(folder.path())
            .args([name, "--help"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}");
    }
}

#[test]
fn the_commands_of_the_readme_work() {
    check("README.md");
}

#[test]
fn the_commands_of_the_guide_work() {
    check("docs/guide/models.md");
    check("docs/guide/api.md");
    check("docs/guide/traffic.md");
    check("docs/guide/compare.md");
    check("docs/guide/operations.md");
    check("docs/guide/rollouts.md");
}

/// Characters that zsh expands or refuses outside of quotes, comments on the command line included.
const EXPANDED: [char; 10] = ['?', '*', '[', ']', '{', '}', '!', '~', '^', '#'];

/// Returns the lines of a script with such a character outside of quotes.
pub(crate) fn expanded_lines(script: &str) -> Vec<String> {
    let mut open: Option<char> = None;
    let mut unquoted = String::new();
    for letter in script.chars() {
        match (open, letter) {
            (None, '\'' | '"') => open = Some(letter),
            (Some(quote), _) if quote == letter => open = None,
            (Some(_), _) => {}
            (None, _) => unquoted.push(letter),
        }
    }
    let lines = unquoted.lines();
    lines
        .filter(|line| line.contains(EXPANDED))
        .map(str::to_owned)
        .collect()
}

#[test]
fn commands_of_documents_are_taken_by_every_shell() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_dir(root.join("docs/guide")).unwrap();
    let guide = guide.map(|entry| entry.unwrap().path());
    let others = ["README.md", "CONTRIBUTING.md"].map(|name| root.join(name));
    let mut expanded = Vec::new();
    for path in guide.chain(others) {
        let text = fs::read_to_string(&path).unwrap();
        for block in shell_blocks(&text) {
            let lines = expanded_lines(&block).into_iter();
            expanded.extend(lines.map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert!(expanded.is_empty(), "{expanded:#?}");
    assert_eq!(expanded_lines("a 'b?'\nc '\n[' d?"), ["c  d?"]);
}

#[test]
fn every_metric_is_in_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_to_string(root.join("docs/guide/metrics.md")).unwrap();
    let metrics = monitor::Metric::ALL.map(|metric| format!("`{}`", metric.name()));
    let forgotten: Vec<_> = metrics
        .iter()
        .filter(|name| !guide.contains(*name))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
