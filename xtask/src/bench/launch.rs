//! Command line of a contender, with the models and settings of a case.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::Artifacts;
use super::contender::Contender;

/// A contender with its models and settings.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) contender: Contender,
    /// The name in tables, when it differs from the contender's.
    pub(super) label: Option<String>,
    /// The repository of Lockgate; the others know their model.
    pub(super) models: PathBuf,
    /// The ONNX Runtime library of Lockgate.
    pub(super) library: PathBuf,
    /// More arguments of Lockgate.
    pub(super) arguments: Vec<String>,
}

impl Launch {
    pub(super) fn new(artifacts: &Artifacts, contender: Contender, models: &Path) -> Self {
        Self {
            contender,
            label: None,
            models: models.to_owned(),
            library: artifacts.onnxruntime.clone(),
            arguments: Vec::new(),
        }
    }

    pub(super) fn lockgate(artifacts: &Artifacts, models: &Path) -> Self {
        Self::new(artifacts, Contender::Lockgate, models)
    }

    /// Returns the same launch with another name in tables.
    pub(super) fn labelled(self, label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
            ..self
        }
    }

    pub(super) fn server_name(&self) -> String {
        let own = || self.contender.to_string();
        self.label.clone().unwrap_or_else(own)
    }

    pub(super) fn command(&self, artifacts: &Artifacts, port: u16) -> Command {
        let port = port.to_string();
        let workers = artifacts.n_cores.to_string();
        match self.contender {
            Contender::Echo => echo(&artifacts.echo, &port, &workers),
            Contender::GrpcEcho => echo(&artifacts.grpc_echo, &port, &workers),
            Contender::Fastapi => fastapi(artifacts, &port, &workers),
            Contender::Litserve => {
                let mut command = python(artifacts, &artifacts.litserve, &workers);
                command.arg("litserve_service.py").env("PORT", port);
                command
            }
            Contender::Bentoml => bentoml(artifacts, &port, &workers),
            Contender::Mlserver => mlserver(artifacts, &port, &workers),
            Contender::Lockgate => self.lockgate_command(artifacts, &port),
        }
    }

    fn lockgate_command(&self, artifacts: &Artifacts, port: &str) -> Command {
        let mut command = Command::new(&artifacts.lockgate);
        command
            .arg("serve")
            .arg(&self.models)
            .args(["--port", port, "--access-log", "false"])
            .arg("--onnxruntime")
            .arg(&self.library)
            .args(&self.arguments)
            .current_dir(&artifacts.folder);
        command
    }
}

fn echo(program: &Path, port: &str, workers: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--port", port, "--workers", workers]);
    command
}

/// Returns the command of a service in Python, in the folder of the peers.
fn python(artifacts: &Artifacts, interpreter: &Path, workers: &str) -> Command {
    let mut command = Command::new(interpreter);
    command
        .current_dir(&artifacts.peers)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("WORKERS", workers)
        .env("MODEL", &artifacts.digits);
    command
}

fn fastapi(artifacts: &Artifacts, port: &str, workers: &str) -> Command {
    let mut command = python(artifacts, &artifacts.python, workers);
    command
        .args(["-m", "uvicorn", "fastapi_service:app"])
        .args(["--loop", "uvloop", "--http", "httptools", "--no-access-log"])
        .args(["--port", port, "--workers", workers]);
    command
}

fn bentoml(artifacts: &Artifacts, port: &str, workers: &str) -> Command {
    let mut command = python(artifacts, &artifacts.bentoml, workers);
    command
        .args(["-m", "bentoml", "serve", "bentoml_service:Digits"])
        .args(["--host", "127.0.0.1", "--port", port])
        .env("BENTOML_HOME", artifacts.folder.join("bentoml"))
        .env("BENTOML_DO_NOT_TRACK", "True");
    command
}

/// Returns the command of MLServer, with any ports for gRPC and metrics, which are not used.
fn mlserver(artifacts: &Artifacts, port: &str, workers: &str) -> Command {
    let program = artifacts.mlserver.with_file_name("mlserver");
    let mut command = python(artifacts, &program, workers);
    command
        .arg("start")
        .arg(artifacts.peers.join("mlserver"))
        .current_dir(&artifacts.folder)
        .env("PYTHONPATH", &artifacts.peers)
        .env("MLSERVER_HOST", "127.0.0.1")
        .env("MLSERVER_HTTP_PORT", port)
        .env("MLSERVER_GRPC_PORT", "0")
        .env("MLSERVER_METRICS_PORT", "0")
        .env("MLSERVER_PARALLEL_WORKERS", workers);
    command
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn artifacts() -> Artifacts {
        let path = PathBuf::from;
        Artifacts {
            lockgate: path("lockgate"),
            echo: path("echo"),
            grpc_echo: path("grpc_echo"),
            load: path("load"),
            grpc_load: path("grpc_load"),
            open_load: path("open_load"),
            serde_decode: path("serde_decode"),
            python: path("python"),
            litserve: path("python-litserve"),
            bentoml: path("python-bentoml"),
            mlserver: path("python-mlserver"),
            peers: path("peers"),
            onnxruntime: path("libonnxruntime.so"),
            digits: path("digits.onnx"),
            networks: path("networks"),
            example: path("example.json"),
            folder: path("bench"),
            n_cores: 6,
            missing: Vec::new(),
        }
    }

    fn words(command: &Command) -> Vec<String> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let settings = command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
            .map(|(name, value)| format!("{}={}", name.display(), value.display()));
        words
            .map(|word| word.display().to_string())
            .chain(settings)
            .collect()
    }

    #[test]
    fn every_contender_gets_its_port_and_every_peer_the_model_and_all_cores() {
        for contender in Contender::value_variants() {
            let launch = Launch::new(&artifacts(), *contender, Path::new("models"));
            let words = words(&launch.command(&artifacts(), 8123));
            let has = |word: &str| words.iter().any(|found| found == word);
            assert!(words.iter().any(|word| word.ends_with("8123")), "{words:?}");
            let is_complete = match (contender.is_peer(), *contender == Contender::Lockgate) {
                (true, _) => has("MODEL=digits.onnx") && has("WORKERS=6"),
                (false, true) => has("models"),
                (false, false) => has("6"),
            };
            assert!(is_complete, "{words:?}");
        }
    }

    #[test]
    fn more_arguments_and_another_library_reach_lockgate() {
        let launch = Launch {
            library: PathBuf::from("other.so"),
            arguments: vec!["--metrics".to_owned(), "false".to_owned()],
            ..Launch::lockgate(&artifacts(), Path::new("models")).labelled("no metrics")
        };
        assert_eq!(launch.server_name(), "no metrics");
        let words = words(&launch.command(&artifacts(), 1)).join(" ");
        assert!(
            words.ends_with("--onnxruntime other.so --metrics false"),
            "{words}"
        );
    }

    #[test]
    fn a_contender_is_called_as_on_the_command_line() {
        for contender in Contender::value_variants() {
            let value = contender.to_possible_value().unwrap();
            assert_eq!(value.get_name(), contender.name());
        }
    }
}
