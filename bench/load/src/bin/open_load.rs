//! Open-loop load over HTTP/1.1: sends by a schedule, and writes a record of each request.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bench_load::arguments::HttpRequest;
use clap::Parser;
use loadtest::generator::open_loop;

/// Sends one POST at each time of a schedule, and writes the outcome of each.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    request: HttpRequest,
    /// JSON file with the send times in microseconds from the start, ascending
    #[arg(long)]
    schedule: PathBuf,
    /// JSON file to write, with the records of all requests
    #[arg(long)]
    records: PathBuf,
    /// Largest number of connections
    #[arg(long, default_value_t = 1024)]
    connections: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let schedule = std::fs::read(&arguments.schedule)
        .with_context(|| format!("cannot read {}", arguments.schedule.display()))?;
    let schedule = serde_json::from_slice(&schedule).context("invalid schedule")?;
    let request = &arguments.request;
    let records = open_loop::run(
        request.address,
        request.bytes()?,
        schedule,
        arguments.connections,
    )?;
    std::fs::write(&arguments.records, serde_json::to_vec(&records)?)
        .with_context(|| format!("cannot write {}", arguments.records.display()))
}
