//! Starts a contender and stops it with all its processes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::build::Artifacts;
use super::launch::Launch;
use super::request::Request;
use super::usage::{self, Usage};
use super::{generator, probe};
use crate::steps::stopwatch;

const MAX_START: Duration = Duration::from_secs(60);
const MAX_STOP: Duration = Duration::from_secs(40);
/// The interval between polls, which is also the accuracy of the time to the first reply.
const PAUSE: Duration = Duration::from_millis(5);

/// A running contender; its processes are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    port: u16,
    is_peer: bool,
    /// The time from the start of the process to its first reply.
    pub(super) first_reply: Duration,
}

impl Server {
    /// Starts the contender and waits until it answers the request.
    pub(super) fn start(artifacts: &Artifacts, launch: &Launch, request: &Request) -> Result<Self> {
        let port = free_port()?;
        let log = artifacts
            .folder
            .join(format!("{}.log", launch.contender.name()));
        let mut command = launch.command(artifacts, port);
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        command.stdout(output.try_clone()?).stderr(output);
        let elapsed = stopwatch();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Self {
            child,
            port,
            is_peer: launch.contender.is_peer(),
            first_reply: Duration::ZERO,
        };
        server
            .wait_until_it_answers(artifacts, request, &elapsed)
            .with_context(|| {
                format!(
                    "{} did not answer; see `{}`",
                    launch.server_name(),
                    log.display()
                )
            })?;
        server.first_reply = elapsed();
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of_tree(self.child.id())
    }

    fn wait_until_it_answers(
        &mut self,
        artifacts: &Artifacts,
        request: &Request,
        elapsed: &impl Fn() -> Duration,
    ) -> Result<()> {
        loop {
            let result = match request.grpc {
                None => probe::check(self.port, request),
                Some(_) => generator::check_grpc(artifacts, request, self.port),
            };
            if result.is_ok() || elapsed() > MAX_START {
                return result;
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the process ended with {status}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Terminates the contender and waits for its end; workers that it leaves behind are killed,
    /// and so is another server that does not end, since it has been measured by then.
    pub(super) fn stop(mut self) -> Result<()> {
        let all = usage::tree(self.child.id())?;
        signal(self.child.id(), Signal::TERM);
        let elapsed = stopwatch();
        while elapsed() < MAX_STOP {
            if self.child.try_wait()?.is_some() {
                let workers = all.into_iter().skip(1);
                workers.for_each(|pid| signal(pid, Signal::KILL));
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        match self.is_peer {
            true => Ok(()),
            false => bail!("process {} does not end", self.child.id()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        for pid in usage::tree(self.child.id()).unwrap_or_default() {
            signal(pid, Signal::KILL);
        }
    }
}

/// Sends a signal, and ignores a process that has ended.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// Returns a free port of the system.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Starts a process that waits forever, or ends at once.
    fn server(program: &str, arguments: &[&str]) -> Server {
        Server {
            child: Command::new(program).args(arguments).spawn().unwrap(),
            port: 1,
            is_peer: false,
            first_reply: Duration::ZERO,
        }
    }

    #[test]
    fn a_server_ends_on_sigterm() {
        server("tail", &["-f", "/dev/null"]).stop().unwrap();
    }

    #[test]
    fn a_server_that_has_ended_can_be_stopped() {
        server("true", &[]).stop().unwrap();
    }

    #[test]
    fn a_running_server_reports_its_memory() {
        let server = server("tail", &["-f", "/dev/null"]);
        assert!(server.usage().unwrap().resident_bytes > 0);
        server.stop().unwrap();
    }
}
