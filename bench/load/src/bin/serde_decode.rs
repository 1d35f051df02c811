//! Time of `serde_json` to parse a picture into nested vectors, as most Rust servers do.
//!
//! Decision: the body is parsed whole, as `{"data": [[[[...]]]]}` into `Vec<Vec<..>>` of `f32`, on
//! one thread, repeatedly; the median counts.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde::Deserialize;

/// Parses a body repeatedly, and prints the median time in microseconds.
#[derive(Debug, Parser)]
struct Arguments {
    /// File with the body
    #[arg(long)]
    body: PathBuf,
    /// Time to parse
    #[arg(long)]
    seconds: f64,
}

/// Rows of pictures: row, channel, line, column.
#[derive(Debug, Deserialize)]
struct Pictures {
    data: Vec<Vec<Vec<Vec<f32>>>>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let body = std::fs::read(&arguments.body)
        .with_context(|| format!("cannot read {}", arguments.body.display()))?;
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let mut times_us = Vec::new();
    while Instant::now() < end {
        let started = Instant::now();
        let pictures: Pictures = serde_json::from_slice(black_box(&body))?;
        times_us.push(u64::try_from(started.elapsed().as_micros())?);
        if black_box(pictures).data.is_empty() {
            bail!("the body has no rows");
        }
    }
    times_us.sort_unstable();
    let p50_us = times_us.get(times_us.len() / 2).context("too short")?;
    println!(
        "{}",
        serde_json::json!({ "p50_us": p50_us, "n": times_us.len() })
    );
    Ok(())
}
