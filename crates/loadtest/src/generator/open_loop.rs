//! Open loop over HTTP/1.1: requests are sent by a schedule, independent of earlier replies.
//!
//! Decision: the generator follows a schedule and records the outcome of each request; rates and
//! deadlines are evaluated from the records. A separate thread waits for each send time, because
//! the timers of tokio count whole milliseconds.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::Result;
use super::http::Connection;
use crate::records::Record;

/// The capacity of the channel between the clock thread and the connections.
const N_DUE: usize = 65_536;
/// The timeout of a reply.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time to open the first connections before the schedule begins.
const START: Duration = Duration::from_millis(200);
/// Connections that are open before the schedule begins.
const N_READY: usize = 32;

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

/// Sends the request at each time of a schedule, in microseconds from the start and ascending, on
/// at most `n_connections`; returns one record for each, in the order of the replies.
///
/// # Errors
/// When the first connections cannot be opened; a request that fails has a record.
pub fn run(
    address: SocketAddr,
    request: Vec<u8>,
    schedule: Vec<u64>,
    n_connections: usize,
) -> Result<Vec<Record>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(LocalSet::new().run_until(async {
        let mut idle = Vec::new();
        for _ in 0..N_READY.min(n_connections) {
            idle.push(Connection::open(address).await?);
        }
        let sender = Rc::new(Sender {
            address,
            request,
            started: Instant::now() + START,
            idle: RefCell::new(idle),
            records: RefCell::new(Vec::with_capacity(schedule.len())),
            permits: Semaphore::new(n_connections),
        });
        let mut due = start_clock(sender.started, schedule);
        let mut under_way = JoinSet::new();
        while let Some(due_us) = due.recv().await {
            under_way.spawn_local(Rc::clone(&sender).send(due_us));
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
        Ok(sender.records.take())
    }))
}

/// Starts a thread that signals each send time when it is due.
fn start_clock(started: Instant, schedule: Vec<u64>) -> mpsc::Receiver<u64> {
    let (tx, rx) = mpsc::channel(N_DUE);
    thread::spawn(move || {
        for due_us in schedule {
            let due = started + Duration::from_micros(due_us);
            thread::sleep(due.saturating_duration_since(Instant::now()));
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
