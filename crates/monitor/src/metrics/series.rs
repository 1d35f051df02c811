//! The counters of versions, of dialects, and of the server.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{Code, ModelName, Timings, Version};

use super::admission::Admission;
use super::histogram::Histogram;
use super::rollouts::Rollouts;
use super::table::Table;

/// All series.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The version of the server.
    pub(crate) server_version: String,
    /// Log lines that could not be written, counted elsewhere.
    pub(crate) n_dropped_log_lines: Arc<AtomicU64>,
    /// Series by model, then by version, so that a look-up copies no key.
    models: Table<ModelName, Table<Version, VersionSeries>>,
    dialects: Table<&'static str, CallSeries>,
    pub(crate) admission: Admission,
    pub(crate) rollouts: Rollouts,
    /// Set while the store of shared rollouts answers; `None` without such a store.
    is_shared_state_up: Mutex<Option<bool>>,
}

impl Registry {
    pub(crate) fn new(server_version: &str, n_dropped_log_lines: Arc<AtomicU64>) -> Self {
        Self {
            server_version: server_version.to_owned(),
            n_dropped_log_lines,
            models: Table::default(),
            dialects: Table::default(),
            admission: Admission::default(),
            rollouts: Rollouts::default(),
            is_shared_state_up: Mutex::default(),
        }
    }

    /// Sets whether the store of shared rollouts answers.
    pub(crate) fn set_shared_state_up(&self, is_up: bool) {
        *self.shared_state() = Some(is_up);
    }

    /// Returns whether the store of shared rollouts answers.
    pub(crate) fn is_shared_state_up(&self) -> Option<bool> {
        *self.shared_state()
    }

    fn shared_state(&self) -> MutexGuard<'_, Option<bool>> {
        let state = self.is_shared_state_up.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the series of a version.
    pub(crate) fn version(&self, model: &ModelName, version: &Version) -> Arc<VersionSeries> {
        self.models.get_or_insert(model).get_or_insert(version)
    }

    /// Returns the series of a dialect.
    pub(crate) fn dialect(&self, dialect: &'static str) -> Arc<CallSeries> {
        self.dialects.get_or_insert(&dialect)
    }

    /// Drops the series of a version.
    pub(crate) fn remove(&self, model: &ModelName, version: &Version) {
        self.models.get_or_insert(model).remove(version);
    }

    /// Returns every series with its model and version, in order.
    pub(crate) fn versions(&self) -> Vec<(ModelName, Version, Arc<VersionSeries>)> {
        let mut all = Vec::new();
        for (model, versions) in self.models.sorted() {
            for (version, series) in versions.sorted() {
                all.push((model.clone(), version, series));
            }
        }
        all
    }

    /// Returns every series with its dialect, by name.
    pub(crate) fn dialects(&self) -> Vec<(&'static str, Arc<CallSeries>)> {
        self.dialects.sorted()
    }
}

/// The reasons for terminated runs.
const TERMINATIONS: [&str; 3] = ["deadline", "limit", "shutdown"];

/// The counters of one version.
#[derive(Debug)]
pub(crate) struct VersionSeries {
    pub(crate) outcomes: Outcomes,
    pub(crate) latency: Histogram,
    pub(crate) queue: Histogram,
    pub(crate) batch_rows: Histogram,
    pub(crate) batch_compute: Histogram,
    n_agreeing: AtomicU64,
    n_differing: AtomicU64,
    n_in_flight: AtomicI64,
    is_loaded: AtomicBool,
    load_nanos: AtomicU64,
    terminated: [AtomicU64; TERMINATIONS.len()],
    n_stuck: AtomicUsize,
}

impl Default for VersionSeries {
    fn default() -> Self {
        Self {
            outcomes: Outcomes::default(),
            latency: Histogram::of_seconds(),
            queue: Histogram::of_seconds(),
            batch_rows: Histogram::of_rows(),
            batch_compute: Histogram::of_seconds(),
            n_agreeing: AtomicU64::new(0),
            n_differing: AtomicU64::new(0),
            n_in_flight: AtomicI64::new(0),
            is_loaded: AtomicBool::new(false),
            load_nanos: AtomicU64::new(0),
            terminated: Default::default(),
            n_stuck: AtomicUsize::new(0),
        }
    }
}

impl VersionSeries {
    /// Records whether the version serves, and how long loading took.
    pub(crate) fn set_loaded(&self, is_loaded: bool, load_time: Option<Duration>) {
        self.is_loaded.store(is_loaded, Ordering::Relaxed);
        if let Some(time) = load_time {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.load_nanos.store(nanos, Ordering::Relaxed);
        }
    }

    /// Counts an admitted request.
    pub(crate) fn admit(&self) {
        self.n_in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a finished request. Its latency counts only when it was answered: a refusal is quick
    /// because nothing ran.
    pub(crate) fn finish(&self, error: Option<Code>, latency: Duration, timings: Option<Timings>) {
        self.outcomes.count(error);
        if error.is_none() {
            self.latency.observe_time(latency);
        }
        if let Some(timings) = timings {
            self.queue.observe_time(timings.queue);
        }
    }

    /// Takes back one [`Self::admit`].
    pub(crate) fn release(&self) {
        self.n_in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a batch.
    pub(crate) fn record_batch(&self, n_rows: usize, compute: Duration) {
        let n_rows = u64::try_from(n_rows).unwrap_or(u64::MAX);
        self.batch_rows.observe(n_rows);
        self.batch_compute.observe_time(compute);
    }

    /// Counts a terminated run.
    pub(crate) fn terminate_run(&self, reason: &str) {
        for (known, count) in TERMINATIONS.into_iter().zip(&self.terminated) {
            if known == reason {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns the terminated runs, by reason.
    pub(crate) fn terminated_runs(&self) -> Vec<(&'static str, u64)> {
        let counts = self.terminated.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        TERMINATIONS.into_iter().zip(counts).collect()
    }

    /// Records the number of stuck instances.
    pub(crate) fn set_stuck(&self, n_stuck: usize) {
        self.n_stuck.store(n_stuck, Ordering::Relaxed);
    }

    pub(crate) fn n_stuck(&self) -> usize {
        self.n_stuck.load(Ordering::Relaxed)
    }

    /// Counts a request of a batch that was run again alone.
    pub(crate) fn verify_batch(&self, agrees: bool) {
        let count = if agrees {
            &self.n_agreeing
        } else {
            &self.n_differing
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the requests of batches that were run again alone, by whether their answers agree.
    pub(crate) fn verifications(&self) -> Vec<(&'static str, u64)> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![
            ("true", read(&self.n_agreeing)),
            ("false", read(&self.n_differing)),
        ]
    }

    /// Returns the number of admitted, unfinished requests; below zero for a moment in which an end
    /// was seen before its beginning.
    pub(crate) fn n_in_flight(&self) -> i64 {
        self.n_in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Relaxed)
    }

    pub(crate) fn load_time(&self) -> Duration {
        Duration::from_nanos(self.load_nanos.load(Ordering::Relaxed))
    }
}

/// The counters of one dialect.
#[derive(Debug)]
pub(crate) struct CallSeries {
    pub(crate) outcomes: Outcomes,
    pub(crate) latency: Histogram,
}

impl Default for CallSeries {
    fn default() -> Self {
        Self {
            outcomes: Outcomes::default(),
            latency: Histogram::of_seconds(),
        }
    }
}

impl CallSeries {
    /// Counts an answered call.
    pub(crate) fn finish(&self, error: Option<Code>, latency: Duration) {
        self.outcomes.count(error);
        self.latency.observe_time(latency);
    }
}

/// Counts by outcome.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    success: AtomicU64,
    errors: [AtomicU64; Code::ALL.len()],
}

impl Outcomes {
    /// Counts one outcome.
    pub(crate) fn count(&self, error: Option<Code>) {
        let count = match error {
            None => Some(&self.success),
            Some(error) => self
                .errors()
                .find(|(code, _)| *code == error)
                .map(|(_, n)| n),
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the successes, which have no code, and every error that has happened.
    pub(crate) fn read(&self) -> Vec<(Option<Code>, u64)> {
        let mut outcomes = vec![(None, self.success.load(Ordering::Relaxed))];
        for (code, count) in self.errors() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                outcomes.push((Some(code), count));
            }
        }
        outcomes
    }

    fn errors(&self) -> impl Iterator<Item = (Code, &AtomicU64)> {
        Code::ALL.into_iter().zip(&self.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_count_of_its_own() {
        let outcomes = Outcomes::default();
        assert_eq!(outcomes.read(), [(None, 0)]);
        for (n, code) in Code::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| outcomes.count(Some(code)));
        }
        outcomes.count(None);
        let errors = Code::ALL.into_iter().map(Some).zip(1..);
        let expected: Vec<_> = [(None, 1)].into_iter().chain(errors).collect();
        assert_eq!(outcomes.read(), expected);
    }

    #[test]
    fn a_refusal_says_nothing_about_how_quick_the_model_is() {
        let series = VersionSeries::default();
        series.finish(Some(Code::QueueFull), Duration::from_micros(1), None);
        assert_eq!(series.latency.read().count, 0);
        series.finish(None, Duration::from_millis(5), Some(Timings::default()));
        assert_eq!(series.latency.read().count, 1);
        assert_eq!(series.queue.read().count, 1);
    }

    #[test]
    fn the_time_of_the_last_load_outlives_the_version() {
        let series = VersionSeries::default();
        series.set_loaded(true, Some(Duration::from_millis(20)));
        series.set_loaded(false, None);
        assert!(!series.is_loaded());
        assert_eq!(series.load_time(), Duration::from_millis(20));
    }

    #[test]
    fn versions_are_listed_by_model_and_version() {
        let registry = Registry::new("0", Arc::default());
        let name = |text| ModelName::new(text).unwrap();
        let version = |text| Version::new(text).unwrap();
        for (model, number) in [("b", "1"), ("a", "10"), ("a", "2"), ("b", "1")] {
            registry.version(&name(model), &version(number)).admit();
        }
        registry.remove(&name("c"), &version("1"));
        let listed = registry.versions().into_iter();
        let listed: Vec<_> = listed
            .map(|(model, version, series)| {
                (model.to_string(), version.to_string(), series.n_in_flight())
            })
            .collect();
        let expected = [("a", "2", 1), ("a", "10", 1), ("b", "1", 2)];
        let expected = expected.map(|(m, v, n)| (m.to_owned(), v.to_owned(), n));
        assert_eq!(listed, expected);
    }
}
