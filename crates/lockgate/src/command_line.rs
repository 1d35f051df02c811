//! The command line: sub-commands, flags and their help texts.

mod operator;
mod rollout;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::RawConfig;

pub(crate) use operator::{
    ArmArgument, CompareArguments, ModelsArguments, ModelsCommand, RuleArguments, ServerArguments,
    TrafficArguments, TrafficCommand,
};
pub(crate) use rollout::{
    ActionArguments, MetricRate, RolloutArguments, RolloutCommand, SimulateArguments, WaitArguments,
};

/// Serve machine-learning models over REST and gRPC.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, max_term_width = 100)]
#[command(after_help = "Examples:
  lockgate demo                          serve example models and print commands to try
  lockgate serve models/                 serve every model of a folder on port 8000
  lockgate serve digits.onnx --port 80   serve one file
  lockgate doctor                        check this machine")]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models until a signal arrives
    #[command(after_help = "Examples:
  lockgate serve                                   the folder `models`, or that of lockgate.yaml
  lockgate serve models/ --host 0.0.0.0            reachable from other machines
  lockgate serve a.onnx b.onnx --grpc-port 8001    two files, gRPC on a port of its own
  LOCKGATE_LOG_FORMAT=json lockgate serve models/  settings are environment variables, too

Signals:
  SIGTERM, SIGINT   stop being ready, answer the accepted requests, then exit")]
    Serve(ServeArguments),
    /// Write example models, serve them, and print commands to try
    #[command(after_help = "Examples:
  lockgate demo
  lockgate demo --port 9000 --repository my-models")]
    Demo(DemoArguments),
    /// Print every setting in force and its source
    #[command(after_help = "Examples:
  lockgate config                        the table of settings
  lockgate config --defaults             the commented default file, to start a lockgate.yaml
  lockgate config --model                the commented default model.yaml")]
    Config(ConfigArguments),
    /// Check this machine: cores, memory, GPU, ONNX Runtime, and what to do about problems
    Doctor(SettingArguments),
    /// Install and list the ONNX Runtime library
    Runtime(RuntimeArguments),
    /// Show and change the models of a running server
    #[command(after_help = "Examples:
  lockgate models list
  lockgate models pin digits 1           version 1 answers, even when newer ones arrive
  lockgate models label digits stable 1
  lockgate models rollback digits        undo the last change of pin, labels or split

Changes need a server with `--model-control`.")]
    Models(ModelsArguments),
    /// Show and change the traffic split between versions
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

A CSV file has a header; its last column holds the labels when it is called `label`. A JSON file
is a list of bodies of `/predict`, or has one on each line; a key `label` is its label. The first
version is the reference. Needs a server with `--model-control`.")]
    Compare(CompareArguments),
    /// Replace the stable version by a candidate, step by step
    #[command(after_help = "Examples:
  lockgate rollout simulate -f rollout.yaml --rps 200    predict the outcome, without a server
  lockgate rollout start -f rollout.yaml
  lockgate rollout watch digits-2                        print transitions and the evidence
  lockgate rollout wait digits-2 --timeout 2h            for scripts: 0 when it has completed
  lockgate rollout rollback digits-2 --reason \"too many complaints\"

Changes need a server with `--model-control`.")]
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

/// The settings, and the configuration file.
#[derive(Debug, Args)]
pub(crate) struct SettingArguments {
    /// Configuration file; `lockgate.yaml` is read if it exists [env: LOCKGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) raw: RawConfig,
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
    /// Folder for the libraries that Lockgate installs [env: LOCKGATE_DATA_DIR]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// Install ONNX Runtime with pip and check that it loads
    #[command(after_help = "Examples:
  lockgate runtime install
  lockgate runtime install --flavor openvino    4 to 5 times faster on CPUs with AMX, in bf16")]
    Install {
        /// `cpu`, `openvino` or `cuda`
        #[arg(long, default_value = "cpu")]
        flavor: String,
        /// The version to install [default: the tested one]
        #[arg(long = "version", value_name = "V")]
        runtime_version: Option<String>,
        /// The Python that runs pip
        #[arg(long, default_value = "python3", value_name = "PATH")]
        python: PathBuf,
    },
    /// List the installed versions
    List,
    /// Load a library and print its version and providers as JSON
    #[command(hide = true)]
    Probe {
        /// The library
        file: PathBuf,
    },
}
