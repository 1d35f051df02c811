//! Threads that divide connections among them.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::tally::Tally;

/// Starts the threads; each runs `send` once for each of its connections, on its own runtime, with
/// the time at which to stop. Returns the sum of their tallies.
pub fn run_threads<F>(
    n_threads: usize,
    n_connections: usize,
    duration: Duration,
    send: impl Fn(Instant) -> F + Clone + Send + 'static,
) -> Result<Tally>
where
    F: Future<Output = Result<Tally>> + 'static,
{
    let threads: Vec<_> = (0..n_threads)
        .map(|thread| {
            let send = send.clone();
            let n_connections = share(n_connections, n_threads, thread);
            std::thread::spawn(move || run_connections(n_connections, duration, send))
        })
        .collect();
    let mut total = Tally::new()?;
    for thread in threads {
        let tally = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
        total.add(&tally?)?;
    }
    Ok(total)
}

/// Runs the connections of one thread to their end.
fn run_connections<F>(
    n_connections: usize,
    duration: Duration,
    send: impl Fn(Instant) -> F,
) -> Result<Tally>
where
    F: Future<Output = Result<Tally>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(LocalSet::new().run_until(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..n_connections)
            .map(|_| tokio::task::spawn_local(send(started + duration)))
            .collect();
        let mut total = Tally::new()?;
        for task in tasks {
            total.add(&task.await??)?;
        }
        total.elapsed = started.elapsed();
        Ok(total)
    }))
}

/// Returns how many of `n` connections the thread with this index has.
fn share(n: usize, n_threads: usize, index: usize) -> usize {
    n / n_threads + usize::from(index < n % n_threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_without_loss() {
        let shares: Vec<_> = (0..3).map(|index| share(8, 3, index)).collect();
        assert_eq!(shares, [3, 3, 2]);
    }
}
