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
        let schedule = self.folder.join("schedule.json");
        let records = self.folder.join("records.json");
        fs::write(&schedule, serde_json::to_vec(&due)?).context("cannot write the schedule")?;
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
        for header in request.header_lines() {
            command.args(["--header", &header]);
        }
        let output = command.output().context("cannot start the load")?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let records = fs::read(&records).context("cannot read the records")?;
        let records: Vec<Record> = serde_json::from_slice(&records).context("invalid records")?;
        if records.len() != due.len() {
            bail!("{} of {} requests were sent", records.len(), due.len());
        }
        Ok(records)
    }
}
