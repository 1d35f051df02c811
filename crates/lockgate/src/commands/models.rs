//! `lockgate models`: shows and changes the models of a running server.

use anyhow::Result;
use api::history::History;
use api::model::{Model, ModelList};
use client::{Client, Method, path_segment};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::command_line::{ModelsArguments, ModelsCommand};
use crate::commands::connect::connect;
use crate::commands::reply::read;
use crate::commands::table::table;
use crate::commands::traffic::show_routing;
use crate::config::Environment;
use crate::output;

/// Runs a sub-command.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub(crate) fn run(arguments: &ModelsArguments, environment: &Environment) -> Result<()> {
    let client = connect(&arguments.server, environment)?;
    let answer = call(&client, &arguments.command)?;
    if arguments.server.json {
        output::line(format_args!("{answer:#}"))?;
        return Ok(());
    }
    match &arguments.command {
        ModelsCommand::List => output::line(model_table(&read(&answer)?))?,
        ModelsCommand::History { .. } => output::line(history_table(&read(&answer)?))?,
        ModelsCommand::Load {
            model,
            version: None,
        } => output::line(format_args!("loaded: {model}"))?,
        ModelsCommand::Unload {
            model,
            version: None,
        } => output::line(format_args!("unloaded: {model}"))?,
        ModelsCommand::Load { .. }
        | ModelsCommand::Unload { .. }
        | ModelsCommand::Pin { .. }
        | ModelsCommand::Unpin { .. }
        | ModelsCommand::Label { .. }
        | ModelsCommand::Unlabel { .. }
        | ModelsCommand::Rollback { .. } => show_routing(&answer)?,
    }
    Ok(())
}

fn call(client: &Client, command: &ModelsCommand) -> client::Result<Value> {
    let path = |model: &str, rest: &str| format!("/api/models/{}{rest}", path_segment(model));
    let whole = |model: &str, action| {
        let path = format!("/v2/repository/models/{}/{action}", path_segment(model));
        client.call(Method::POST, &path, None)
    };
    let one = |model: &str, version: &str, action| {
        let rest = format!("/versions/{}/{action}", path_segment(version));
        client.call(Method::POST, &path(model, &rest), None)
    };
    let choose = |path: &str, version: &str| {
        client.call(Method::PUT, path, Some(&json!({ "version": version })))
    };
    let label_path =
        |model: &str, label: &str| path(model, &format!("/labels/{}", path_segment(label)));
    match command {
        ModelsCommand::List => client.call(Method::GET, "/models", None),
        ModelsCommand::Load { model, version } => match version {
            Some(version) => one(model, version, "load"),
            None => whole(model, "load"),
        },
        ModelsCommand::Unload { model, version } => match version {
            Some(version) => one(model, version, "unload"),
            None => whole(model, "unload"),
        },
        ModelsCommand::Pin { model, version } => choose(&path(model, "/default"), version),
        ModelsCommand::Unpin { model } => {
            client.call(Method::DELETE, &path(model, "/default"), None)
        }
        ModelsCommand::Label {
            model,
            label,
            version,
        } => choose(&label_path(model, label), version),
        ModelsCommand::Unlabel { model, label } => {
            client.call(Method::DELETE, &label_path(model, label), None)
        }
        ModelsCommand::Rollback { model } => {
            client.call(Method::POST, &path(model, "/rollback"), None)
        }
        ModelsCommand::History { model, limit } => {
            let rest = format!("/history?limit={limit}");
            client.call(Method::GET, &path(model, &rest), None)
        }
    }
}

/// Formats one line for each version, and for each model without versions.
fn model_table(list: &ModelList) -> Table {
    let mut rows = table(&["model", "version", "state", "default", "labels", "reason"]);
    for model in &list.models {
        for version in &model.versions {
            let number = &version.version;
            let labels = model.labels.iter();
            let names: Vec<_> = labels
                .filter(|(_, labelled)| *labelled == number)
                .map(|(label, _)| label.as_str())
                .collect();
            rows.add_row([
                &*model.name,
                number,
                &version.state.to_string(),
                default_word(model, number),
                &names.join(", "),
                &version.reason,
            ]);
        }
        let reason = model.reason.as_deref().unwrap_or_default();
        // The reason of a model that is not ready repeats those of its versions.
        if model.versions.is_empty() || (model.ready && !reason.is_empty()) {
            rows.add_row([&model.name, "", "", "", "", reason]);
        }
        for warning in &model.warnings {
            rows.add_row([&model.name, "", "", "", "", warning]);
        }
    }
    rows
}

/// Returns what a version is for requests that name none.
fn default_word(model: &Model, version: &String) -> &'static str {
    match (&model.pinned, &model.latest) {
        (Some(pinned), _) if pinned == version => "pinned",
        (_, Some(latest)) if latest == version => "yes",
        _ => "",
    }
}

/// Formats one line for each change.
fn history_table(history: &History) -> Table {
    let mut rows = table(&["at", "actor", "what", "content"]);
    for line in &history.history {
        let content = line.fingerprint.as_deref().unwrap_or_default();
        rows.add_row([&line.at, &line.actor, &line.what, content]);
    }
    rows
}
