//! Open-loop load over HTTP/1.1: requests leave by a schedule, whatever became of earlier ones.
//!
//! Decision: this plays a schedule and writes down what happened to each request, and knows
//! nothing of rates or deadlines; who wrote the schedule judges. A thread of its own waits for
//! each time to send, because the timers of tokio count whole milliseconds.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_load::http::{self, Connection};
use clap::Parser;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

/// Requests that may wait between the clock and the sockets.
const N_DUE: usize = 65_536;
/// How long a reply may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time to open the first connections before the schedule begins.
const START: Duration = Duration::from_millis(200);
/// Connections that are open before the schedule begins.
const N_READY: usize = 32;

/// Sends one POST at each time of a schedule, and writes what became of each.
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
    /// File with the times to send, in microseconds from the start, one a line, ascending
    #[arg(long)]
    schedule: PathBuf,
    /// File to write: one line for each request, `due sent done status`, times in microseconds;
    /// status 0 is a request without a reply
    #[arg(long)]
    records: PathBuf,
    /// The most connections
    #[arg(long, default_value_t = 1024)]
    connections: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let schedule = std::fs::read_to_string(&arguments.schedule)
        .with_context(|| format!("cannot read {}", arguments.schedule.display()))?;
    let schedule: Vec<u64> = schedule
        .lines()
        .map(|line| line.parse().with_context(|| format!("no time: {line}")))
        .collect::<Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let records = runtime.block_on(LocalSet::new().run_until(run_schedule(&arguments, schedule)))?;
    let mut text = String::new();
    for record in &records {
        let Record {
            due_us,
            sent_us,
            done_us,
            status,
        } = record;
        writeln!(text, "{due_us} {sent_us} {done_us} {status}")?;
    }
    std::fs::write(&arguments.records, text)
        .with_context(|| format!("cannot write {}", arguments.records.display()))?;
    println!("{{\"n_requests\":{}}}", records.len());
    Ok(())
}

/// What became of a request; times since the start of the schedule.
#[derive(Debug)]
struct Record {
    due_us: u64,
    sent_us: u64,
    done_us: u64,
    status: u16,
}

/// What the requests under way share.
struct Sender {
    address: SocketAddr,
    request: Vec<u8>,
    started: Instant,
    idle: RefCell<Vec<Connection>>,
    records: RefCell<Vec<Record>>,
    /// One permit for each connection that may be open.
    permits: Semaphore,
}

async fn run_schedule(arguments: &Arguments, schedule: Vec<u64>) -> Result<Vec<Record>> {
    let address = arguments.address;
    let mut idle = Vec::new();
    for _ in 0..N_READY.min(arguments.connections) {
        idle.push(Connection::open(address).await?);
    }
    let sender = Rc::new(Sender {
        address,
        request: http::request(
            address,
            &arguments.path,
            &arguments.body,
            &arguments.headers,
        )?,
        started: Instant::now() + START,
        idle: RefCell::new(idle),
        records: RefCell::new(Vec::with_capacity(schedule.len())),
        permits: Semaphore::new(arguments.connections),
    });
    let mut due = start_clock(sender.started, schedule);
    let mut under_way = tokio::task::JoinSet::new();
    while let Some(due_us) = due.recv().await {
        under_way.spawn_local(Rc::clone(&sender).send(due_us));
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
    Ok(std::mem::take(&mut *sender.records.borrow_mut()))
}

/// A thread that says each time when it has come.
fn start_clock(started: Instant, schedule: Vec<u64>) -> mpsc::Receiver<u64> {
    let (tx, rx) = mpsc::channel(N_DUE);
    std::thread::spawn(move || {
        for due_us in schedule {
            let due = started + Duration::from_micros(due_us);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if tx.blocking_send(due_us).is_err() {
                return;
            }
        }
    });
    rx
}

impl Sender {
    async fn send(self: Rc<Self>, due_us: u64) {
        let _permit = self.permits.acquire().await;
        let sent_us = self.now_us();
        let status = match tokio::time::timeout(TIMEOUT, self.exchange()).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) | Err(_) => 0,
        };
        let record = Record {
            due_us,
            sent_us,
            done_us: self.now_us(),
            status,
        };
        self.records.borrow_mut().push(record);
    }

    /// Uses an idle connection, or opens one; a connection that failed is not used again.
    async fn exchange(&self) -> Result<u16> {
        let mut connection = match self.idle_connection() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let status = connection.exchange(&self.request).await?;
        self.idle.borrow_mut().push(connection);
        Ok(status)
    }

    fn idle_connection(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn now_us(&self) -> u64 {
        let now = Instant::now().saturating_duration_since(self.started);
        u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
    }
}
