//! `cargo xtask bench compare`: measures Lockgate against its alternatives.
//!
//! Decision: the benchmark is a table of cases, each with goals ([`case`]); every case is measured
//! in rounds that restart everything, so that a slow minute of the machine affects all contenders,
//! and medians and ratios within one round are quoted. A case that fails loses only its own lines
//! of the result.

mod batching;
mod build;
mod case;
mod case_result;
mod contender;
mod engine;
mod environment;
mod figures;
mod generator;
mod goal;
mod launch;
mod measure;
mod open_loop;
mod overload;
mod probe;
mod report;
mod repository;
mod request;
mod resources;
mod rollout;
mod server;
mod swap;
mod unit;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use case::{CASES, Case};
use case_result::CaseResult;
use contender::Contender;
use generator::Generator;
use measure::Bench as Measurement;

use crate::steps::stopwatch;

/// A benchmark.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Compare with raw echoes, with Python model servers, and with ONNX Runtime alone.
    Compare(Compare),
}

/// Selection of cases and contenders, and the length of the measurements.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Print the cases with their goals, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Only these contenders where contenders are compared; the Markdown table is then left as it
    /// is.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these cases; the Markdown table is then left as it is.
    #[arg(
        long = "case",
        value_parser = PossibleValuesParser::new(CASES.iter().map(|case| case.name)),
        value_delimiter = ','
    )]
    cases: Vec<String>,
    /// Length of a measurement.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Rounds of a case; medians are quoted.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Numbers of connections where contenders are compared, each with one request in flight.
    #[arg(long, value_delimiter = ',')]
    connections: Vec<usize>,
    /// Skip building and use earlier builds.
    #[arg(long)]
    skip_build: bool,
    /// Use our own load generator even where `wrk` is installed.
    #[arg(long)]
    own_generator: bool,
    /// ONNX Runtime library; the default is the one below `target/`.
    #[arg(long, env = "LOCKGATE_ONNXRUNTIME")]
    onnxruntime: Option<PathBuf>,
}

impl Compare {
    fn cases(&self) -> Vec<&'static Case> {
        let is_selected = |case: &&Case| self.cases.iter().any(|name| name == case.name);
        let cases = CASES.iter();
        let cases = cases.filter(|case| self.cases.is_empty() || is_selected(case));
        cases.collect()
    }

    fn is_complete(&self) -> bool {
        self.only.is_empty() && self.cases.is_empty() && self.connections.is_empty()
    }
}

/// Returns the selected entries of `all`, in the order of `all`; all of them when none is selected.
fn chosen<T: Copy + PartialEq>(all: &[T], selected: &[T]) -> Vec<T> {
    let is_chosen = |item: &&T| selected.is_empty() || selected.contains(item);
    all.iter().filter(is_chosen).copied().collect()
}

/// Runs a benchmark in the repository at `root`.
pub(crate) fn run(root: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Compare(compare) if compare.list => {
            list();
            Ok(())
        }
        Bench::Compare(compare) => run_compare(root, compare),
    }
}

fn list() {
    for case in &CASES {
        println!("{}: {}", case.name, case.title);
        for goal in case.goals {
            println!("    {goal}");
        }
    }
}

fn run_compare(root: &Path, compare: &Compare) -> Result<()> {
    let artifacts = build::prepare(root, compare.onnxruntime.as_deref(), compare.skip_build)?;
    let generator = Generator::find(root, &artifacts, compare.own_generator);
    let environment = environment::describe(root, &artifacts, &generator)?;
    let bench = Measurement {
        artifacts,
        generator,
        seconds: compare.seconds,
        only: compare.only.clone(),
        connections: compare.connections.clone(),
    };
    let elapsed = stopwatch();
    let mut measured = Vec::new();
    for case in compare.cases() {
        let case = measure(&bench, case, compare.repeat, &elapsed);
        report::print(&case);
        measured.push(case);
    }
    report::write(root, compare, &environment, &measured)
}

/// Measures all rounds of a case; a case that cannot be measured here is not repeated.
fn measure(
    bench: &Measurement,
    case: &'static Case,
    repeat: u32,
    elapsed: &impl Fn() -> Duration,
) -> CaseResult {
    let n_rounds = if case.is_once { 1 } else { repeat };
    let mut rounds = Vec::new();
    for round in 1..=n_rounds {
        let seconds = elapsed().as_secs();
        eprintln!("[{seconds} s] {}, round {round} of {n_rounds}", case.name);
        let result = (case.measure)(bench);
        if let Err(error) = &result {
            eprintln!("{}: {error:#}", case.name);
        }
        let is_skipped = result
            .as_ref()
            .is_err_and(|error| error.is::<measure::Skip>());
        rounds.push(result);
        if is_skipped {
            break;
        }
    }
    CaseResult::new(case, rounds)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        compare: Compare,
    }

    fn compare(words: &[&str]) -> Result<Compare, clap::Error> {
        let words = std::iter::once("compare").chain(words.iter().copied());
        Ok(CommandLine::try_parse_from(words)?.compare)
    }

    fn names(compare: &Compare) -> Vec<&'static str> {
        compare.cases().iter().map(|case| case.name).collect()
    }

    #[test]
    fn everything_is_measured_without_a_filter() {
        let compare = compare(&[]).unwrap();
        assert_eq!(names(&compare).len(), CASES.len());
        assert!(compare.is_complete());
    }

    #[test]
    fn filters_keep_the_order_of_the_table() {
        let compare = compare(&["--case", "overload,predict", "--only", "echo"]).unwrap();
        assert_eq!(names(&compare), ["predict", "overload"]);
        assert_eq!(compare.only, [Contender::Echo]);
        assert!(!compare.is_complete());
    }

    #[test]
    fn unknown_words_and_no_time_are_errors() {
        let table: [&[&str]; 4] = [
            &["--case", "nonsense"],
            &["--only", "nonsense"],
            &["--seconds", "0"],
            &["--repeat", "0"],
        ];
        for words in table {
            assert!(compare(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn other_connections_leave_the_table_of_the_documents_alone() {
        assert!(!compare(&["--connections", "1,8"]).unwrap().is_complete());
    }

    #[test]
    fn chosen_keeps_the_order_of_all() {
        assert_eq!(chosen(&[1, 2, 3], &[3, 1, 9]), [1, 3]);
        assert_eq!(chosen(&[1, 2, 3], &[]), [1, 2, 3]);
    }
}
