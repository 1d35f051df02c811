//! Records of an open loop, and their evaluation.
//!
//! Decision: latency counts from the time at which a request should have been sent, so that a
//! stalling server is charged for the requests that arrive meanwhile. A refusal counts from the
//! actual send time, because its speed depends on the server alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latency::quantile;

/// The delay of a request after which it counts as sent late by the client.
const LATE_SEND: Duration = Duration::from_millis(5);

/// Outcome of a request; times in microseconds since the start of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The time in the schedule.
    pub due_us: u64,
    /// The actual send time.
    pub sent_us: u64,
    /// The end of the reply.
    pub done_us: u64,
    /// The HTTP status; 0 without a reply.
    pub status: u16,
}

impl Record {
    fn latency_us(&self) -> u64 {
        self.done_us.saturating_sub(self.due_us)
    }

    fn is_answered(&self) -> bool {
        self.status == 200
    }

    /// Returns whether the request was refused with a status that asks for a retry.
    fn is_refused(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    /// Returns whether the request was admitted and then missed its deadline.
    fn is_expired(&self) -> bool {
        self.status == 504
    }

    fn is_on_time(&self, deadline: Duration) -> bool {
        self.is_answered() && Duration::from_micros(self.latency_us()) <= deadline
    }
}

/// Counts of outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcomes {
    /// All requests.
    pub n: usize,
    /// Answered within their deadline.
    pub n_on_time: usize,
    /// Answered, but after their deadline.
    pub n_late: usize,
    /// Refused with a status that asks for a retry.
    pub n_refused: usize,
    /// Admitted, but not answered within their deadline.
    pub n_expired: usize,
    /// Any other status, or no reply.
    pub n_failed: usize,
    /// The 99th percentile of the time to a refusal.
    pub refusal_p99: Duration,
    /// Requests that the client itself sent late.
    pub n_sent_late: usize,
}

impl Outcomes {
    /// Counts the outcomes of requests with this deadline.
    #[must_use]
    pub fn of(records: &[Record], deadline: Duration) -> Self {
        let count = |is_it: &dyn Fn(&Record) -> bool| records.iter().filter(|r| is_it(r)).count();
        let refusals = records.iter().filter(|record| record.is_refused());
        let refusals = refusals.map(|record| record.done_us.saturating_sub(record.sent_us));
        let mut refusals_us: Vec<_> = refusals.collect();
        let late_send_us = LATE_SEND.as_micros();
        Self {
            n: records.len(),
            n_on_time: count(&|record| record.is_on_time(deadline)),
            n_late: count(&|record| record.is_answered() && !record.is_on_time(deadline)),
            n_refused: count(&Record::is_refused),
            n_expired: count(&Record::is_expired),
            n_failed: count(&|record| {
                !record.is_answered() && !record.is_refused() && !record.is_expired()
            }),
            refusal_p99: Duration::from_micros(quantile(&mut refusals_us, 0.99)),
            n_sent_late: count(&|record| {
                u128::from(record.sent_us.saturating_sub(record.due_us)) > late_send_us
            }),
        }
    }

    /// Returns late replies in percent of all replies.
    #[must_use]
    pub fn late_percent(&self) -> f64 {
        let n_replies = self.n_on_time + self.n_late;
        100.0 * self.n_late as f64 / n_replies.max(1) as f64
    }

    /// Returns requests that were admitted and then expired, in percent of all.
    #[must_use]
    pub fn expired_percent(&self) -> f64 {
        100.0 * self.n_expired as f64 / self.n.max(1) as f64
    }

    /// Returns a warning when the client could not keep up with its own schedule.
    #[must_use]
    pub fn client_warning(&self) -> Option<String> {
        let percent = 100.0 * self.n_sent_late as f64 / self.n.max(1) as f64;
        (percent > 1.0).then(|| format!("the client sent {percent:.1} % of the requests late"))
    }
}

/// Returns the records that were due in a period, in seconds from the start.
#[must_use]
pub fn between(records: &[Record], from: f64, to: f64) -> Vec<Record> {
    let is_in = |record: &&Record| {
        let due = record.due_us as f64 / 1e6;
        (from..to).contains(&due)
    };
    records.iter().filter(is_in).copied().collect()
}

/// Returns the 99th percentile of the latency of answered requests; zero without answers.
#[must_use]
pub fn p99(records: &[Record]) -> Duration {
    let answered = records.iter().filter(|record| record.is_answered());
    let mut latencies_us: Vec<_> = answered.map(Record::latency_us).collect();
    Duration::from_micros(quantile(&mut latencies_us, 0.99))
}

/// Returns how many deadlines after `end` the first window of that length begins in which 99 of 100
/// requests were answered on time; `None` without such a window.
#[must_use]
pub fn recovery(records: &[Record], end: f64, deadline: Duration) -> Option<f64> {
    let window = deadline.as_secs_f64();
    let last = records.iter().map(|record| record.due_us).max()? as f64 / 1e6;
    let mut n_windows = 0.0;
    while end + n_windows * window < last {
        let from = end + n_windows * window;
        let due = between(records, from, from + window);
        let n_bad = due.iter().filter(|r| !r.is_on_time(deadline)).count();
        if !due.is_empty() && n_bad * 100 <= due.len() {
            return Some(n_windows);
        }
        n_windows += 1.0;
    }
    None
}

#[cfg(test)]
mod tests;
