//! Closed-loop load over HTTP/1.1; `open_load` measures overload.

use std::sync::Arc;

use anyhow::Result;
use bench_load::arguments::{HttpRequest, Load};
use clap::Parser;
use loadtest::generator::http::Client;

/// Sends one POST repeatedly, and prints the figures as one line of JSON.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    request: HttpRequest,
    #[command(flatten)]
    load: Load,
}

fn main() -> Result<()> {
    let Arguments { request, load } = Arguments::parse();
    let bytes: Arc<[u8]> = request.bytes()?.into();
    load.run(|| Client::connect(request.address, bytes.clone()))
}
