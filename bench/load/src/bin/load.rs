//! Closed-loop load over HTTP/1.1: each connection sends the next request when it has the reply.
//!
//! A closed loop stops sending while the server stalls, so its latencies describe a server that is
//! never overloaded; `open_load` measures overload.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bench_load::tally::Tally;
use bench_load::{http, threads};
use clap::Parser;
use tokio::time::Instant;

/// Sends one POST repeatedly, and prints the figures as one line of JSON.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Address of the server
    #[arg(long)]
    address: SocketAddr,
    /// Path of the request
    #[arg(long)]
    path: String,
    /// File with the body
    #[arg(long)]
    body: PathBuf,
    /// Headers, as `Name: value`
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Number of connections, each with one request in flight
    #[arg(long)]
    connections: usize,
    /// Number of threads that share the connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Time to send
    #[arg(long)]
    seconds: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let address = arguments.address;
    let request = http::request(
        address,
        &arguments.path,
        &arguments.body,
        &arguments.headers,
    )?;
    let request: Arc<[u8]> = request.into();
    let tally = threads::run_threads(
        arguments.threads,
        arguments.connections,
        Duration::from_secs_f64(arguments.seconds),
        move |end| send(address, request.clone(), end),
    )?;
    println!("{}", tally.json());
    Ok(())
}

/// Sends requests on one connection until the end; the first failure ends the connection.
async fn send(address: SocketAddr, request: Arc<[u8]>, end: Instant) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let mut connection = http::Connection::open(address).await?;
    let mut now = Instant::now();
    while now < end {
        let result = connection.exchange(&request).await;
        now = tally.record(now)?;
        let error = match result {
            Ok(200) => continue,
            Ok(status) => anyhow!("status {status}: {}", connection.reply()),
            Err(error) => error,
        };
        tally.fail(&error);
        break;
    }
    Ok(tally)
}
