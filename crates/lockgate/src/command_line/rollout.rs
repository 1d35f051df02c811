//! `lockgate rollout`: its sub-commands, flags and help texts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use api::rollout::RolloutState;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{self, StringDeserializer};

use super::ServerArguments;

/// The states that `wait` accepts: the final ones, and those that are useful in scripts.
const WAIT_STATES: [RolloutState; 7] = [
    RolloutState::Step,
    RolloutState::Held,
    RolloutState::Soak,
    RolloutState::Completed,
    RolloutState::RolledBack,
    RolloutState::Aborted,
    RolloutState::Failed,
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
    /// List the rollouts of the server, running ones first
    List,
    /// Show the state of a rollout and what it waits for
    Status {
        /// The rollout
        rollout: String,
    },
    /// Watch a rollout until it has ended
    #[command(
        after_help = "Prints a line for each transition: its time, states, reason and actor.
On a terminal a table below the lines shows every number with its limit, updated every second.
Reconnects when the connection breaks."
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
        /// The number of transitions to show
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
    },
    /// Open the gates before the next weight, or take it without a verdict
    Promote(ActionArguments),
    /// Freeze the weight; a worse candidate is still rolled back
    Hold(ActionArguments),
    /// Continue after a hold
    Resume(ActionArguments),
    /// Give all traffic back to stable, because the candidate is worse
    Rollback(ActionArguments),
    /// Give all traffic back to stable, without a judgement on the candidate
    Abort(ActionArguments),
    /// Wait until a rollout has reached a state, for scripts
    #[command(after_help = "Examples:
  lockgate rollout wait digits-2                       until it has completed, at most 1 h
  lockgate rollout wait digits-2 --timeout 2h
  lockgate rollout wait digits-2 --for soak

Exit codes:
  0   the rollout reached the state
  3   it was rolled back
  4   it did not reach the state in time, for example because it is held
  5   it ended otherwise: aborted, or failed
  1   the server does not know the rollout, or cannot be reached")]
    Wait(WaitArguments),
    /// Simulate a rollout many times and print the probabilities of promotion and rollback
    #[command(after_help = "Examples:
  lockgate rollout simulate -f rollout.yaml --rps 200
  lockgate rollout simulate -f rollout.yaml --rps 50 --candidate-rate 0.02
  lockgate rollout simulate -f rollout.yaml --stable-rate errors=0.001 --candidate-rate slow=0.03

Without rates the candidate equals stable: 0.5 % errors, and as many slow requests as the
percentile of the metric implies. Gates agree at once, and guards do not trip. Needs no server.")]
    Simulate(SimulateArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ActionArguments {
    /// The rollout
    pub(crate) rollout: String,
    /// The reason, for the history
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) reason: String,
    /// The generation that you have seen; the action is refused if the rollout has changed since
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArguments {
    /// The rollout
    pub(crate) rollout: String,
    /// The state to wait for
    #[arg(
        long = "for",
        default_value_t = RolloutState::Completed,
        value_name = "STATE",
        value_parser = wait_state()
    )]
    pub(crate) target_state: RolloutState,
    /// The longest time to wait, such as 90s, 30m or 2h
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(crate) timeout: WaitTime,
}

/// Returns the parser of a state to wait for.
fn wait_state() -> impl TypedValueParser<Value = RolloutState> {
    let words = PossibleValuesParser::new(WAIT_STATES.map(RolloutState::as_str));
    words.try_map(|word| {
        let word: StringDeserializer<value::Error> = word.into_deserializer();
        RolloutState::deserialize(word)
    })
}

/// A duration such as `90s`, `30m` or `1h30m`.
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
    /// The event rate of the stable version: of errors, or of the named metric
    #[arg(long, value_name = "[METRIC=]RATE")]
    pub(crate) stable_rate: Vec<MetricRate>,
    /// The same for the candidate; for `shadow_differs`, the rate of pairs that differ
    #[arg(long, value_name = "[METRIC=]RATE")]
    pub(crate) candidate_rate: Vec<MetricRate>,
    /// The number of simulated runs
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) runs: u64,
    /// The seed; the same seed gives the same results
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
