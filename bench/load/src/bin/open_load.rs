//! Open-loop load over HTTP/1.1: requests are sent by a schedule, independent of earlier replies.
//!
//! Decision: the generator follows a schedule and records the outcome of each request; rates and
//! deadlines are evaluated by the writer of the schedule. A separate thread waits for each send
//! time, because the timers of tokio count whole milliseconds.

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

/// The capacity of the channel between the clock thread and the connections.
const N_DUE: usize = 65_536;
/// The timeout of a reply.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time to open the first connections before the schedule begins.
const START: Duration = Duration::from_millis(200);
/// Connections that are open before the schedule begins.
const N_READY: usize = 32;

/// Sends one POST at each time of a schedule, and writes the outcome of each.
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
    /// File with the send times in microseconds from the start, one on each line, ascending
    #[arg(long)]
    schedule: PathBuf,
    /// File to write: one line for each request, `due sent done status`, times in microseconds;
    /// status 0 is a request without a reply
    #[arg(long)]
    records: PathBuf,
    /// Largest number of connections
    #[arg(long, default_value_t = 1024)]
    connections: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let schedule = std::fs::read_to_string(&arguments.schedule)
        .with_context(|| format!("cannot read {}", arguments.schedule.display()))?;
    let schedule: Vec<u64> = schedule
        .lines()
        .map(|line| {
            line.parse()
                .with_context(|| format!("invalid time: `{line}`"))
        })
        .collect::<Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let records =
        runtime.block_on(LocalSet::new().run_until(run_schedule(&arguments, schedule)))?;
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

/// Outcome of a request; times count from the start of the schedule.
#[derive(Debug)]
struct Record {
    due_us: u64,
    sent_us: u64,
    done_us: u64,
    status: u16,
}

/// State that requests in flight share.
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

/// Starts a thread that signals each send time when it is due.
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
