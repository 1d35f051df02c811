//! Load generators of closed loops: `wrk` where it is installed, otherwise our own, and our own for
//! gRPC.
//!
//! Decision: all are closed loops over keep-alive connections and print the same line of JSON, so
//! no other code depends on the choice. `wrk` is preferred because readers know it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtest::Summary;

use super::build::Artifacts;
use super::request::{Request, Tensor};

/// The chosen load generator.
#[derive(Debug)]
pub(super) struct Generator {
    kind: Kind,
    grpc: PathBuf,
    n_threads: usize,
    /// The threads of the gRPC client, which needs more CPU time than the server that it measures.
    n_grpc_threads: usize,
}

#[derive(Debug)]
enum Kind {
    Wrk { script: PathBuf, version: String },
    Own { load: PathBuf },
}

/// The load to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) request: &'a Request,
    pub(super) port: u16,
    pub(super) n_connections: usize,
    pub(super) duration: Duration,
}

impl Generator {
    /// Chooses `wrk` when it is installed. It gets half of the cores, since the server needs some
    /// as well.
    pub(super) fn find(root: &Path, artifacts: &Artifacts, is_own: bool) -> Self {
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
                load: artifacts.load.clone(),
            },
        };
        Self {
            kind,
            grpc: artifacts.grpc_load.clone(),
            n_threads: (artifacts.n_cores / 2).max(1),
            n_grpc_threads: artifacts.n_cores,
        }
    }

    /// Sends the load and waits for its end; a failed request is an error.
    pub(super) fn run(&self, load: &Load<'_>) -> Result<Summary> {
        let n_threads = self.n_threads.min(load.n_connections);
        let n_grpc_threads = self.n_grpc_threads.min(load.n_connections);
        let sent = match (&load.request.grpc, &self.kind) {
            (Some(tensor), _) => run_generator(grpc(&self.grpc, n_grpc_threads, load, tensor)),
            (None, Kind::Wrk { script, .. }) => run_generator(wrk(script, n_threads, load)),
            (None, Kind::Own { load: program }) => run_generator(own(program, n_threads, load)),
        }?;
        if sent.n_errors > 0 || sent.n_requests == 0 {
            bail!("{} requests, {} failed", sent.n_requests, sent.n_errors);
        }
        Ok(sent)
    }
}

/// Sends one request over gRPC.
pub(super) fn check_grpc(artifacts: &Artifacts, request: &Request, port: u16) -> Result<()> {
    let tensor = request.grpc.as_ref().context("a request over gRPC")?;
    let load = Load {
        request,
        port,
        n_connections: 1,
        duration: Duration::ZERO,
    };
    run_generator(grpc(&artifacts.grpc_load, 1, &load, tensor)).map(drop)
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

fn wrk(script: &Path, n_threads: usize, load: &Load<'_>) -> Command {
    let request = load.request;
    let mut command = Command::new("wrk");
    command
        .args(["--threads", &n_threads.to_string()])
        .args(["--connections", &load.n_connections.to_string()])
        .args(["--duration", &format!("{}s", load.duration.as_secs())])
        .args(["--timeout", "30s"])
        .arg("--script")
        .arg(script)
        .arg(format!("http://127.0.0.1:{}{}", load.port, request.path))
        .arg("--")
        .arg(&request.body);
    for (name, value) in &request.headers {
        command.args([name, value.as_str()]);
    }
    command
}

fn own(program: &Path, n_threads: usize, load: &Load<'_>) -> Command {
    let mut command = own_arguments(program, n_threads, load);
    command.args(["--path", &load.request.path]);
    for header in load.request.header_lines() {
        command.args(["--header", &header]);
    }
    command
}

fn grpc(program: &Path, n_threads: usize, load: &Load<'_>, tensor: &Tensor) -> Command {
    let mut command = own_arguments(program, n_threads, load);
    let shape: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
    command
        .args(["--model", tensor.model, "--input", tensor.input])
        .args(["--shape", &shape.join(",")]);
    command
}

/// Returns a command with the common arguments of our own generators.
fn own_arguments(program: &Path, n_threads: usize, load: &Load<'_>) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--address", &format!("127.0.0.1:{}", load.port)])
        .arg("--body")
        .arg(&load.request.body)
        .args(["--connections", &load.n_connections.to_string()])
        .args(["--threads", &n_threads.to_string()])
        .args(["--seconds", &load.duration.as_secs_f64().to_string()]);
    command
}

/// Returns the version of `wrk`, which it prints with its usage.
fn wrk_version() -> Option<String> {
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = text.lines().next()?.split_whitespace().take(2).collect();
    Some(words.join(" "))
}

fn run_generator(mut command: Command) -> Result<Summary> {
    let text = last_line(&mut command)?;
    serde_json::from_str(&text).with_context(|| format!("{command:?}: no figures in {text}"))
}

/// Runs a program and returns its last line; `wrk` prints its own report above it.
pub(super) fn last_line(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.is_empty() {
        bail!("{command:?} ended with {}: {text}{errors}", output.status);
    }
    let line = text.lines().last().context("the program printed nothing")?;
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printing(text: &str) -> Command {
        let mut command = Command::new("printf");
        command.args(["%s", text]);
        command
    }

    #[test]
    fn figures_are_the_last_line() {
        let text = "Running 5s test\n  1 threads\n{\"n_requests\":10,\"seconds\":2.0,\
                    \"n_errors\":0,\"p50_us\":90,\"p99_us\":210.5}\n";
        let expected = Summary {
            n_requests: 10,
            seconds: 2.0,
            n_errors: 0,
            p50_us: 90.0,
            p99_us: 210.5,
        };
        assert_eq!(run_generator(printing(text)).unwrap(), expected);
    }

    #[test]
    fn output_without_figures_is_an_error() {
        for text in ["", "unable to connect\n", "{\"n_requests\":1}\n"] {
            assert!(run_generator(printing(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_request_over_grpc_has_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let tensor = Tensor::picture("net", 2);
        let request = Request::infer_grpc(folder.path(), tensor.clone(), &[0.0; 12]).unwrap();
        let load = Load {
            request: &request,
            port: 1,
            n_connections: 1,
            duration: Duration::ZERO,
        };
        let command = grpc(Path::new("grpc_load"), 1, &load, &tensor);
        let arguments: Vec<_> = command.get_args().collect();
        assert!(arguments.contains(&"1,3,2,2".as_ref()), "{arguments:?}");
    }
}
