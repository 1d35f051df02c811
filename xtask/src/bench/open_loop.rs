//! Open loop: sends requests by a schedule and evaluates their outcomes.
//!
//! Decision: latency counts from the time at which a request should have been sent, so that a
//! stalling server is charged for the requests that arrive meanwhile. A refusal counts from the
//! actual send time, because its speed depends on the server alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::request::Request;
use super::schedule::{self, Phase};

const SEED: u64 = 23;

/// The delay of a request after which it counts as sent late by the client.
const LATE_SEND: Duration = Duration::from_millis(5);

/// Outcome of a request; times in microseconds since the start of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) due_us: u64,
    pub(super) sent_us: u64,
    pub(super) done_us: u64,
    /// The HTTP status; 0 without a reply.
    pub(super) status: u16,
}

impl Record {
    pub(super) fn latency(&self) -> Duration {
        Duration::from_micros(self.done_us.saturating_sub(self.due_us))
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
        self.is_answered() && self.latency() <= deadline
    }
}

/// Counts of outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) n: usize,
    pub(super) n_on_time: usize,
    /// Answered, but after their deadline.
    pub(super) n_late: usize,
    pub(super) n_refused: usize,
    pub(super) n_expired: usize,
    /// Any other status, or no reply.
    pub(super) n_failed: usize,
    pub(super) refusal_p99: Duration,
    /// Requests that the client itself sent late.
    pub(super) n_sent_late: usize,
}

impl Tally {
    pub(super) fn of(records: &[Record], deadline: Duration) -> Self {
        let count = |is_it: &dyn Fn(&Record) -> bool| records.iter().filter(|r| is_it(r)).count();
        let refusals = records.iter().filter(|record| record.is_refused());
        let refusals = refusals.map(|record| record.done_us.saturating_sub(record.sent_us));
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
            refusal_p99: Duration::from_micros(quantile(refusals.collect(), 0.99)),
            n_sent_late: count(&|record| {
                u128::from(record.sent_us.saturating_sub(record.due_us)) > late_send_us
            }),
        }
    }

    /// Returns late replies in percent of all replies.
    pub(super) fn late_percent(&self) -> f64 {
        let n_replies = self.n_on_time + self.n_late;
        100.0 * self.n_late as f64 / n_replies.max(1) as f64
    }

    /// Returns requests that were admitted and then expired, in percent of all.
    pub(super) fn expired_percent(&self) -> f64 {
        100.0 * self.n_expired as f64 / self.n.max(1) as f64
    }

    /// Returns a warning when the client could not keep up with its own schedule.
    pub(super) fn client_warning(&self) -> Option<String> {
        let percent = 100.0 * self.n_sent_late as f64 / self.n.max(1) as f64;
        (percent > 1.0).then(|| format!("the client sent {percent:.1} % of the requests late"))
    }
}

/// Returns the records that were due in a period, in seconds from the start.
pub(super) fn between(records: &[Record], from: f64, to: f64) -> Vec<Record> {
    let is_in = |record: &&Record| {
        let due = record.due_us as f64 / 1e6;
        (from..to).contains(&due)
    };
    records.iter().filter(is_in).copied().collect()
}

/// Returns the 99th percentile of the latency of answered requests; zero without answers.
pub(super) fn p99(records: &[Record]) -> Duration {
    let answered = records.iter().filter(|record| record.is_answered());
    let latencies = answered.map(|record| record.done_us.saturating_sub(record.due_us));
    Duration::from_micros(quantile(latencies.collect(), 0.99))
}

/// Returns how many deadlines after `end` the first window of that length begins in which 99 of 100
/// requests were answered on time; `None` without such a window.
pub(super) fn recovery(records: &[Record], end: f64, deadline: Duration) -> Option<f64> {
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

/// Returns the quantile of this share.
fn quantile(mut values: Vec<u64>, share: f64) -> u64 {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil();
    let is_below = |index: &usize| (*index as f64) < rank;
    let index = (0..values.len()).filter(is_below).count();
    values
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// Runner of schedules against a server.
#[derive(Debug)]
pub(super) struct ScheduleRunner<'a> {
    pub(super) program: &'a Path,
    /// The folder for the schedule and the records.
    pub(super) folder: &'a Path,
    pub(super) port: u16,
}

impl ScheduleRunner<'_> {
    pub(super) fn run_schedule(&self, request: &Request, phases: &[Phase]) -> Result<Vec<Record>> {
        let due = schedule::poisson(phases, SEED);
        let schedule = self.folder.join("schedule.txt");
        let records = self.folder.join("records.txt");
        let lines: String = due.iter().map(|due| format!("{due}\n")).collect();
        fs::write(&schedule, lines).context("cannot write the schedule")?;
        let mut command = Command::new(self.program);
        command
            .args(["--address", &format!("127.0.0.1:{}", self.port)])
            .args(["--path", &request.path])
            .arg("--body")
            .arg(&request.body)
            .arg("--schedule")
            .arg(&schedule)
            .arg("--records")
            .arg(&records);
        for (name, value) in &request.headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        let output = command.output().context("cannot start the load")?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = fs::read_to_string(&records).context("cannot read the records")?;
        let records = parse(&text)?;
        if records.len() != due.len() {
            bail!("{} of {} requests were sent", records.len(), due.len());
        }
        Ok(records)
    }
}

fn parse(text: &str) -> Result<Vec<Record>> {
    text.lines()
        .map(|line| parse_line(line).with_context(|| format!("invalid record: `{line}`")))
        .collect()
}

fn parse_line(line: &str) -> Option<Record> {
    let mut words = line.split_whitespace();
    let mut number = || words.next()?.parse::<u64>().ok();
    Some(Record {
        due_us: number()?,
        sent_us: number()?,
        done_us: number()?,
        status: u16::try_from(number()?).ok()?,
    })
}

#[cfg(test)]
mod tests;
