//! The sub-commands that need one call each.

use std::fs;

use anyhow::{Context, Result};
use api::rollout::ActionBody;
use client::{Client, Method};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{path, show};
use crate::command_line::{ActionArguments, RolloutCommand};
use crate::commands::reply::read;
use crate::output;

/// Calls the server for a sub-command and shows the answer.
///
/// # Errors
/// When the file cannot be read, or the server cannot be reached or refuses.
pub(super) fn run(client: &Client, command: &RolloutCommand, is_json: bool) -> Result<()> {
    let get = |path: &str| client.call(Method::GET, path, None);
    let action = |arguments, action| {
        let status = apply_action(client, arguments, action)?;
        print(&status, is_json, show::status)
    };
    match command {
        RolloutCommand::Start { file } => {
            let name = file.display();
            let file = fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?;
            let started = client.call_with_text(Method::POST, "/api/rollouts", file);
            let started = started.with_context(|| format!("`{name}`"))?;
            print(&started, is_json, show::status)
        }
        RolloutCommand::List => {
            let list = |all: &Vec<_>| show::list(all);
            print(&get("/api/rollouts")?, is_json, list)
        }
        RolloutCommand::Status { rollout } => {
            print(&get(&path(rollout, ""))?, is_json, show::status)
        }
        RolloutCommand::Evidence { rollout } => {
            print(&get(&path(rollout, "/evidence"))?, is_json, show::evidence)
        }
        RolloutCommand::Transitions { rollout, limit } => {
            let path = path(rollout, &format!("/transitions?limit={limit}"));
            let list = |all: &Vec<_>| show::transitions(all);
            print(&get(&path)?, is_json, list)
        }
        RolloutCommand::Promote(arguments) => action(arguments, "promote"),
        RolloutCommand::Hold(arguments) => action(arguments, "hold"),
        RolloutCommand::Resume(arguments) => action(arguments, "resume"),
        RolloutCommand::Rollback(arguments) => action(arguments, "rollback"),
        RolloutCommand::Abort(arguments) => action(arguments, "abort"),
        // These need more than one call.
        RolloutCommand::Watch { .. } | RolloutCommand::Wait(_) | RolloutCommand::Simulate(_) => {
            Ok(())
        }
    }
}

/// Prints a reply as it came, or the text of its document.
fn print<T: DeserializeOwned>(
    reply: &Value,
    is_json: bool,
    text: impl FnOnce(&T) -> String,
) -> Result<()> {
    match is_json {
        true => output::line(format_args!("{reply:#}"))?,
        false => output::line(text(&read(reply)?))?,
    }
    Ok(())
}

fn apply_action(
    client: &Client,
    arguments: &ActionArguments,
    action: &str,
) -> client::Result<Value> {
    let body = ActionBody {
        reason: arguments.reason.clone(),
        generation: arguments.generation,
    };
    let path = path(&arguments.rollout, &format!("/{action}"));
    client.call(Method::POST, &path, Some(&json!(body)))
}
