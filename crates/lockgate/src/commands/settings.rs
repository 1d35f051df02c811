//! `lockgate config`: every setting in force, and where it came from.

use anyhow::Result;
use comfy_table::Table;
use serde_json::Value;

use crate::command_line::{ConfigArguments, SettingArguments};
use crate::commands::table::table;
use crate::config::{Config, DEFAULT_FILE, Environment, Layers, resolve};

/// Prints the table of settings, or a commented default file.
///
/// # Errors
/// When a layer of the settings is wrong.
pub(crate) fn print(arguments: &ConfigArguments, environment: &Environment) -> Result<()> {
    if arguments.defaults {
        print!("{DEFAULT_FILE}");
        return Ok(());
    }
    if arguments.model {
        print!("{}", serving::DEFAULT_MODEL_SETTINGS);
        return Ok(());
    }
    let layers = layers(&arguments.settings, environment)?;
    resolve(&layers.merged()?, environment)?;
    println!("{}", overview(&layers));
    Ok(())
}

/// Reads all layers and resolves them.
///
/// # Errors
/// What is wrong with which setting, and where it stands.
pub(crate) fn read(arguments: &SettingArguments, environment: &Environment) -> Result<Config> {
    resolve(&layers(arguments, environment)?.merged()?, environment)
}

fn layers(arguments: &SettingArguments, environment: &Environment) -> Result<Layers> {
    let named = arguments.config.clone();
    let file = named.or_else(|| environment.path("LOCKGATE_CONFIG"));
    let layers = Layers::read(file.as_deref(), environment, &arguments.written)?;
    for name in layers.unknown_variables() {
        eprintln!("warning: {name} is no setting; `lockgate config` lists them");
    }
    Ok(layers)
}

fn overview(layers: &Layers) -> Table {
    let mut table = table(&["setting", "value", "from"]);
    for (key, value, source) in layers.entries() {
        table.add_row([key.clone(), show(value), source.to_string()]);
    }
    table
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(":"),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
