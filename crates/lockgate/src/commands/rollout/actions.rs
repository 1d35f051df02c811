//! The sub-commands that need one call each.

use std::fs;

use anyhow::{Context, Result};
use client::{Client, Method};
use serde_json::{Map, Value, json};

use super::{path, show};
use crate::command_line::{ActionArguments, RolloutCommand};
use crate::output;

/// Calls the server for a sub-command and shows the answer.
///
/// # Errors
/// When the file cannot be read, or the server cannot be reached or refuses.
pub(super) fn run(client: &Client, command: &RolloutCommand, is_json: bool) -> Result<()> {
    let get = |path: &str| client.call(Method::GET, path, None);
    let (answer, text): (Value, fn(&Value) -> String) = match command {
        RolloutCommand::Start { file } => {
            let name = file.display();
            let file = fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?;
            let started = client.call_with_text(Method::POST, "/api/rollouts", file);
            (started.with_context(|| format!("`{name}`"))?, show::status)
        }
        RolloutCommand::List => (get("/api/rollouts")?, show::list),
        RolloutCommand::Status { rollout } => (get(&path(rollout, ""))?, show::status),
        RolloutCommand::Evidence { rollout } => (get(&path(rollout, "/evidence"))?, show::evidence),
        RolloutCommand::Transitions { rollout, limit } => {
            let rest = format!("/transitions?limit={limit}");
            (get(&path(rollout, &rest))?, show::transitions)
        }
        RolloutCommand::Promote(arguments) => (action(client, arguments, "promote")?, show::status),
        RolloutCommand::Hold(arguments) => (action(client, arguments, "hold")?, show::status),
        RolloutCommand::Resume(arguments) => (action(client, arguments, "resume")?, show::status),
        RolloutCommand::Rollback(arguments) => {
            (action(client, arguments, "rollback")?, show::status)
        }
        RolloutCommand::Abort(arguments) => (action(client, arguments, "abort")?, show::status),
        // These need more than one call.
        RolloutCommand::Watch { .. } | RolloutCommand::Wait(_) | RolloutCommand::Simulate(_) => {
            return Ok(());
        }
    };
    match is_json {
        true => output::line(format_args!("{answer:#}"))?,
        false => output::line(text(&answer))?,
    }
    Ok(())
}

fn action(client: &Client, arguments: &ActionArguments, action: &str) -> client::Result<Value> {
    let mut body = Map::new();
    body.insert("reason".to_owned(), json!(arguments.reason));
    if let Some(generation) = arguments.generation {
        body.insert("generation".to_owned(), json!(generation));
    }
    let path = path(&arguments.rollout, &format!("/{action}"));
    client.call(Method::POST, &path, Some(&Value::Object(body)))
}
