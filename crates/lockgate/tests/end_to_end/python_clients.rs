//! The clients that users have, unchanged: each script is a `unittest` of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use contract::ElementType;
use engines::testing::OnnxModel;

use crate::process::{Lockgate, examples, python};

/// A model `identity-FP32` for each element type, which repeats its input.
fn write_identity_models(repository: &Path) {
    for element_type in ElementType::ALL {
        let folder = repository.join(format!("identity-{element_type}/1"));
        fs::create_dir_all(&folder).unwrap();
        let model = OnnxModel::identity(element_type, "batch,width");
        fs::write(folder.join("model.onnx"), model.to_bytes()).unwrap();
    }
}

/// Runs a Python test against the example models, and a model for each element type.
fn run(script: &str) {
    let repository = tempfile::tempdir().unwrap();
    crate::process::copy_folder(&examples().join("models"), repository.path());
    write_identity_models(repository.path());
    let server = Lockgate::serve(repository.path(), &["--model-control", "true"]);
    run_against(&server, script);
}

/// Runs a Python test against a server.
pub(crate) fn run_against(server: &Lockgate, script: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let output = Command::new(python())
        .current_dir(&folder)
        .args(["-W", "ignore", "-m", "unittest", "-v", script])
        .env("LOCKGATE_ADDRESS", &server.address)
        .env("LOCKGATE_EXAMPLES", examples())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(report.contains("\nOK"), "{report}");
}

#[test]
fn tritonclient_over_http_works_unchanged() {
    run("test_tritonclient_http");
}

#[test]
fn tritonclient_over_grpc_works_unchanged() {
    run("test_tritonclient_grpc");
}

#[test]
fn tritonclient_asyncio_works_unchanged() {
    run("test_tritonclient_aio");
}

#[test]
fn kserve_clients_work_unchanged() {
    run("test_kserve");
}
