//! `cargo xtask bench compare`: Lockgate beside a raw echo and the service people write by hand.
//!
//! Rule: for each case, and as often as asked, each contender is started, warmed up, measured at
//! each number of connections, and ended, so that a slow minute of the machine hits all of them.
//! Medians are quoted, and ratios within one run: a time from one machine says nothing on another.
//! Rejected: one long run per contender, which reads a noisy neighbour as a difference.

mod build;
mod case;
mod generator;
mod machine;
mod probe;
mod report;
mod server;
mod summary;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use build::Built;
use case::{Case, Contender};
use generator::{Generator, Load};
use server::Server;
use summary::Run;
use usage::Usage;

const WARM_UP: Duration = Duration::from_secs(2);

/// A benchmark.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Compare with a raw hyper echo, and with FastAPI and ONNX Runtime.
    Compare(Compare),
}

/// What to compare and for how long.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Only these contenders; the Markdown table is then left as it is.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these cases; the Markdown table is then left as it is.
    #[arg(long = "case", value_enum, value_delimiter = ',')]
    cases: Vec<Case>,
    /// Length of a measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often everything is measured; medians are quoted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Numbers of connections, each with one request under way.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    connections: Vec<usize>,
    /// Use what was built before.
    #[arg(long)]
    skip_build: bool,
    /// Our own load generator even where `wrk` is installed.
    #[arg(long)]
    own_generator: bool,
    /// ONNX Runtime library; the one below `target/` otherwise.
    #[arg(long, env = "LOCKGATE_ONNXRUNTIME")]
    onnxruntime: Option<PathBuf>,
}

impl Compare {
    fn cases(&self) -> Vec<Case> {
        chosen(&Case::ALL, &self.cases)
    }

    fn contenders(&self, case: Case) -> Vec<Contender> {
        chosen(case.contenders(), &self.only)
    }

    fn is_complete(&self) -> bool {
        self.only.is_empty() && self.cases.is_empty()
    }
}

/// Those of `all` that are wanted, in the order of `all`; no wish is all.
fn chosen<T: Copy + PartialEq>(all: &[T], wanted: &[T]) -> Vec<T> {
    let is_chosen = |item: &&T| wanted.is_empty() || wanted.contains(item);
    all.iter().filter(is_chosen).copied().collect()
}

/// Runs a benchmark in the repository at `root`.
pub(crate) fn run(root: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Compare(compare) => run_compare(root, compare),
    }
}

fn run_compare(root: &Path, compare: &Compare) -> Result<()> {
    let built = build::prepare(root, compare.onnxruntime.as_deref(), compare.skip_build)?;
    let generator = Generator::find(root, &built, compare.own_generator)?;
    let machine = machine::describe(root, &built, &generator)?;
    let n_runs: usize = compare
        .cases()
        .into_iter()
        .map(|case| compare.contenders(case).len())
        .sum();
    let progress = progress(n_runs * compare.connections.len() * compare.repeat as usize);
    let mut runs = Vec::new();
    for case in compare.cases() {
        let bench = Bencher {
            built: &built,
            generator: &generator,
            compare,
            progress: &progress,
        };
        runs.extend(bench.measure(case)?);
    }
    progress.finish_and_clear();
    report::write(root, compare, &machine, &runs)
}

fn progress(n_runs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} (ends in {eta})");
    let progress = ProgressBar::new(n_runs as u64);
    match style {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

/// Everything that the measurements of one invocation share.
struct Bencher<'a> {
    built: &'a Built,
    generator: &'a Generator,
    compare: &'a Compare,
    progress: &'a ProgressBar,
}

impl Bencher<'_> {
    /// All measurements of one case.
    fn measure(&self, case: Case) -> Result<Vec<Run>> {
        let body = case.write_body(self.built)?;
        let mut runs = Vec::new();
        for _ in 0..self.compare.repeat {
            for contender in self.compare.contenders(case) {
                let server = Server::start(self.built, contender, case, &body)?;
                for &n_connections in &self.compare.connections {
                    let what = format!("{case}: {contender}, {n_connections} connections");
                    self.progress.set_message(what.clone());
                    let load = Load {
                        case,
                        body: &body,
                        port: server.port(),
                        n_connections,
                        duration: Duration::from_secs(self.compare.seconds),
                    };
                    runs.push(self.measure_once(&server, contender, &load).context(what)?);
                    self.progress.inc(1);
                }
                server.stop()?;
            }
        }
        Ok(runs)
    }

    fn measure_once(&self, server: &Server, contender: Contender, load: &Load<'_>) -> Result<Run> {
        self.generator.run(&Load {
            duration: WARM_UP,
            ..*load
        })?;
        let before = Usage::of_tree(server.pid())?;
        let figures = self.generator.run(load)?;
        let after = Usage::of_tree(server.pid())?;
        if figures.n_errors > 0 || figures.n_requests == 0 {
            bail!(
                "{} requests, {} of them failed",
                figures.n_requests,
                figures.n_errors
            );
        }
        Ok(Run {
            case: load.case,
            contender,
            n_connections: load.n_connections,
            requests_per_second: figures.n_requests as f64 / figures.seconds,
            p50_us: figures.p50_us,
            p99_us: figures.p99_us,
            cpu_us_per_request: after.cpu_since(&before).as_secs_f64() * 1e6
                / figures.n_requests as f64,
            memory_mb: after.resident_bytes as f64 / 1e6,
        })
    }
}
