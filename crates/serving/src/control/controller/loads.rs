//! The loads in progress.
//!
//! Rule: one load starts after another, so that two large models rarely need memory for both at
//! once. A load that takes longer than [`SLOW`] no longer holds up the others, of which
//! [`MAX_LOADS`] may be in progress. A load that reaches the time limit has failed: its run is
//! ended, and its thread, which nobody can end, is abandoned. Recovery: a failed artifact is loaded
//! again when it changes, or when a load is requested. Rejected: loading all models at once, which
//! needs the most memory exactly when the server starts.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use contract::{Code, Error, Result};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use super::memory::resident_bytes;
use crate::catalog::cancellation::LoadCancellation;
use crate::catalog::version::VersionLoader;
use crate::control::snapshot::{Load, ReleaseSignal, ServedVersion};
use crate::control::state::LoadJob;

/// The time after which other loads may start: most models are loaded by then.
const SLOW: Duration = Duration::from_secs(10);

/// The most loads in progress at the same time.
const MAX_LOADS: usize = 4;

/// The result of a load.
pub(super) type LoadResult = Result<(Arc<ServedVersion>, ReleaseSignal)>;

/// A load that has ended, or has reached its limit.
pub(super) type FinishedLoad = (LoadJob, LoadResult);

/// The loads in progress.
#[derive(Debug)]
pub(super) struct Loads {
    limit: Duration,
    running: Vec<RunningLoad>,
}

#[derive(Debug)]
struct RunningLoad {
    job: LoadJob,
    started: Instant,
    is_slow: bool,
    cancellation: Arc<LoadCancellation>,
    task: JoinHandle<LoadResult>,
}

impl RunningLoad {
    /// Returns the next time at which something has to be done about it.
    fn due(&self, limit: Duration) -> Instant {
        let wait = match self.is_slow {
            true => limit,
            false => limit.min(SLOW),
        };
        self.started + wait
    }
}

impl Loads {
    /// Creates the state without loads. None may take longer than `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            running: Vec::new(),
        }
    }

    /// Returns whether another load may start.
    pub(super) fn can_start(&self) -> bool {
        self.running.len() < MAX_LOADS && self.running.iter().all(|load| load.is_slow)
    }

    /// Starts a load on a thread that may block.
    pub(super) fn start(&mut self, job: LoadJob, version_loader: &Arc<VersionLoader>) {
        let cancellation = Arc::new(LoadCancellation::default());
        let started = Instant::now();
        let task = {
            let (version_loader, job) = (Arc::clone(version_loader), job.clone());
            let cancellation = Arc::clone(&cancellation);
            tokio::task::spawn_blocking(move || load(&version_loader, &job, &cancellation, started))
        };
        self.running.push(RunningLoad {
            job,
            started,
            is_slow: false,
            cancellation,
            task,
        });
    }

    /// Waits for the end of a load, or until a load takes long and another one may start, which is
    /// `None`; forever when nothing is loading.
    pub(super) async fn next(&mut self) -> Option<FinishedLoad> {
        let due = self.running.iter().map(|load| load.due(self.limit)).min();
        let Some(due) = due else {
            return future::pending().await;
        };
        let finished = future::poll_fn(|ctx| {
            let mut loads = self.running.iter_mut().enumerate();
            let finished =
                loads.find_map(|(index, load)| match Pin::new(&mut load.task).poll(ctx) {
                    Poll::Ready(result) => Some((index, result)),
                    Poll::Pending => None,
                });
            finished.map_or(Poll::Pending, Poll::Ready)
        });
        let finished = tokio::select! {
            finished = finished => Some(finished),
            () = time::sleep_until(due) => None,
        };
        let Some((index, result)) = finished else {
            return self.check_times();
        };
        let load = self.running.swap_remove(index);
        let result = result.unwrap_or_else(|error| {
            let sentence = "the engine failed while loading; see the server log";
            Err(Error::new(Code::EngineFailed, sentence).with_diagnostic(error.to_string()))
        });
        Some((load.job, result))
    }

    /// Marks slow loads, and ends one that has reached the limit.
    fn check_times(&mut self) -> Option<FinishedLoad> {
        let now = Instant::now();
        let limit = self.limit;
        let mut loads = self.running.iter();
        if let Some(index) = loads.position(|load| now >= load.started + limit) {
            let load = self.running.swap_remove(index);
            load.cancellation.cancel();
            let error = Error::new(
                Code::EngineFailed,
                format!(
                    "the load was given up after {} ms, its time limit (`load_timeout_ms`)",
                    limit.as_millis()
                ),
            );
            return Some((load.job, Err(error)));
        }
        for load in &mut self.running {
            if !load.is_slow && now >= load.started + SLOW {
                load.is_slow = true;
                let (model, version) = (&load.job.model, &load.job.version);
                tracing::warn!(%model, %version, "loading model version takes long");
            }
        }
        None
    }
}

/// Loads a version. Blocks.
fn load(
    version_loader: &VersionLoader,
    job: &LoadJob,
    cancellation: &LoadCancellation,
    started: Instant,
) -> LoadResult {
    let memory = resident_bytes();
    let loaded_version =
        version_loader.open(&job.model, &job.version, &job.artifact, cancellation)?;
    let time = started.elapsed();
    let load = Load {
        time,
        // Few loads overlap, so most of the growth belongs to this one.
        memory_bytes: resident_bytes()
            .zip(memory)
            .map(|(now, before)| now.saturating_sub(before)),
    };
    Ok(ServedVersion::new(loaded_version, load))
}

#[cfg(test)]
mod tests;
