//! Downloads a package through the `pip` of a Python interpreter.
//!
//! Decision: the ordinary client, with the user's own index, proxy and certificates. This program
//! names a package and a version and knows no host.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use contract::Result;

use super::wheel::Wheel;
use super::{at, failed};

/// The Python version of the downloaded wheel; see [`super::wheel`].
const PYTHON_TAGS: [&str; 6] = [
    "--python-version",
    "3.11",
    "--implementation",
    "cp",
    "--abi",
    "cp311",
];

/// The last lines of the output of pip that an error repeats.
const N_LINES: usize = 6;

/// The package to download.
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// The exact file, when the version is pinned for this host.
    pub(super) wheel: Option<Wheel>,
}

impl Package<'_> {
    /// Unpacks the package into the folder `target`.
    pub(super) fn download(&self, python: &Path, target: &Path) -> Result<()> {
        if let Some(wheel) = self.wheel {
            let requirement = target.with_extension("requirement");
            let line = format!(
                "{}=={} --hash=sha256:{}\n",
                self.name, self.version, wheel.sha256
            );
            fs::write(&requirement, line).map_err(at(&requirement))?;
            let options = pinned_options(wheel, &requirement);
            let output = run(python, target, &options);
            fs::remove_file(&requirement).map_err(at(&requirement))?;
            return check(python, &output?);
        }
        let requirement = OsString::from(format!("{}=={}", self.name, self.version));
        let output = run(python, target, std::slice::from_ref(&requirement))?;
        if output.status.success() {
            return Ok(());
        }
        // This Python may be older or newer than those that the package is built for.
        let mut options: Vec<OsString> = PYTHON_TAGS.map(OsString::from).to_vec();
        options.extend(["--platform".into(), this_platform().into(), requirement]);
        match run(python, target, &options)? {
            second if second.status.success() => Ok(()),
            _ => check(python, &output),
        }
    }
}

fn pinned_options(wheel: Wheel, requirement: &Path) -> Vec<OsString> {
    let mut options: Vec<OsString> = PYTHON_TAGS.map(OsString::from).to_vec();
    options.extend(["--platform".into(), wheel.platform.into()]);
    options.extend(["--require-hashes".into(), "-r".into(), requirement.into()]);
    options
}

fn this_platform() -> String {
    format!("manylinux_2_28_{}", std::env::consts::ARCH)
}

fn run(python: &Path, target: &Path, options: &[OsString]) -> Result<Output> {
    Command::new(python)
        .args(["-m", "pip", "install"])
        .args(["--no-deps", "--only-binary=:all:", "--no-compile"])
        .args(["--disable-pip-version-check", "--no-input"])
        .arg("--target")
        .arg(target)
        .args(options)
        .output()
        .map_err(|error| {
            failed(format!(
                "cannot run `{}`: {error}; name a Python interpreter with `--python`",
                python.display()
            ))
        })
}

fn check(python: &Path, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = stderr.lines().filter(|line| !line.is_empty()).collect();
    let last = lines.len().saturating_sub(N_LINES);
    let excerpt = lines.get(last..).unwrap_or_default().join("\n  ");
    Err(failed(format!(
        "`{} -m pip install` failed ({}):\n  {excerpt}\nwithout a working pip, copy the library to \
         this host and name it with `--onnxruntime`",
        python.display(),
        output.status
    )))
}
