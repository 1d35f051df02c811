//! Counters of one version behind the statistics endpoints.
//!
//! Decision: a separate mutex, held for a few additions. A request locks it once when it ends, a
//! batch once when it has run, and a reader copies; nothing is ever reset.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use contract::{BatchStatistics, CountAndTime, ModelName, Timings, Version, VersionStatistics};

/// The most batch sizes that are listed one by one. Models that do not batch accept requests of any
/// size, and callers must not be able to grow the list without end; 1024 covers every batch size
/// that pays off.
const MAX_BATCH_SIZES: usize = 1024;

/// The counters of one version.
#[derive(Debug)]
pub(crate) struct VersionCounters(Mutex<VersionStatistics>);

impl VersionCounters {
    /// Creates counters of a version without requests.
    pub(crate) fn new(model: ModelName, version: Version) -> Self {
        Self(Mutex::new(VersionStatistics::new(model, version)))
    }

    /// Counts a run of the engine.
    pub(crate) fn record_execution(&self, timings: &Timings, at: SystemTime) {
        let mut counters = self.lock();
        counters.n_executions += 1;
        counters.last_inference = Some(at);
        if let Some(batch) = batch_of(&mut counters.batches, timings.batch_rows) {
            add(&mut batch.compute_input, timings.compute_input);
            add(&mut batch.compute, timings.compute);
            add(&mut batch.compute_output, timings.compute_output);
        }
    }

    /// Counts an answered request, which is charged the whole time of its batch.
    pub(crate) fn record_success(&self, n_rows: usize, latency: Duration, timings: &Timings) {
        let mut counters = self.lock();
        counters.n_rows += u64::try_from(n_rows).unwrap_or(u64::MAX);
        add(&mut counters.success, latency);
        add(&mut counters.queue, timings.queue);
        add(&mut counters.compute_input, timings.compute_input);
        add(&mut counters.compute, timings.compute);
        add(&mut counters.compute_output, timings.compute_output);
    }

    /// Counts a request that failed after admission.
    pub(crate) fn record_failure(&self, latency: Duration) {
        add(&mut self.lock().fail, latency);
    }

    /// Returns a copy of the counters.
    pub(crate) fn snapshot(&self) -> VersionStatistics {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, VersionStatistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sum: &mut CountAndTime, time: Duration) {
    sum.count += 1;
    sum.total = sum.total.saturating_add(time);
}

fn batch_of(batches: &mut Vec<BatchStatistics>, batch_rows: usize) -> Option<&mut BatchStatistics> {
    let index = match batches.binary_search_by_key(&batch_rows, |batch| batch.batch_rows) {
        Ok(index) => index,
        Err(_) if batches.len() >= MAX_BATCH_SIZES => return None,
        Err(index) => {
            let batch = BatchStatistics {
                batch_rows,
                ..BatchStatistics::default()
            };
            batches.insert(index, batch);
            index
        }
    };
    batches.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> VersionCounters {
        VersionCounters::new(ModelName::new("m").unwrap(), Version::new("1").unwrap())
    }

    fn timings(batch_rows: usize) -> Timings {
        Timings {
            queue: Duration::from_millis(1),
            compute_input: Duration::from_millis(2),
            compute: Duration::from_millis(3),
            compute_output: Duration::from_millis(4),
            batch_rows,
        }
    }

    #[test]
    fn requests_are_charged_their_whole_batch_and_batches_counted_by_size() {
        let counters = counters();
        for batch_rows in [8, 2, 8] {
            counters.record_execution(&timings(batch_rows), SystemTime::UNIX_EPOCH);
        }
        counters.record_success(5, Duration::from_millis(10), &timings(8));
        counters.record_success(3, Duration::from_millis(11), &timings(8));
        counters.record_failure(Duration::from_millis(7));

        let seen = counters.snapshot();
        let sum = |count, millis| CountAndTime {
            count,
            total: Duration::from_millis(millis),
        };
        assert_eq!((seen.n_rows, seen.n_executions), (8, 3));
        assert_eq!(seen.last_inference, Some(SystemTime::UNIX_EPOCH));
        assert_eq!((seen.success, seen.fail), (sum(2, 21), sum(1, 7)));
        assert_eq!((seen.queue, seen.compute_input), (sum(2, 2), sum(2, 4)));
        assert_eq!((seen.compute, seen.compute_output), (sum(2, 6), sum(2, 8)));
        let batches: Vec<_> = seen
            .batches
            .iter()
            .map(|batch| (batch.batch_rows, batch.compute))
            .collect();
        assert_eq!(batches, [(2, sum(1, 3)), (8, sum(2, 6))]);
    }

    #[test]
    fn callers_cannot_grow_the_list_of_batch_sizes_without_end() {
        let counters = counters();
        for batch_rows in 0..MAX_BATCH_SIZES + 5 {
            counters.record_execution(&timings(batch_rows), SystemTime::UNIX_EPOCH);
        }
        let seen = counters.snapshot();
        assert_eq!(seen.batches.len(), MAX_BATCH_SIZES);
        assert_eq!(seen.n_executions, 1029);
    }
}
