//! Shared measurements of the cases: closed loops, and comparisons of contenders in closed loop.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::build::Artifacts;
use super::chosen;
use super::contender::Contender;
use super::figures::{Round, Run};
use super::generator::{Generator, Load};
use super::launch::Launch;
use super::repository::{self, Model};
use super::request::{self, Request};
use super::server::Server;

/// State that all measurements of one invocation share.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) artifacts: Artifacts,
    pub(super) generator: Generator,
    /// Length of a measurement.
    pub(super) seconds: u64,
    /// Only these contenders of comparisons; all when empty.
    pub(super) only: Vec<Contender>,
    /// Numbers of connections of comparisons; each has its own when empty.
    pub(super) connections: Vec<usize>,
}

/// The reason why a case cannot be measured on this machine.
#[derive(Debug)]
pub(super) struct Skip(pub(super) String);

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Contenders that answer the same request.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) request: fn(&Path, &str) -> Result<Request>,
    pub(super) contenders: &'static [Contender],
    pub(super) connections: &'static [usize],
}

impl Bench {
    pub(super) fn folder(&self) -> &Path {
        &self.artifacts.folder
    }

    pub(super) fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Makes a repository of one model.
    pub(super) fn repository(&self, model: Model) -> Result<PathBuf> {
        repository::of(self.folder(), model)
    }

    pub(super) fn start(&self, launch: &Launch, request: &Request) -> Result<Server> {
        Server::start(&self.artifacts, launch, request)
    }

    /// Warms up, then measures a closed loop.
    pub(super) fn run(
        &self,
        server_name: String,
        server: &Server,
        request: &Request,
        n_connections: usize,
    ) -> Result<Run> {
        let load = Load {
            request,
            port: server.port(),
            n_connections,
            duration: self.seconds(),
        };
        let what = || format!("{server_name}, {n_connections} connections");
        let duration = Duration::from_secs(self.seconds.div_ceil(2).min(2));
        self.generator
            .run(&Load { duration, ..load })
            .with_context(what)?;
        let before = server.usage()?;
        let sent = self.generator.run(&load).with_context(what)?;
        let after = server.usage()?;
        Ok(Run {
            server_name,
            n_connections,
            requests_per_second: sent.n_requests as f64 / sent.seconds,
            p50_us: sent.p50_us,
            p99_us: sent.p99_us,
            cpu_us_per_request: after.cpu_since(&before).as_secs_f64() * 1e6
                / sent.n_requests as f64,
            memory_mb: after.resident_bytes as f64 / 1e6,
            first_reply_ms: server.first_reply.as_secs_f64() * 1e3,
        })
    }

    /// Starts one contender, runs it at each number of connections, and ends it.
    pub(super) fn runs(
        &self,
        launch: &Launch,
        request: &Request,
        connections: &[usize],
    ) -> Result<Vec<Run>> {
        let server = self.start(launch, request)?;
        let runs = connections
            .iter()
            .map(|&n| self.run(launch.server_name(), &server, request, n))
            .collect::<Result<_>>()?;
        server.stop()?;
        Ok(runs)
    }

    /// Measures all contenders of a comparison in turn.
    pub(super) fn compare(&self, comparison: &Comparison) -> Result<Round> {
        let example = fs::read_to_string(&self.artifacts.example).context("the example request")?;
        let request = (comparison.request)(self.folder(), &example)?;
        let models = self.repository(Model::digits(&self.artifacts))?;
        let connections = match self.connections.is_empty() {
            true => comparison.connections,
            false => &self.connections,
        };
        let mut round = Round::default();
        for contender in chosen(comparison.contenders, &self.only) {
            if self.artifacts.missing.contains(&contender) {
                round.notes.push(format!("{contender} is not installed"));
                continue;
            }
            let launch = Launch::new(&self.artifacts, contender, &models);
            match self.runs(&launch, &request, connections) {
                Ok(runs) => round.runs.extend(runs),
                Err(error) if contender.is_peer() => {
                    round
                        .notes
                        .push(format!("{contender} is left out: {error:#}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(round)
    }
}

/// Returns the example request as simple JSON.
pub(super) fn predict(folder: &Path, example: &str) -> Result<Request> {
    Request::predict(folder, "predict", example.trim_end().as_bytes())
}

pub(super) fn infer_json(folder: &Path, example: &str) -> Result<Request> {
    Request::infer_json(folder, &request::digits(), &request::example_row(example)?)
}

pub(super) fn infer_binary(folder: &Path, example: &str) -> Result<Request> {
    Request::infer_binary(folder, &request::digits(), &request::example_row(example)?)
}

pub(super) fn infer_grpc(folder: &Path, example: &str) -> Result<Request> {
    Request::infer_grpc(folder, request::digits(), &request::example_row(example)?)
}
