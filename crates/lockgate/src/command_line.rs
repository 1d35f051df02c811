//! The command line: sub-commands, flags and their help texts.

mod operator;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};

use crate::config::Written;

pub(crate) use operator::{
    CompareArguments, ModelsArguments, ModelsCommand, RuleArguments, TrafficArguments,
    TrafficCommand, WrittenArm,
};

/// Serve machine-learning models over REST and gRPC.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, max_term_width = 100)]
#[command(after_help = "Examples:
  lockgate demo                          serve the example models and show what to try
  lockgate serve models/                 serve every model of a folder on port 8000
  lockgate serve digits.onnx --port 80   serve one file
  lockgate doctor                        check this machine")]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models until a signal comes
    #[command(after_help = "Examples:
  lockgate serve                                   the folder `models`, or what lockgate.yaml says
  lockgate serve models/ --host 0.0.0.0            reachable from other machines
  lockgate serve a.onnx b.onnx --grpc-port 8001    two files, gRPC on a port of its own
  LOCKGATE_LOG_FORMAT=json lockgate serve models/  settings are environment variables, too

Signals:
  SIGTERM, SIGINT   say \"not ready\", answer what was accepted, then end")]
    Serve(ServeArguments),
    /// Put example models in place, serve them, and print what to try
    #[command(after_help = "Examples:
  lockgate demo
  lockgate demo --port 9000 --repository my-models")]
    Demo(DemoArguments),
    /// Print every setting in force and where it came from
    #[command(after_help = "Examples:
  lockgate config                        the table of settings
  lockgate config --defaults             the commented default file, to start a lockgate.yaml
  lockgate config --model                the commented default model.yaml")]
    Config(ConfigArguments),
    /// Check this machine: cores, memory, GPU, ONNX Runtime, and what to do about problems
    Doctor(SettingArguments),
    /// Install and list the ONNX Runtime library
    Runtime(RuntimeArguments),
    /// Show and change what a running server serves
    #[command(after_help = "Examples:
  lockgate models list
  lockgate models pin digits 1           version 1 answers whatever versions come
  lockgate models label digits stable 1
  lockgate models rollback digits        back to what decided before the last change

Changes need a server with `--model-control`.")]
    Models(ModelsArguments),
    /// Show and change how requests are shared out between versions
    #[command(after_help = "Examples:
  lockgate traffic set digits 1=0.9 2=0.1 --hash md5
  lockgate traffic show digits
  lockgate traffic assign --hash md5 --arms control=0.5,treatment=0.5 user_42

Changes need a server with `--model-control`.")]
    Traffic(TrafficArguments),
    /// Run the same inputs through several versions: agreement, differences, latency, accuracy
    #[command(after_help = "Examples:
  lockgate compare digits --versions 1,2 --data examples/data/digits-test.csv
  lockgate compare digits --versions stable,2 --recorded 200 --html report.html
  lockgate compare digits --versions 1,2 --data items.jsonl --concurrency 8 --json

A CSV file has a header; its last column is taken for labels when it is called `label`. A JSON file
is a list of bodies of `/predict`, or has one on each line; a key `label` is its label. The first
version is the reference. Needs a server with `--model-control`.")]
    Compare(CompareArguments),
    /// Try out how a new version would take over from the one that serves
    Rollout(RolloutArguments),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  lockgate completions bash > /etc/bash_completion.d/lockgate
  lockgate completions zsh > ~/.zfunc/_lockgate")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The settings, and the file that holds more of them.
#[derive(Debug, Args)]
pub(crate) struct SettingArguments {
    /// Configuration file; `lockgate.yaml` is read when it is there [env: LOCKGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) written: Written,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Folders of models, or single model files; the same as `--repository`
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// Print the commented default file instead
    #[arg(long, conflicts_with = "model")]
    pub(crate) defaults: bool,
    /// Print the commented default `model.yaml` instead
    #[arg(long)]
    pub(crate) model: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RuntimeArguments {
    #[command(subcommand)]
    pub(crate) command: RuntimeCommand,
    /// Where Lockgate keeps what it installs [env: LOCKGATE_DATA_DIR]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// Get ONNX Runtime with pip and check that it loads
    #[command(after_help = "Examples:
  lockgate runtime install
  lockgate runtime install --flavor openvino    4 to 5 times faster on CPUs with AMX, in bf16")]
    Install {
        /// `cpu`, `openvino` or `cuda`
        #[arg(long, default_value = "cpu")]
        flavor: String,
        /// A version other than the tested one
        #[arg(long = "version", value_name = "V")]
        runtime_version: Option<String>,
        /// The Python whose pip is used
        #[arg(long, default_value = "python3", value_name = "PATH")]
        python: PathBuf,
    },
    /// List what is installed
    List,
    /// Load a library and print what it can do, as JSON
    #[command(hide = true)]
    Probe {
        /// The library
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RolloutArguments {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Play a rollout many times on a virtual clock: how likely promotion and rollback are
    #[command(after_help = "Examples:
  lockgate rollout simulate -f rollout.yaml --rps 200
  lockgate rollout simulate -f rollout.yaml --rps 50 --candidate-rate 0.02
  lockgate rollout simulate -f rollout.yaml --stable-rate errors=0.001 --candidate-rate slow=0.03

Without rates the candidate is like stable: 0.5 % errors, and as many slow requests as the
percentile of the metric says. Gates agree at once, and guards are quiet.")]
    Simulate(SimulateArguments),
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// The rollout file, YAML or JSON
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Requests for the model each second, both versions together
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rps: f64,
    /// How often a request to the stable version is an event: errors, or a metric by its name
    #[arg(long, value_name = "[METRIC=]RATE")]
    pub(crate) stable_rate: Vec<MetricRate>,
    /// The same of the candidate; for `shadow_differs`, how often a pair of answers differs
    #[arg(long, value_name = "[METRIC=]RATE")]
    pub(crate) candidate_rate: Vec<MetricRate>,
    /// How often the rollout is played
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) runs: u64,
    /// The same seed gives the same results
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A rate of one metric, or of errors when none is named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricRate {
    pub(crate) metric: Option<String>,
    pub(crate) rate: f64,
}

impl FromStr for MetricRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (metric, rate) = match text.split_once('=') {
            Some((metric, rate)) => (Some(metric.to_owned()), rate),
            None => (None, text),
        };
        let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
        let rate = rate.ok_or("expected a rate from 0 to 1, such as 0.005 or errors=0.005")?;
        Ok(Self { metric, rate })
    }
}
