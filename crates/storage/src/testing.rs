//! A Redis server for tests: a process of its own on a loopback address of its own.
//!
//! Decision: the address is a random one of `127.0.0.0/8`, so that tests that run at once need no
//! free port; the contents survive a kill, so that a restart is one of a store that persists.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running Redis server. Dropping it kills the process.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    address: Ipv4Addr,
    options: Vec<String>,
    folder: TempDir,
}

#[expect(
    clippy::unwrap_used,
    reason = "a test without its server must fail; only tests call this"
)]
impl RedisServer {
    /// Returns a random loopback address.
    #[must_use]
    pub fn random_address() -> Ipv4Addr {
        let [b, c, d, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
        Ipv4Addr::new(127, b.max(1), c, d.clamp(1, 254))
    }

    /// Starts a server with further options, and waits until it accepts connections.
    ///
    /// # Panics
    /// Panics when it cannot be started: a test must not pass because its server is missing.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        Self::start_at(Self::random_address(), options)
    }

    /// Starts a server at an address.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_at(address: Ipv4Addr, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        Self {
            process: launch(address, &options, folder.path()),
            address,
            options,
            folder,
        }
    }

    /// Returns the address, as a setting has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the server again after a kill, with the contents it had.
    pub fn restart(&mut self) {
        self.process = launch(self.address, &self.options, self.folder.path());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // The process may have ended already, which is what was wanted.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts the process, and waits until it accepts connections. An option of the caller wins over
/// the same one here.
#[expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test without its server must fail; the chore that starts the tests tells its place"
)]
fn launch(address: Ipv4Addr, options: &[String], folder: &Path) -> Child {
    let program = std::env::var_os("REDIS_SERVER").map(PathBuf::from);
    let program = program.unwrap_or_else(|| {
        panic!("REDIS_SERVER is not set: start the tests by `cargo xtask test`")
    });
    // An unpacked server has its libraries beside it; an installed one finds them anyway.
    let triple = format!("../lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = program.parent().unwrap_or(Path::new("/")).join(triple);
    let mut process = Command::new(&program)
        .env("LD_LIBRARY_PATH", libraries)
        .args(["--bind", &address.to_string(), "--protected-mode", "no"])
        .args([
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])
        .args(["--dir", &folder.display().to_string()])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", program.display()));
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut log = String::new();
    while !log.contains("Ready to accept connections") {
        let n_bytes = output.read_line(&mut log).unwrap();
        assert_ne!(n_bytes, 0, "Redis ended early; it printed:\n{log}");
    }
    process
}
