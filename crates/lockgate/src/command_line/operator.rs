//! The sub-commands of operators: `models`, `traffic` and `compare`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

/// The address of the server, and the format of its answer.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// The address of the server; `http://` may be left out
    /// [env: LOCKGATE_URL] [default: http://127.0.0.1:8000]
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List all models with their versions and labels
    List,
    /// Load a version, or read the folder of a model again; returns when it serves
    Load {
        /// The model
        model: String,
        /// The version; the whole model when left out
        version: Option<String>,
    },
    /// Stop serving a version or a model; accepted requests are answered
    Unload {
        /// The model
        model: String,
        /// The version; the whole model when left out
        version: Option<String>,
    },
    /// Let a version answer the requests that name none
    Pin {
        /// The model
        model: String,
        /// A version or a label
        version: String,
    },
    /// Let the highest version answer again; where new versions wait, the pinned one goes on
    Unpin {
        /// The model
        model: String,
    },
    /// Attach a label to a version, which is accepted wherever a version is
    Label {
        /// The model
        model: String,
        /// The label
        label: String,
        /// A version or another label
        version: String,
    },
    /// Remove a label
    Unlabel {
        /// The model
        model: String,
        /// The label
        label: String,
    },
    /// Restore the pin, the labels and the split before the last change
    Rollback {
        /// The model
        model: String,
    },
    /// Show the changes of a model and their actors, the newest first
    History {
        /// The model
        model: String,
        /// The number of changes to show
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrafficArguments {
    #[command(subcommand)]
    pub(crate) command: TrafficCommand,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrafficCommand {
    /// Show the routing rules of a model and the results of its split
    Show {
        /// The model
        model: String,
    },
    /// Split the requests that name no version
    #[command(after_help = "Examples:
  lockgate traffic set digits 1=0.9 2=0.1
  lockgate traffic set digits control:1=0.5 treatment:2=0.5 --hash md5
  lockgate traffic set digits 1=0.5 2=0.5 --unit header:x-user-id --fallback stable
  lockgate traffic set digits 2=0.5 1=0.5 --bandit")]
    Set {
        /// The model
        model: String,
        /// The arms: a version or a label with its weight, and optionally a name before it
        #[arg(required = true, value_name = "[NAME:]VERSION=WEIGHT")]
        arms: Vec<ArmArgument>,
        #[command(flatten)]
        rule: RuleArguments,
        /// The unit: a key of the body, `header:NAME`, `cookie:NAME` or `random`
        #[arg(long, default_value = "user_id", value_name = "UNIT")]
        unit: String,
        /// For requests without a unit: `random` or `stable`
        #[arg(long, default_value = "random", value_name = "WORD")]
        fallback: String,
        /// The header that forces an arm [default: no override]
        #[arg(long, value_name = "HEADER")]
        override_header: Option<String>,
        /// Let the weights follow the rewards of the arms
        #[arg(long)]
        bandit: bool,
    },
    /// Remove the split
    Clear {
        /// The model
        model: String,
    },
    /// Print the arms of units, without a server
    #[command(after_help = "Examples:
  lockgate traffic assign --hash md5 --arms control=0.5,treatment=0.5 user_1 user_42
  lockgate traffic assign --salt digits/traffic --arms 1=0.9,2=0.1 alice")]
    Assign {
        /// The arms in their order
        #[arg(
            long,
            required = true,
            value_delimiter = ',',
            value_name = "NAME=WEIGHT,..."
        )]
        arms: Vec<ArmArgument>,
        #[command(flatten)]
        rule: RuleArguments,
        /// The units
        #[arg(required = true, value_name = "UNIT")]
        units: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// The model
    pub(crate) model: String,
    /// The versions or labels, the reference first
    #[arg(long, required = true, value_delimiter = ',', value_name = "A,B,...")]
    pub(crate) versions: Vec<String>,
    /// The inputs: CSV with a header, JSON, or JSON lines
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "recorded",
        required_unless_present = "recorded"
    )]
    pub(crate) data: Option<PathBuf>,
    /// The column, or the key of an item, that holds the labels
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) label_column: Option<String>,
    /// The number of items to compare, 1000 at most
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) limit: usize,
    /// Compare on the next N requests of callers
    #[arg(long, value_name = "N")]
    pub(crate) recorded: Option<usize>,
    /// The longest time to record, in seconds
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub(crate) timeout: f64,
    /// Measure the throughput in a second run, with this many requests at once
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) concurrency: usize,
    /// The largest absolute difference of numbers that agree [default: 1e-5]
    #[arg(long, value_name = "X")]
    pub(crate) atol: Option<f64>,
    /// The largest difference relative to the number of the reference [default: 1e-3]
    #[arg(long, value_name = "X")]
    pub(crate) rtol: Option<f64>,
    /// The seed of the order of the versions, which is shuffled for each item
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Write a self-contained page with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

/// The rule that assigns a unit to an arm.
#[derive(Debug, Args)]
pub(crate) struct RuleArguments {
    /// `xxh3`, `md5`, `growthbook-v2` or `murmur3`
    #[arg(long, default_value = "xxh3", value_name = "HASH")]
    pub(crate) hash: String,
    /// The text that is hashed with the unit
    #[arg(long, value_name = "TEXT")]
    pub(crate) salt: Option<String>,
    /// The share of each arm's range that takes part
    #[arg(long, value_name = "SHARE")]
    pub(crate) coverage: Option<f64>,
}

/// An arm, such as `control:1=0.5`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ArmArgument {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) weight: f64,
}

impl FromStr for ArmArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            || "expected VERSION=WEIGHT or NAME:VERSION=WEIGHT, such as 2=0.1".to_owned();
        let (left, weight) = text.rsplit_once('=').ok_or_else(expected)?;
        let weight = weight.parse().map_err(|_| expected())?;
        let (name, version) = left.split_once(':').unwrap_or((left, left));
        if name.is_empty() || version.is_empty() {
            return Err(expected());
        }
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            weight,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_read_as_they_are_typed() {
        let read = |text: &str| {
            let arm: ArmArgument = text.parse().ok()?;
            Some((arm.name, arm.version, arm.weight))
        };
        let arm = |name: &str, version: &str, weight| Some((name.into(), version.into(), weight));
        assert_eq!(read("2=0.1"), arm("2", "2", 0.1));
        assert_eq!(read("control:v1.0=1"), arm("control", "v1.0", 1.0));
        for text in ["", "2", "=0.5", "2=", "2=half", ":2=0.5", "a:=0.5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
