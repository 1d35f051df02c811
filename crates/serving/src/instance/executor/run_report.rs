//! The report of a run, from which the scheduler learns.

use tokio::time;

use crate::batch::policy::types::RunReport;
use crate::batch::queue::QueuedRequest;
use crate::instance::watch::WatchedSession;
use crate::instance::{Answer, Job};

/// Builds the report of a run for the scheduler.
pub(super) fn report(answers: &[Answer]) -> RunReport {
    let timings = answers.first().map(|answer| answer.timings);
    RunReport {
        n_rows: timings.map_or(0, |timings| timings.batch_rows),
        time: timings
            .map(|timings| timings.compute_input + timings.compute + timings.compute_output),
        n_requests: answers.len(),
        ..RunReport::default()
    }
}

/// Builds the report of a failed run for the scheduler: a terminated run takes at least as long.
pub(super) fn ended(session: &WatchedSession, n_rows: usize) -> RunReport {
    RunReport {
        n_rows,
        time: session.terminated_after(),
        ..RunReport::default()
    }
}

/// Adds how many requests of the run had a deadline, and how many were late.
pub(super) fn with_deadlines(report: RunReport, jobs: &[QueuedRequest<Job>]) -> RunReport {
    let deadlines = || jobs.iter().filter_map(|job| job.deadline);
    if deadlines().next().is_none() {
        return report;
    }
    let now = time::Instant::now().into_std();
    RunReport {
        n_due: deadlines().count(),
        n_late: deadlines().filter(|deadline| *deadline < now).count(),
        ..report
    }
}
