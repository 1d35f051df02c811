//! `lockgate config`: prints every setting in force, and its source.

use anyhow::Result;
use comfy_table::Table;
use serde_json::Value;
use storage::RedisAddress;

use crate::command_line::{ConfigArguments, SettingArguments};
use crate::commands::table::table;
use crate::config::{Config, DEFAULT_FILE, Environment, Layers, resolve};
use crate::output;

/// Prints the table of settings, or a commented default file.
///
/// # Errors
/// When a layer of the settings is invalid.
pub(crate) fn print(arguments: &ConfigArguments, environment: &Environment) -> Result<()> {
    if arguments.defaults {
        output::text(DEFAULT_FILE)?;
        return Ok(());
    }
    if arguments.model {
        output::text(serving::DEFAULT_MODEL_SETTINGS)?;
        return Ok(());
    }
    let layers = layers(&arguments.settings, environment)?;
    note_unknown_variables(layers.unknown_variables());
    resolve(&layers.merged()?, environment)?;
    output::line(overview(&layers))?;
    Ok(())
}

/// Reads all layers and resolves them.
///
/// # Errors
/// The invalid setting with its source, and what would be right.
pub(crate) fn read(arguments: &SettingArguments, environment: &Environment) -> Result<Config> {
    let layers = layers(arguments, environment)?;
    Ok(Config {
        unknown_variables: layers.unknown_variables().to_vec(),
        ..resolve(&layers.merged()?, environment)?
    })
}

fn layers(arguments: &SettingArguments, environment: &Environment) -> Result<Layers> {
    let named = arguments.config.clone();
    let file = named.or_else(|| environment.path("LOCKGATE_CONFIG"));
    Layers::read(file.as_deref(), environment, &arguments.raw)
}

/// Warns of environment variables that look like settings; a server does so in its log.
pub(super) fn note_unknown_variables(names: &[String]) {
    for name in names {
        output::note(format_args!(
            "warning: `{name}` is not a setting; `lockgate config` lists all settings"
        ));
    }
}

fn overview(layers: &Layers) -> Table {
    let mut table = table(&["setting", "value", "from"]);
    for (key, value, source) in layers.entries() {
        let shown = match key.as_str() {
            "redis" => without_password(value),
            _ => show(value),
        };
        table.add_row([key.clone(), shown, source.to_string()]);
    }
    table
}

/// Shows an address that was checked before.
fn without_password(value: &Value) -> String {
    let address = value.as_str().map(RedisAddress::parse);
    match address {
        Some(Ok(address)) => address.to_string(),
        Some(Err(_)) => "***".to_owned(),
        None => show(value),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(":"),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
