//! `Monitor`, the observer that counts events and exposes metrics.
//!
//! Rule: the series of a version exist from its first event until `VersionRemoved`, which is the
//! last one by contract.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use contract::{Event, ExpositionFormat, Observe, VersionState};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry as Families;

use crate::metrics::{Registry, Transition, prometheus_text};

/// The observer that turns events into metrics.
pub struct Monitor {
    registry: Arc<Registry>,
    families: Families,
}

impl Monitor {
    /// Returns a monitor without series for a server of this version.
    #[must_use]
    pub fn new(version: &str) -> Arc<Self> {
        Self::with_log_counter(version, Arc::default())
    }

    /// Returns such a monitor for a server whose log counts the lines that it could not write.
    #[must_use]
    pub fn with_log_counter(version: &str, n_dropped_log_lines: Arc<AtomicU64>) -> Arc<Self> {
        let registry = Arc::new(Registry::new(version, n_dropped_log_lines));
        let mut families = Families::default();
        families.register_collector(Box::new(Arc::clone(&registry)));
        Arc::new(Self { registry, families })
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Observe for Monitor {
    #[expect(clippy::too_many_lines, reason = "a table with one arm for each event")]
    fn observe(&self, event: &Event<'_>) {
        let registry = &self.registry;
        match *event {
            Event::VersionChanged {
                model,
                version,
                state,
                load_time,
            } => {
                let is_loaded = state == VersionState::Ready;
                registry
                    .version(model, version)
                    .set_loaded(is_loaded, load_time);
            }
            Event::VersionRemoved { model, version } => registry.remove(model, version),
            Event::RequestAdmitted { model, version } => registry.version(model, version).admit(),
            Event::RequestFinished {
                model,
                version,
                was_admitted,
                error,
                latency,
                timings,
            } => {
                let series = registry.version(model, version);
                series.finish(error, latency, timings);
                if was_admitted {
                    series.release();
                }
            }
            Event::BatchExecuted {
                model,
                version,
                n_rows,
                n_requests: _,
                compute,
            } => registry
                .version(model, version)
                .record_batch(n_rows, compute),
            Event::BatchVerified {
                model,
                version,
                agrees,
            } => registry.version(model, version).verify_batch(agrees),
            Event::RunTerminated {
                model,
                version,
                reason,
            } => registry.version(model, version).terminate_run(reason),
            Event::InstancesStuck {
                model,
                version,
                n_stuck,
            } => registry.version(model, version).set_stuck(n_stuck),
            Event::RolloutTransitioned {
                rollout,
                model,
                from,
                to,
                reason,
            } => {
                let transition = Transition { from, to, reason };
                registry
                    .rollouts
                    .record_transition(rollout, model, transition);
            }
            Event::RolloutNotified { model, outcome } => {
                registry.rollouts.record_notification(model, outcome);
            }
            Event::SharedStateChecked { is_reachable } => {
                registry.set_shared_state_up(is_reachable);
            }
            Event::RolloutMeasured(reading) => registry.rollouts.record_reading(reading),
            Event::SchedulingMeasured(readings) => registry.admission.record(readings),
            Event::CallFinished {
                dialect,
                error,
                latency,
            } => registry.dialect(dialect).finish(error, latency),
        }
    }

    fn exposition(&self, format: ExpositionFormat) -> String {
        let mut body = String::new();
        // Writing into a `String` cannot fail; the encoder itself fails only where the format
        // forbids a name, and ours are fixed. The part written so far is then still the best
        // answer.
        let _complete = text::encode(&mut body, &self.families);
        match format {
            ExpositionFormat::Text => prometheus_text(&body),
            ExpositionFormat::OpenMetrics => body,
        }
    }
}

#[cfg(test)]
mod tests;
