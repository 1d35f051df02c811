//! Starting a contender and ending it with all its processes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::build::Built;
use super::case::{Case, Contender};
use super::{probe, usage};

const N_ATTEMPTS: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);

/// A running contender; its processes are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts the contender and waits until it answers the case.
    pub(super) fn start(
        built: &Built,
        contender: Contender,
        case: Case,
        body: &Path,
    ) -> Result<Self> {
        let port = free_port()?;
        let log = built.folder.join(format!("{}.log", contender.name()));
        let mut command = command(built, contender, port);
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        command.stdout(output.try_clone()?).stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Self { child, port };
        server
            .wait_until_it_answers(case, body)
            .with_context(|| format!("{contender} does not answer, see {}", log.display()))?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_answers(&mut self, case: Case, body: &Path) -> Result<()> {
        let mut result = Ok(());
        for _ in 0..N_ATTEMPTS {
            result = probe::check(self.port, case, body);
            if result.is_ok() {
                break;
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            std::thread::sleep(PAUSE);
        }
        result
    }

    /// Asks it to end and waits until it has.
    pub(super) fn stop(mut self) -> Result<()> {
        signal(self.child.id(), Signal::TERM);
        for _ in 0..N_ATTEMPTS {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        bail!("process {} does not end", self.child.id())
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

/// Sends a signal; a process that is gone needs none.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// A port that the system gives to nobody else for now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

fn command(built: &Built, contender: Contender, port: u16) -> Command {
    let port = port.to_string();
    let n_cores = built.n_cores.to_string();
    match contender {
        Contender::Echo => with(&built.echo, &["--port", &port, "--workers", &n_cores]),
        Contender::Fastapi => {
            let service = "fastapi_service:app";
            let server = ["-m", "uvicorn", service, "--loop", "uvloop"];
            let settings = ["--http", "httptools", "--no-access-log"];
            let mut command = with(&built.python, &server);
            command
                .args(settings)
                .args(["--port", &port, "--workers", &n_cores])
                .current_dir(&built.peers)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("MODEL", built.model());
            command
        }
        Contender::Lockgate => {
            let mut command = with(&built.lockgate, &["serve"]);
            command
                .arg(&built.models)
                .args(["--port", &port, "--access-log", "false"])
                .arg("--onnxruntime")
                .arg(&built.onnxruntime)
                .current_dir(&built.folder);
            command
        }
    }
}

fn with(program: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
