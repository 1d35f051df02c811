//! `lockgate compare`: runs the same inputs through several versions of a running server.

mod data;
mod print;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::comparison::ComparisonReport;
use client::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::data::Data;
use crate::command_line::CompareArguments;
use crate::commands::connect::connect;
use crate::commands::reply::read;
use crate::config::Environment;
use crate::output;

/// The interval between two frames of the spinner: ten frames a second look smooth.
const TICK: Duration = Duration::from_millis(100);

/// Compares versions and shows the report.
///
/// # Errors
/// When the data cannot be read, the server cannot be reached or refuses, or the page cannot be
/// written.
pub(crate) fn run(arguments: &CompareArguments, environment: &Environment) -> Result<()> {
    let (body, waiting_for) = body(arguments)?;
    let client = connect(&arguments.server, environment)?;
    let spinner = spinner(waiting_for);
    let answer = client.call(Method::POST, "/api/compare", Some(&body));
    spinner.finish_and_clear();
    let answer = answer?;
    let report: ComparisonReport = read(&answer)?;
    if let Some(file) = &arguments.html {
        let page = report::comparison::page(&report);
        fs::write(file, page).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    match arguments.server.json {
        true => output::line(format_args!("{answer:#}"))?,
        false => print::print(&report)?,
    }
    if let (Some(file), false) = (&arguments.html, arguments.server.json) {
        output::line(format_args!(
            "the report with plots is in {}",
            file.display()
        ))?;
    }
    Ok(())
}

/// Builds the body of the request, and the message of the spinner.
fn body(arguments: &CompareArguments) -> Result<(Value, String)> {
    let mut body = json!({
        "model": arguments.model,
        "versions": arguments.versions,
        "concurrency": arguments.concurrency,
        "seed": arguments.seed,
    });
    let Some(keys) = body.as_object_mut() else {
        bail!("internal: the body of the request is not an object");
    };
    let tolerances = [("atol", arguments.atol), ("rtol", arguments.rtol)];
    for (key, value) in tolerances {
        if let Some(value) = value {
            keys.insert(key.to_owned(), json!(value));
        }
    }
    if let Some(n_requests) = arguments.recorded {
        keys.insert("recorded".to_owned(), json!(n_requests));
        keys.insert("timeout_s".to_owned(), json!(arguments.timeout));
        return Ok((body, format!("waiting for {n_requests} requests")));
    }
    let Some(file) = &arguments.data else {
        bail!("inputs are missing; give `--data FILE` or `--recorded N`");
    };
    let mut data = Data::read(file, arguments.label_column.as_deref())?;
    let n_all = data.items.len();
    data.truncate(arguments.limit);
    if data.items.len() < n_all {
        output::note(format_args!(
            "comparing the first {} of {n_all} items; `--limit` changes the number",
            data.items.len()
        ));
    }
    let waiting_for = format!("comparing on {} items", data.items.len());
    keys.insert("items".to_owned(), Value::Array(data.items));
    if !data.labels.is_empty() {
        keys.insert("labels".to_owned(), Value::Array(data.labels));
    }
    Ok((body, waiting_for))
}

/// Starts a spinner, which is shown only on a terminal.
fn spinner(message: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
        spinner.set_style(style);
    }
    spinner.set_message(message);
    spinner.enable_steady_tick(TICK);
    spinner
}
