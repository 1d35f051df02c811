//! The server as a process of its own, started on a free port and ended with the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// The line that the server prints when all models have been tried.
const GREETING: &str = "documents the API";

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Lockgate {
    child: Child,
    /// Until it is closed.
    stdout: Option<BufReader<ChildStdout>>,
    /// The address of REST and gRPC, such as `127.0.0.1:4711`.
    pub(crate) address: String,
    /// The output of the server until it was ready.
    pub(crate) greeting: String,
    folder: TempDir,
}

/// The command of the binary, with a data folder of its own.
pub(crate) fn lockgate(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command
        .env("LOCKGATE_DATA_DIR", data_dir)
        .env("LOCKGATE_ONNXRUNTIME", engines::testing::onnx_runtime())
        .stdin(Stdio::null());
    command
}

impl Lockgate {
    /// Serves a repository with further flags, and waits until every model has been tried.
    pub(crate) fn serve(repository: &Path, flags: &[&str]) -> Self {
        let mut command = vec!["serve".to_owned(), repository.display().to_string()];
        command.extend(flags.iter().map(|&flag| flag.to_owned()));
        Self::start(&command, GREETING)
    }

    /// Serves a repository with further flags and a log that goes to `stderr`.
    pub(crate) fn serve_with_log(repository: &Path, flags: &[&str], stderr: Stdio) -> Self {
        let prepare = |command: &mut Command| {
            command
                .arg("serve")
                .arg(repository)
                .args(flags)
                .stderr(stderr);
        };
        Self::launch(prepare, GREETING)
    }

    /// Starts any serving sub-command on a free port, and waits until it prints `until`.
    pub(crate) fn start(arguments: &[String], until: &str) -> Self {
        let prepare = |command: &mut Command| {
            command.args(arguments).args(["--log-level", "warn"]);
        };
        Self::launch(prepare, until)
    }

    fn launch(prepare: impl FnOnce(&mut Command), until: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = lockgate(folder.path());
        prepare(&mut command);
        let mut child = command
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains(until) {
            let n_bytes = stdout.read_line(&mut greeting).unwrap();
            assert_ne!(
                n_bytes, 0,
                "the server ended early; it printed:\n{greeting}"
            );
        }
        let address = greeting.split("listening on http://").nth(1).unwrap();
        let address = address.split_whitespace().next().unwrap().to_owned();
        Self {
            child,
            stdout: Some(stdout),
            address,
            greeting,
            folder,
        }
    }

    /// The folder that belongs to this server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Ends the process by force, in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes the pipe that the server prints to.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// The pipe of a log that goes to one.
    pub(crate) fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().unwrap())
    }

    /// Waits for the end and returns whether it was a success.
    pub(crate) fn wait(&mut self) -> bool {
        let mut rest = String::new();
        if let Some(stdout) = &mut self.stdout {
            while stdout.read_line(&mut rest).unwrap() > 0 {}
        }
        self.child.wait().unwrap().success()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }
}

impl Drop for Lockgate {
    fn drop(&mut self) {
        // The process may have ended already, which is what was wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The folder of the examples in the repository.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The Python that has the clients.
pub(crate) fn python() -> PathBuf {
    program("LOCKGATE_PYTHON")
}

/// The checker of metrics of Prometheus.
pub(crate) fn promtool() -> PathBuf {
    program("PROMTOOL")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the chore that starts the tests tells it so"
)]
fn program(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set: start the tests by `cargo xtask test`"))
        .into()
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
