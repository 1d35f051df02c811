//! The start of a contender: its command, with the models and settings of a case.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::Built;
use super::contender::Contender;

/// A contender with what it serves.
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
    pub(super) fn new(built: &Built, contender: Contender, models: &Path) -> Self {
        Self {
            contender,
            label: None,
            models: models.to_owned(),
            library: built.onnxruntime.clone(),
            arguments: Vec::new(),
        }
    }

    pub(super) fn lockgate(built: &Built, models: &Path) -> Self {
        Self::new(built, Contender::Lockgate, models)
    }

    /// With another name in tables.
    pub(super) fn labelled(self, label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
            ..self
        }
    }

    pub(super) fn who(&self) -> String {
        let own = || self.contender.to_string();
        self.label.clone().unwrap_or_else(own)
    }

    pub(super) fn command(&self, built: &Built, port: u16) -> Command {
        let port = port.to_string();
        let workers = built.n_cores.to_string();
        match self.contender {
            Contender::Echo => echo(&built.echo, &port, &workers),
            Contender::GrpcEcho => echo(&built.grpc_echo, &port, &workers),
            Contender::Fastapi => fastapi(built, &port, &workers),
            Contender::Litserve => {
                let mut command = python(built, &built.litserve, &workers);
                command.arg("litserve_service.py").env("PORT", port);
                command
            }
            Contender::Bentoml => bentoml(built, &port, &workers),
            Contender::Mlserver => mlserver(built, &port, &workers),
            Contender::Lockgate => self.lockgate_command(built, &port),
        }
    }

    fn lockgate_command(&self, built: &Built, port: &str) -> Command {
        let mut command = Command::new(&built.lockgate);
        command
            .arg("serve")
            .arg(&self.models)
            .args(["--port", port, "--access-log", "false"])
            .arg("--onnxruntime")
            .arg(&self.library)
            .args(&self.arguments)
            .current_dir(&built.folder);
        command
    }
}

fn echo(program: &Path, port: &str, workers: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--port", port, "--workers", workers]);
    command
}

/// A service in Python, in the folder of the peers.
fn python(built: &Built, interpreter: &Path, workers: &str) -> Command {
    let mut command = Command::new(interpreter);
    command
        .current_dir(&built.peers)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("WORKERS", workers)
        .env("MODEL", &built.digits);
    command
}

fn fastapi(built: &Built, port: &str, workers: &str) -> Command {
    let mut command = python(built, &built.python, workers);
    command
        .args(["-m", "uvicorn", "fastapi_service:app"])
        .args(["--loop", "uvloop", "--http", "httptools", "--no-access-log"])
        .args(["--port", port, "--workers", workers]);
    command
}

fn bentoml(built: &Built, port: &str, workers: &str) -> Command {
    let mut command = python(built, &built.bentoml, workers);
    command
        .args(["-m", "bentoml", "serve", "bentoml_service:Digits"])
        .args(["--host", "127.0.0.1", "--port", port])
        .env("BENTOML_HOME", built.folder.join("bentoml"))
        .env("BENTOML_DO_NOT_TRACK", "True");
    command
}

/// Its ports for gRPC and metrics, which nobody asks, are any.
fn mlserver(built: &Built, port: &str, workers: &str) -> Command {
    let program = built.mlserver.with_file_name("mlserver");
    let mut command = python(built, &program, workers);
    command
        .arg("start")
        .arg(built.peers.join("mlserver"))
        .current_dir(&built.folder)
        .env("PYTHONPATH", &built.peers)
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

    fn built() -> Built {
        let path = PathBuf::from;
        Built {
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
            let launch = Launch::new(&built(), *contender, Path::new("models"));
            let words = words(&launch.command(&built(), 8123));
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
            ..Launch::lockgate(&built(), Path::new("models")).labelled("no metrics")
        };
        assert_eq!(launch.who(), "no metrics");
        let words = words(&launch.command(&built(), 1)).join(" ");
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
