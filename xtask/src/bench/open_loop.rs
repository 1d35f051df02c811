//! Open loop: sends requests by a schedule, through a program of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use loadtest::Random;
use loadtest::arrivals::{self, Phase};
use loadtest::records::Record;

use super::request::Request;

const SEED: u64 = 23;

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
        let due = arrivals::poisson(phases, &mut Random::new(SEED));
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
mod tests {
    use super::*;

    #[test]
    fn records_are_four_numbers_a_line() {
        let expected = Record {
            due_us: 1,
            sent_us: 2,
            done_us: 3,
            status: 200,
        };
        assert_eq!(parse("1 2 3 200\n").unwrap(), [expected]);
        for broken in ["1 2 3", "a 2 3 200", "1 2 3 70000"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
