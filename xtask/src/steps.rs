//! The steps of `cargo xtask test`, the fastest first.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{codegen, debian, python, tidy};

/// One check with its name in the output.
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<()>,
}

const STEPS: [Step; 7] = [
    Step {
        name: "format",
        run: |root| cargo(root, &["fmt", "--all", "--check"], &[]),
    },
    Step {
        name: "tidy",
        run: |root| tidy::run(root, true),
    },
    Step {
        name: "generated code",
        run: |root| codegen::run(root, true),
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "documentation",
        run: documentation,
    },
    Step {
        name: "prepare",
        run: prepare,
    },
    Step {
        name: "tests",
        run: tests,
    },
];

/// Runs all steps, or those whose name contains `only`; all of them run, even after a failure.
pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<()> {
    let mut failed = Vec::new();
    let mut n_run = 0_usize;
    for step in STEPS
        .iter()
        .filter(|step| only.is_none_or(|only| step.name.contains(only)))
    {
        println!("==> {}", step.name);
        let started = stopwatch();
        let result = (step.run)(root);
        let seconds = started().as_secs();
        n_run += 1;
        match result {
            Ok(()) => println!("<== {}: ok in {seconds} s", step.name),
            Err(error) => {
                println!("<== {}: FAILED in {seconds} s: {error:#}", step.name);
                failed.push(step.name);
            }
        }
    }
    println!(
        "steps: {} passed, {} failed",
        n_run - failed.len(),
        failed.len()
    );
    if n_run == 0 {
        bail!(
            "unknown step; the steps are {}",
            STEPS.map(|step| step.name).join(", ")
        );
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore measures wall time and is never paused"
)]
pub(crate) fn stopwatch() -> impl Fn() -> Duration {
    let started = std::time::Instant::now();
    move || started.elapsed()
}

fn clippy(root: &Path) -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    cargo(root, &arguments, &[])
}

fn documentation(root: &Path) -> Result<()> {
    let arguments = [
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ];
    cargo(root, &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Installs the Python environment, the Debian programs and ONNX Runtime below `target/`, unless
/// they exist.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    python::prepare(root)?;
    debian::prepare(root)?;
    let data_dir = root.join("target/lockgate-data");
    if data_dir.join("onnxruntime/current").exists() {
        return Ok(());
    }
    let data_dir = data_dir.display().to_string();
    let arguments = ["run", "--package", "lockgate", "--", "runtime", "install"];
    cargo(root, &arguments, &[("LOCKGATE_DATA_DIR", &data_dir)])
}

fn tests(root: &Path) -> Result<()> {
    let library = root
        .join("target/lockgate-data/onnxruntime/current")
        .display()
        .to_string();
    let python = python::interpreter(root).display().to_string();
    let promtool = debian::promtool(root).display().to_string();
    let redis_server = debian::redis_server(root).display().to_string();
    let environment = [
        ("LOCKGATE_ONNXRUNTIME", library.as_str()),
        ("LOCKGATE_PYTHON", &python),
        ("PROMTOOL", &promtool),
        ("REDIS_SERVER", &redis_server),
    ];
    cargo(
        root,
        &["test", "--workspace", "--all-features"],
        &environment,
    )
}

/// Runs cargo in `root` and passes its output through.
pub(crate) fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        .args(arguments)
        .envs(environment.iter().copied());
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("`cargo {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_that_no_step_has_is_an_error_with_all_names() {
        let error = run(Path::new("/nowhere"), Some("nonsense")).unwrap_err();
        for step in STEPS {
            assert!(error.to_string().contains(step.name), "{error}");
        }
    }

    #[test]
    fn each_step_can_be_chosen_by_its_name_alone() {
        for step in STEPS {
            let alike = STEPS.iter().filter(|other| other.name.contains(step.name));
            assert_eq!(alike.count(), 1, "{}", step.name);
        }
        let names: BTreeSet<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
    }

    #[test]
    fn what_tests_need_is_prepared_before_them() {
        let position = |name| STEPS.iter().position(|step| step.name == name).unwrap();
        assert!(position("prepare") < position("tests"));
        assert!(
            position("format") < position("clippy"),
            "the quickest comes first"
        );
    }

    #[test]
    fn a_step_that_fails_is_named_at_the_end() {
        let nothing_there = tempfile::tempdir().unwrap();
        let error = run(nothing_there.path(), Some("generated")).unwrap_err();
        assert_eq!(error.to_string(), "failed: generated code");
    }

    #[test]
    fn cargo_that_fails_is_quoted() {
        let root = tempfile::tempdir().unwrap();
        cargo(root.path(), &["--version"], &[]).unwrap();
        let error = cargo(root.path(), &["--nonsense"], &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`cargo --nonsense` ended with"),
            "{error}"
        );
    }
}
