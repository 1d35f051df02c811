//! The load generator: `wrk` where it is installed, our own otherwise.
//!
//! Decision: both are closed loops over keep-alive connections and print the same line of JSON, so
//! nothing else here knows which one ran. `wrk` comes first because readers know it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::build::Built;
use super::case::Case;

/// Sends the load.
#[derive(Debug)]
pub(super) struct Generator {
    kind: Kind,
    n_threads: usize,
}

#[derive(Debug)]
enum Kind {
    Wrk { script: PathBuf, version: String },
    Own { load: PathBuf },
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) case: Case,
    pub(super) body: &'a Path,
    pub(super) port: u16,
    pub(super) n_connections: usize,
    pub(super) duration: Duration,
}

/// What a generator prints.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Figures {
    pub(super) n_requests: u64,
    pub(super) seconds: f64,
    pub(super) n_errors: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

impl Generator {
    /// Takes `wrk` when it starts. It has half of the cores, since the server needs some as well.
    pub(super) fn find(root: &Path, built: &Built, is_own: bool) -> Result<Self> {
        let version = match is_own {
            true => None,
            false => wrk_version(),
        };
        let kind = match version {
            Some(version) => Kind::Wrk {
                script: root.join("bench/peers/wrk.lua"),
                version,
            },
            None => Kind::Own {
                load: built.load.clone(),
            },
        };
        let n_threads = (built.n_cores / 2).max(1);
        Ok(Self { kind, n_threads })
    }

    /// Sends the load and waits for its end.
    pub(super) fn run(&self, load: &Load<'_>) -> Result<Figures> {
        let mut command = self.command(load)?;
        let output = command
            .output()
            .with_context(|| format!("cannot start {command:?}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{command:?} ended with {}: {text}{errors}", output.status);
        }
        let figures = figures(&text).with_context(|| format!("{command:?}: {text}"))?;
        if !errors.is_empty() {
            bail!("the load generator complains: {errors}");
        }
        Ok(figures)
    }

    fn command(&self, load: &Load<'_>) -> Result<Command> {
        let headers = load.case.headers(load.body)?;
        let n_threads = self.n_threads.min(load.n_connections);
        match &self.kind {
            Kind::Wrk { script, .. } => Ok(wrk(script, n_threads, load, headers)),
            Kind::Own { load: binary } => Ok(own(binary, n_threads, load, headers)),
        }
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.kind {
            Kind::Wrk { version, .. } => version,
            Kind::Own { .. } => "bench/load",
        };
        write!(formatter, "{name}, {} threads", self.n_threads)
    }
}

fn wrk(script: &Path, n_threads: usize, load: &Load<'_>, headers: Vec<(&str, String)>) -> Command {
    let mut command = Command::new("wrk");
    command
        .args(["--threads", &n_threads.to_string()])
        .args(["--connections", &load.n_connections.to_string()])
        .args(["--duration", &format!("{}s", load.duration.as_secs())])
        .arg("--script")
        .arg(script)
        .arg(format!(
            "http://127.0.0.1:{}{}",
            load.port,
            load.case.path()
        ))
        .arg("--")
        .arg(load.body);
    for (name, value) in headers {
        command.args([name, &value]);
    }
    command
}

fn own(binary: &Path, n_threads: usize, load: &Load<'_>, headers: Vec<(&str, String)>) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["--address", &format!("127.0.0.1:{}", load.port)])
        .args(["--path", load.case.path()])
        .arg("--body")
        .arg(load.body)
        .args(["--connections", &load.n_connections.to_string()])
        .args(["--threads", &n_threads.to_string()])
        .args(["--seconds", &load.duration.as_secs().to_string()]);
    for (name, value) in headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    command
}

/// `wrk` prints its version with its usage.
fn wrk_version() -> Option<String> {
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = text.lines().next()?.split_whitespace().take(2).collect();
    Some(words.join(" "))
}

/// The last line; `wrk` writes its own report above it.
fn figures(text: &str) -> Result<Figures> {
    let line = text.lines().last().context("it printed nothing")?;
    serde_json::from_str(line).context("its last line has no figures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_the_last_line() {
        let text = "Running 5s test\n  1 threads\n{\"n_requests\":10,\"seconds\":2.0,\
                    \"n_errors\":0,\"p50_us\":90,\"p99_us\":210.5}\n";
        let expected = Figures {
            n_requests: 10,
            seconds: 2.0,
            n_errors: 0,
            p50_us: 90.0,
            p99_us: 210.5,
        };
        assert_eq!(figures(text).unwrap(), expected);
    }

    #[test]
    fn output_without_figures_is_an_error() {
        for text in ["", "unable to connect\n", "{\"n_requests\":1}\n"] {
            assert!(figures(text).is_err(), "{text:?}");
        }
    }
}
