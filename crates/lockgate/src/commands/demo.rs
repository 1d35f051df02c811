//! `lockgate demo`: writes and serves example models, and prints commands to try.
//!
//! Decision: the examples are part of the binary, so the demo needs no clone, and the network only
//! for installing ONNX Runtime with pip.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use engines::onnx::Runtime;

use crate::command_line::DemoArguments;
use crate::commands::{runtime, serve, settings};
use crate::config::{Config, Environment};
use crate::output::ServerOutput;
use crate::{log, onnxruntime};

macro_rules! example {
    ($path:literal) => {
        (
            $path,
            include_bytes!(concat!("../../../../examples/", $path)),
        )
    };
}

/// The files of the example repository and inputs to try it with.
const FILES: [(&str, &[u8]); 10] = [
    example!("models/digits/model.yaml"),
    example!("models/digits/1/model.onnx"),
    example!("models/digits/2/model.onnx"),
    example!("models/digits-image/model.yaml"),
    example!("models/digits-image/1/model.onnx"),
    example!("models/iris/model.yaml"),
    example!("models/iris/1/model.onnx"),
    example!("data/digits-request.json"),
    example!("data/digits-infer-request.json"),
    example!("data/digits-png/7-005.png"),
];

/// Writes the examples, installs ONNX Runtime when it is missing, and serves.
///
/// # Errors
/// When the folder holds other files, a file cannot be written, ONNX Runtime cannot be installed,
/// or the port is taken.
pub(crate) fn run(arguments: DemoArguments, environment: &Environment) -> Result<()> {
    let mut config = settings::read(&arguments.settings, environment)?;
    let raw = arguments.settings.raw;
    let folder = config.data_dir.join("demo");
    let models = match raw.repository.as_deref() {
        Some([models]) => models.clone(),
        Some(_) => bail!("the demo serves one repository; give `--repository` once"),
        None => folder.join("models"),
    };
    check_free(&models)?;
    write_examples(&models, &folder.join("data"))?;
    config.repositories = vec![models.clone()];
    // Model control is on by default: the demo listens on this machine only.
    config.is_model_control_enabled = raw.model_control.unwrap_or(true);
    let output = log::start(&config)?;
    let runtime = open_or_install(&config, environment, &output)?;
    serve::serve(&config, runtime, &output, |address| {
        greeting(address, &config, &models)
    })
}

/// Opens the ONNX Runtime of this machine, or installs one with pip. A library that the user named
/// is never replaced.
fn open_or_install(
    config: &Config,
    environment: &Environment,
    output: &ServerOutput,
) -> Result<Runtime> {
    match onnxruntime::open(config, environment) {
        Err(_) if config.onnxruntime.is_none() => {
            output.announce("ONNX Runtime is missing; installing it with pip");
            output.announce(runtime::install_default(&config.data_dir)?);
            onnxruntime::open(config, environment)
        }
        opened => opened,
    }
}

/// Refuses a folder that holds anything but the examples.
fn check_free(models: &Path) -> Result<()> {
    let has_examples = models.join("digits/model.yaml").exists();
    let mut entries = models.read_dir().into_iter().flatten();
    if entries.next().is_some() && !has_examples {
        bail!(
            "`{0}` holds files other than the examples; name a new folder, or serve this one with \
             `lockgate serve {0}`",
            models.display()
        );
    }
    Ok(())
}

/// Writes the missing files, and keeps the existing ones, which the user may have changed.
fn write_examples(models: &Path, data: &Path) -> Result<()> {
    for (path, content) in FILES {
        let path = match path.strip_prefix("models/") {
            Some(rest) => models.join(rest),
            None => data.join(path.trim_start_matches("data/")),
        };
        if !path.exists() {
            write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Writes to a temporary file and renames it, so that a half-written model is never visible.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let staged: PathBuf = folder.join(".staged");
    fs::write(&staged, content)?;
    fs::rename(&staged, path)
}

fn greeting(address: SocketAddr, config: &Config, models: &Path) -> String {
    let data = config.data_dir.join("demo/data");
    let data = data.display();
    format!(
        "
Try it (in another terminal):

An 8x8 scan of a digit as numbers, answered by the latest version:
  curl http://{address}/predict --json '@{data}/digits-request.json'

The same by version 1:
  curl http://{address}/models/digits/versions/1/predict --json '@{data}/digits-request.json'

A picture of a seven:
  curl 'http://{address}/predict/image?model=digits-image' --form 'file=@{data}/digits-png/7-005.png'

String labels:
  curl http://{address}/models/iris/predict --json '{{\"data\": [[5.1, 3.5, 1.4, 0.2]]}}'

Several requests in one call:
  curl http://{address}/predict/batch --json '{{\"requests\": [
    {{\"model\": \"iris\", \"data\": [[6.2, 2.9, 4.3, 1.3]]}},
    {{\"model\": \"iris\", \"data\": [[1, 2]]}}]}}'

The Open Inference Protocol of Triton and KServe clients (gRPC is on the same port):
  curl http://{address}/v2/models/digits/infer --json '@{data}/digits-infer-request.json'

Models, health and metrics:
  curl http://{address}/models
  curl http://{address}/health
  curl http://{address}/metrics

The API is documented at http://{address}/docs
The models are in {}; changes there are served within seconds.
{}
Ctrl-C stops the server.",
        models.display(),
        match config.is_model_control_enabled {
            true => {
                "Model control is on, unlike in `lockgate serve`: clients may load, unload and \
                 change models."
            }
            false => "Model control is off: clients cannot change models.",
        }
    )
}
