//! Arguments that several generators share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use clap::Args;
use loadtest::generator::closed_loop::{Client, ClosedLoop};

/// An HTTP request.
#[derive(Debug, Args)]
pub struct HttpRequest {
    /// Address of the server
    #[arg(long)]
    pub address: SocketAddr,
    /// Path of the request
    #[arg(long)]
    path: String,
    /// File with the body
    #[arg(long)]
    body: PathBuf,
    /// Headers, as `Name: value`
    #[arg(long = "header")]
    headers: Vec<String>,
}

impl HttpRequest {
    /// Returns the whole request.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let body = std::fs::read(&self.body)
            .with_context(|| format!("cannot read {}", self.body.display()))?;
        Ok(loadtest::post(
            self.address,
            &self.path,
            &self.headers,
            &body,
        ))
    }
}

/// A load in closed loop.
#[derive(Debug, Args)]
pub struct Load {
    /// Number of connections, each with one request in flight
    #[arg(long)]
    connections: usize,
    /// Number of threads that share the connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Time to send; 0 sends one request on each connection
    #[arg(long)]
    seconds: f64,
}

impl Load {
    /// Sends the load, and prints the summary as one line of JSON, below any errors.
    pub fn run<C, F>(&self, connect: impl Fn() -> F + Sync) -> Result<()>
    where
        C: Client,
        F: Future<Output = loadtest::generator::Result<C>> + 'static,
    {
        let load = ClosedLoop {
            n_connections: self.connections,
            n_threads: self.threads,
            duration: Duration::from_secs_f64(self.seconds),
        };
        let mut tally = load.run(connect)?;
        let summary = tally.summary();
        for error in tally.errors {
            eprintln!("{:#}", Error::from(error));
        }
        println!("{}", serde_json::to_string(&summary)?);
        Ok(())
    }
}
