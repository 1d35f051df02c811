//! Closed loop: each connection sends the next request when it has the reply.
//!
//! A closed loop stops sending while the server stalls, so its latencies describe a server that is
//! never overloaded; the open loop measures overload.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::{Result, Tally};

/// A connection that sends the same request again and again.
pub trait Client {
    /// Sends the request and waits for the whole reply. Called again only after a success.
    fn exchange(&mut self) -> impl Future<Output = Result<()>>;
}

/// A load in closed loop.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop {
    /// Connections, each with one request in flight.
    pub n_connections: usize,
    /// Threads that share the connections.
    pub n_threads: usize,
    /// The time to send; each connection sends at least one request.
    pub duration: Duration,
}

impl ClosedLoop {
    /// Opens the connections, sends for the whole time, and returns the sum of all threads.
    ///
    /// # Errors
    /// When a connection cannot be opened; a request that fails is counted, and ends its
    /// connection.
    pub fn run<C, F>(self, connect: impl Fn() -> F + Sync) -> Result<Tally>
    where
        C: Client,
        F: Future<Output = Result<C>> + 'static,
    {
        let connect = &connect;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.n_threads)
                .map(|index| scope.spawn(move || self.run_thread(index, connect)))
                .collect();
            let mut total = Tally::default();
            for thread in threads {
                total.add(thread.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok(total)
        })
    }

    /// Runs the connections of one thread to their end.
    fn run_thread<C, F>(self, index: usize, connect: impl Fn() -> F) -> Result<Tally>
    where
        C: Client,
        F: Future<Output = Result<C>> + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(LocalSet::new().run_until(async {
            let started = Instant::now();
            let end = started + self.duration;
            let mut tasks = JoinSet::<Result<_>>::new();
            for _ in 0..share(self.n_connections, self.n_threads, index) {
                let connection = connect();
                tasks.spawn_local(async move { Ok(send(connection.await?, end).await) });
            }
            let mut total = Tally::default();
            for tally in tasks.join_all().await {
                total.add(tally?);
            }
            total.elapsed = started.elapsed();
            Ok(total)
        }))
    }
}

/// Sends requests on one connection until the end; the first failure ends it.
async fn send(mut client: impl Client, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut sent = Instant::now();
    loop {
        let result = client.exchange().await;
        let now = Instant::now();
        tally.record(now - sent);
        tally.errors.extend(result.err());
        if now >= end || !tally.errors.is_empty() {
            return tally;
        }
        sent = now;
    }
}

/// Returns how many of `n` connections the thread with this index has.
fn share(n: usize, n_threads: usize, index: usize) -> usize {
    n / n_threads + usize::from(index < n % n_threads)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::generator::Error;

    /// A server in virtual time with these latencies, and no reply after the last.
    struct Latencies<I>(I);

    impl<I: Iterator<Item = u64>> Client for Latencies<I> {
        async fn exchange(&mut self) -> Result<()> {
            let latency_ms = self.0.next().ok_or(Error::Closed)?;
            sleep(Duration::from_millis(latency_ms)).await;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_is_sent_when_the_reply_is_there() {
        let client = Latencies([10, 20, 30].into_iter().cycle());
        let mut tally = send(client, Instant::now() + Duration::from_millis(600)).await;
        let summary = tally.summary();
        assert_eq!((summary.n_requests, summary.n_errors), (30, 0));
        assert_eq!((summary.p50_us, summary.p99_us), (20_000.0, 30_000.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_at_the_end_is_counted() {
        let end = Instant::now() + Duration::from_millis(25);
        let mut tally = send(Latencies([20; 9].into_iter()), end).await;
        assert_eq!(tally.summary().n_requests, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_ends_the_connection() {
        let end = Instant::now() + Duration::from_secs(60);
        let mut tally = send(Latencies([20; 9].into_iter()), end).await;
        let summary = tally.summary();
        assert_eq!((summary.n_requests, summary.n_errors), (10, 1));
    }

    #[test]
    fn every_connection_sends_and_every_thread_is_counted() {
        let load = ClosedLoop {
            n_connections: 5,
            n_threads: 2,
            duration: Duration::ZERO,
        };
        let connect = || async { Ok(Latencies([0].into_iter())) };
        assert_eq!(load.run(connect).unwrap().summary().n_requests, 5);
    }

    #[test]
    fn a_connection_that_cannot_be_opened_is_an_error() {
        let load = ClosedLoop {
            n_connections: 1,
            n_threads: 1,
            duration: Duration::ZERO,
        };
        let refuse = || async { Err::<Latencies<std::iter::Empty<u64>>, _>(Error::Closed) };
        assert!(load.run(refuse).is_err());
    }

    #[test]
    fn connections_are_shared_without_loss() {
        let shares: Vec<_> = (0..3).map(|index| share(8, 3, index)).collect();
        assert_eq!(shares, [3, 3, 2]);
    }
}
