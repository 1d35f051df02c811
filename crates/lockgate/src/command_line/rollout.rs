//! `lockgate rollout`: its sub-commands, flags and help texts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ServerArguments;

/// Where a rollout can be waited for: the ends, and the places that a script may want.
const WAIT_STATES: [&str; 7] = [
    "step",
    "held",
    "soak",
    "completed",
    "rolled_back",
    "aborted",
    "failed",
];

#[derive(Debug, Args)]
pub(crate) struct RolloutArguments {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Start the rollout of a file
    #[command(after_help = "Examples:
  lockgate rollout start -f rollout.yaml
  lockgate rollout start -f rollout.yaml --url http://models.internal:8000")]
    Start {
        /// The rollout file, YAML or JSON
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// List the rollouts of the server, those that run first
    List,
    /// Show where a rollout stands and what it waits for
    Status {
        /// The rollout
        rollout: String,
    },
    /// Follow a rollout until it has ended
    #[command(
        after_help = "Prints a line for each move: when, from where to where, why, and who.
On a terminal a table below them shows every number beside its limit, and is drawn again each
second. When the connection breaks it connects again."
    )]
    Watch {
        /// The rollout
        rollout: String,
    },
    /// Show every number with its limit
    Evidence {
        /// The rollout
        rollout: String,
    },
    /// Show the transitions of a rollout, the newest first
    Transitions {
        /// The rollout
        rollout: String,
        /// How many transitions to show
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
    },
    /// Open the gates before the next weight, or take it without a verdict
    Promote(ActionArguments),
    /// Freeze the weight; a candidate that is worse still goes back
    Hold(ActionArguments),
    /// Go on after a hold
    Resume(ActionArguments),
    /// Back to stable: the candidate is worse
    Rollback(ActionArguments),
    /// Back to stable: never mind
    Abort(ActionArguments),
    /// Wait until a rollout has come somewhere, for scripts
    #[command(after_help = "Examples:
  lockgate rollout wait digits-2                       until it has completed, at most 1 h
  lockgate rollout wait digits-2 --timeout 2h
  lockgate rollout wait digits-2 --for soak

Exit codes:
  0   it came there
  3   it was rolled back
  4   it did not come there in time, for example because it is held
  5   it ended otherwise: aborted, or failed
  1   the server does not know it")]
    Wait(WaitArguments),
    /// Play a rollout many times on a virtual clock: how likely promotion and rollback are
    #[command(after_help = "Examples:
  lockgate rollout simulate -f rollout.yaml --rps 200
  lockgate rollout simulate -f rollout.yaml --rps 50 --candidate-rate 0.02
  lockgate rollout simulate -f rollout.yaml --stable-rate errors=0.001 --candidate-rate slow=0.03

Without rates the candidate is like stable: 0.5 % errors, and as many slow requests as the
percentile of the metric says. Gates agree at once, and guards are quiet. No server is needed.")]
    Simulate(SimulateArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ActionArguments {
    /// The rollout
    pub(crate) rollout: String,
    /// Why, for the record
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) reason: String,
    /// The generation that you have looked at; refused when the rollout has moved on
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArguments {
    /// The rollout
    pub(crate) rollout: String,
    /// Where it should come
    #[arg(
        long = "for",
        default_value = "completed",
        value_name = "STATE",
        value_parser = WAIT_STATES
    )]
    pub(crate) target_state: String,
    /// How long to wait, such as 90s, 30m or 2h
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(crate) timeout: WaitTime,
}

/// `90s`, `30m`, `1h30m`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitTime(pub(crate) Duration);

impl FromStr for WaitTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = text.parse().ok();
        let time = time.and_then(|time: jiff::SignedDuration| Duration::try_from(time).ok());
        time.map(Self)
            .ok_or_else(|| "expected a time such as 90s, 30m or 1h30m".to_owned())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_typed() {
        let read = |text: &str| text.parse::<WaitTime>().ok().map(|time| time.0.as_secs());
        let rows = [
            ("90s", Some(90)),
            ("2h", Some(7200)),
            ("1h30m", Some(5400)),
            ("", None),
            ("-5s", None),
            ("soon", None),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
