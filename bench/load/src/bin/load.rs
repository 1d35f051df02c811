//! Closed-loop load over HTTP/1.1: each connection sends the next request when it has the reply.
//!
//! Decision: the request is built once and the reply is read with a bare parser, so that the
//! client takes as little as possible of the cores that it shares with the server. A closed loop
//! stops sending while the server stalls, so its latencies describe a server that is never
//! overloaded; it says nothing about overload.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Longest latency that is told apart.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Sends one POST again and again, and prints the figures as one line of JSON.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Where the server listens
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
    /// Connections, each with one request under way
    #[arg(long)]
    connections: usize,
    /// Threads that share the connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How long to send
    #[arg(long)]
    seconds: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let request = request(&arguments)?;
    let threads: Vec<_> = (0..arguments.threads)
        .map(|thread| {
            let (arguments, request) = (arguments.clone(), request.clone());
            let n_connections = share(arguments.connections, arguments.threads, thread);
            std::thread::spawn(move || drive(&arguments, request, n_connections))
        })
        .collect();
    let mut total = Tally::new()?;
    for thread in threads {
        let tally = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
        total.add(&tally?)?;
    }
    println!("{}", total.json());
    Ok(())
}

/// How many of `n` connections the thread with this index has.
fn share(n: usize, n_threads: usize, index: usize) -> usize {
    n / n_threads + usize::from(index < n % n_threads)
}

fn request(arguments: &Arguments) -> Result<Vec<u8>> {
    let body = std::fs::read(&arguments.body)
        .with_context(|| format!("cannot read {}", arguments.body.display()))?;
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n",
        arguments.path,
        arguments.address,
        body.len()
    );
    for header in &arguments.headers {
        head += &format!("{header}\r\n");
    }
    head += "\r\n";
    Ok([head.into_bytes(), body].concat())
}

/// What one thread or all of them saw.
struct Tally {
    latency_us: Histogram<u64>,
    n_errors: u64,
    elapsed: Duration,
}

impl Tally {
    fn new() -> Result<Self> {
        let latency_us = Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)?;
        Ok(Self {
            latency_us,
            n_errors: 0,
            elapsed: Duration::ZERO,
        })
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.latency_us.add(&other.latency_us)?;
        self.n_errors += other.n_errors;
        self.elapsed = self.elapsed.max(other.elapsed);
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "n_requests": self.latency_us.len(),
            "seconds": self.elapsed.as_secs_f64(),
            "n_errors": self.n_errors,
            "p50_us": self.latency_us.value_at_quantile(0.5),
            "p99_us": self.latency_us.value_at_quantile(0.99),
        })
    }
}

/// Runs the connections of one thread to their end.
fn drive(arguments: &Arguments, request: Vec<u8>, n_connections: usize) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address = arguments.address;
    let duration = Duration::from_secs_f64(arguments.seconds);
    let request: std::rc::Rc<[u8]> = request.into();
    runtime.block_on(LocalSet::new().run_until(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..n_connections)
            .map(|_| tokio::task::spawn_local(send(address, request.clone(), started + duration)))
            .collect();
        let mut total = Tally::new()?;
        for task in tasks {
            total.add(&task.await??)?;
        }
        total.elapsed = started.elapsed();
        Ok(total)
    }))
}

/// Sends on one connection until the end; the first failure ends the connection.
async fn send(address: SocketAddr, request: std::rc::Rc<[u8]>, end: Instant) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut now = Instant::now();
    while now < end {
        let status = exchange(&mut stream, &request, &mut buffer).await;
        let done = Instant::now();
        let latency_us = u64::try_from((done - now).as_micros())?;
        tally.latency_us.saturating_record(latency_us.max(1));
        now = done;
        match status {
            Ok(200) => {}
            Ok(status) => {
                eprintln!("status {status}: {}", String::from_utf8_lossy(&buffer));
                tally.n_errors += 1;
                break;
            }
            Err(error) => {
                eprintln!("{error:#}");
                tally.n_errors += 1;
                break;
            }
        }
    }
    Ok(tally)
}

/// Sends the request and reads the whole reply into `buffer`; returns its status.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<u16> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        if let Some(reply) = parse(buffer)?
            && buffer.len() >= reply.n_bytes
        {
            return Ok(reply.status);
        }
    }
}

/// What the head of a reply tells.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    /// Length of head and body.
    n_bytes: usize,
}

/// Reads the head of a reply; nothing when it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<Reply>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(n_head_bytes) = response.parse(bytes)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("the reply has no `content-length`")?;
    let n_body_bytes: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some(Reply {
        status: response.code.context("the reply has no status")?,
        n_bytes: n_head_bytes + n_body_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_as_long_as_its_head_and_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\n";
        let expected = Reply {
            status: 200,
            n_bytes: head.len() + 5,
        };
        assert_eq!(parse(head.as_bytes()).unwrap(), Some(expected));
        assert_eq!(parse(&head.as_bytes()[..20]).unwrap(), None);
    }

    #[test]
    fn a_reply_of_unknown_length_is_an_error() {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(parse(head).is_err());
    }

    #[test]
    fn connections_are_shared_without_loss() {
        let shares: Vec<_> = (0..3).map(|index| share(8, 3, index)).collect();
        assert_eq!(shares, [3, 3, 2]);
    }
}
