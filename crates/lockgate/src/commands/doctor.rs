//! `lockgate doctor`: reports the machine, the ONNX Runtime, and advice on problems.

use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use engines::onnx::probe::ProbeReport;

use crate::command_line::SettingArguments;
use crate::commands::table::table;
use crate::commands::{runtime, settings};
use crate::config::{Config, Environment};
use crate::host::Host;
use crate::{onnxruntime, output};

/// Prints the machine, every place that is searched for ONNX Runtime, and advice.
///
/// # Errors
/// When the settings are wrong, or models cannot be served on this machine.
pub(crate) fn run(arguments: &SettingArguments, environment: &Environment) -> Result<()> {
    let config = settings::read(arguments, environment)?;
    settings::note_unknown_variables(&config.unknown_variables);
    let host = Host::detect();
    print_host(&host, &config)?;
    let found = print_runtime(&config, environment);
    let providers = found.as_deref().unwrap_or_default();
    for line in advice(&host, config.cores, providers) {
        output::line(format_args!("advice: {line}"))?;
    }
    found?;
    output::line("everything that serving needs is here")?;
    Ok(())
}

fn print_host(host: &Host, config: &Config) -> Result<()> {
    let gibibytes = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let limit = host
        .memory_limit_bytes
        .map_or("no limit".to_owned(), gibibytes);
    let mut table = table(&["machine", ""]);
    table.add_row(["processor".to_owned(), host.processor.clone()]);
    table.add_row(["extensions".to_owned(), host.extensions.join(", ")]);
    let cores = format!("{} of {} on the host", host.cores, host.host_cores);
    table.add_row(["cores for this process".to_owned(), cores]);
    table.add_row(["cores planned for".to_owned(), config.cores.to_string()]);
    let memory = host.memory_bytes.map_or("unknown".to_owned(), gibibytes);
    table.add_row([
        "memory".to_owned(),
        format!("{memory} (container: {limit})"),
    ]);
    let gpu = if host.has_gpu {
        "NVIDIA driver found"
    } else {
        "none"
    };
    table.add_row(["gpu".to_owned(), gpu.to_owned()]);
    table.add_row([
        "data folder".to_owned(),
        config.data_dir.display().to_string(),
    ]);
    output::line(table)?;
    Ok(())
}

/// Prints the search for ONNX Runtime; returns the providers that run, or the problem that prevents
/// serving.
fn print_runtime(config: &Config, environment: &Environment) -> Result<Vec<String>> {
    let search_results = onnxruntime::search_results(config, environment);
    let mut table = table(&["ONNX Runtime, in search order", "found"]);
    for result in &search_results {
        let found = match &result.library {
            Ok(path) => path.display().to_string(),
            Err(reason) => reason.clone(),
        };
        table.add_row([result.source.to_string(), found]);
    }
    output::line(table)?;
    let chosen = search_results
        .iter()
        .find_map(|result| result.library.as_ref().ok());
    let Some(chosen) = chosen else {
        bail!("ONNX Runtime was not found; run `lockgate runtime install`");
    };
    match runtime::probe_in_child(chosen) {
        Ok(report) => {
            print_report(&report)?;
            let running = report.providers.into_iter().filter(|p| p.error.is_none());
            Ok(running.map(|provider| provider.name).collect())
        }
        Err(error) => bail!(
            "failed to load `{}`: {error:#}; run `lockgate runtime install`",
            chosen.display()
        ),
    }
}

fn print_report(report: &ProbeReport) -> Result<()> {
    let mut table = table(&["chosen", ""]);
    table.add_row(["library".to_owned(), report.library.display().to_string()]);
    table.add_row(["version".to_owned(), report.version.clone()]);
    for provider in &report.providers {
        let outcome = provider
            .error
            .clone()
            .unwrap_or_else(|| "runs a model".to_owned());
        table.add_row([format!("provider {}", provider.name), outcome]);
    }
    output::line(table)?;
    Ok(())
}

/// Returns advice for a faster machine, given the providers that run on it.
fn advice(host: &Host, cores: NonZeroUsize, providers: &[String]) -> Vec<String> {
    let install = |flavor: &str| match providers.iter().any(|name| name == flavor) {
        true => String::new(),
        false => format!("`lockgate runtime install --flavor {flavor}` and, "),
    };
    let mut advice = Vec::new();
    if cores > host.cores {
        advice.push(format!(
            "`cores` is {cores}, but the process may use {}; threads will wait for each other",
            host.cores
        ));
    }
    if host.has_bf16() {
        advice.push(format!(
            "this processor has bf16: {}in model.yaml, `provider: openvino` with \
             `options: {{precision: bf16}}` can make large networks several times faster; check \
             the accuracy",
            install("openvino")
        ));
    }
    if host.has_gpu {
        let install = install("cuda");
        advice.push(format!(
            "for the GPU: {install}in model.yaml, `provider: cuda`"
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_already_is_not_advised_to_be_installed() {
        let host = Host {
            has_gpu: true,
            ..Host::detect()
        };
        let gpu = |providers: &[&str]| {
            let providers: Vec<_> = providers.iter().map(ToString::to_string).collect();
            let mut lines = advice(&host, host.cores, &providers);
            lines.retain(|line| line.starts_with("for the GPU"));
            lines
        };
        let installed = "for the GPU: in model.yaml, `provider: cuda`";
        assert_eq!(gpu(&["cpu", "cuda"]), [installed]);
        let missing = "for the GPU: `lockgate runtime install --flavor cuda` and, in model.yaml, \
                       `provider: cuda`";
        assert_eq!(gpu(&["cpu", "openvino"]), [missing]);
    }
}
