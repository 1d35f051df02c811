//! Loading versions with a fake engine: refusals, and the information about the others.

use std::path::Path;
use std::sync::atomic::Ordering;

use contract::testing::RecordingObserver;

use super::super::layout::Fingerprint;
use super::super::settings::{SettingsDefaults, parse, resolve};
use super::*;
use crate::fake_engine::FakeEngine;

/// Opens an artifact of this text with these settings.
fn open(artifact: &str, settings: &str) -> Result<Arc<LoadedVersion>> {
    open_with(artifact, settings, Arc::default())
}

fn open_with(
    artifact: &str,
    settings: &str,
    engine: Arc<FakeEngine>,
) -> Result<Arc<LoadedVersion>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.fake");
    fs::write(&path, artifact).unwrap();
    let yaml = Path::new("model.yaml");
    let defaults = SettingsDefaults {
        cores: NonZeroUsize::MIN,
        max_queue_rows: NonZeroUsize::MIN,
        timeout: None,
        new_versions: contract::NewVersions::Serve,
    };
    let file = parse(settings, yaml).unwrap();
    let settings = resolve(file, yaml, &defaults, |_| unreachable!()).unwrap();
    let version_artifact = VersionArtifact {
        path: "models/m/1".into(),
        artifacts: vec![EngineArtifact {
            engine: "fake",
            path,
        }],
        fingerprint: Fingerprint::of(1),
        settings: settings.version_settings,
    };
    let version_loader = VersionLoader {
        engines: vec![engine],
        observe: Arc::new(RecordingObserver::default()),
        watchdog: Arc::new(Watchdog::start().unwrap()),
        golden_decoder: None,
        exposes_engine_errors: true,
    };
    let (model, version) = (ModelName::new("m").unwrap(), Version::new("1").unwrap());
    let cancellation = LoadCancellation::default();
    version_loader.open(&model, &version, &version_artifact, &cancellation)
}

#[test]
fn settings_that_do_not_fit_the_model_fail_its_load() {
    let cases = [
        ("add 1", "engine: onnx"),
        ("fixed", "batching: {enabled: true}"),
        ("add 1", "image: {channels: rgb}"),
        ("add 1", "warmup: {shapes: {z: [1]}}"),
        ("fail", ""),
        ("lose", ""),
        ("lose", "batching: {enabled: false}"),
    ];
    let mut shown = String::new();
    for (artifact, settings) in cases {
        let error = match open(artifact, settings) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => format!("{}: {error}", error.code()),
        };
        shown.push_str(&format!("{artifact:?} with {settings:?}\n    {error}\n"));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn settings_that_fit_the_model_are_accepted() {
    let cases = [
        ("refuse 32", ""),
        ("refuse 4", "warmup: {batch_sizes: [4]}"),
        ("wide\nrefuse 1", "warmup: {shapes: {x: [1, 9]}}"),
        ("refuse 1", "batching: {enabled: true}"),
        ("peak", "batching: {enabled: true}"),
        ("refuse 32", "batching: {enabled: false}"),
        ("refuse 32", "batching: {max_size: 8}"),
        ("refuse 1", "warmup: {enabled: false}"),
        ("wide\nrefuse 1", ""),
        ("fixed", "batching: {enabled: false}"),
    ];
    let mut failures = Vec::new();
    for (artifact, settings) in cases {
        if let Err(error) = open(artifact, settings) {
            failures.push(format!("{artifact:?} with {settings:?}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn model_info_comes_from_artifact_engine_and_settings() {
    let settings = "description: d\ninstances: 3\nlabels: [a, b]\ntimeout_ms: 50\n\
                    batching: {max_request_rows: 8, max_size: 4, max_delay_ms: 2}\n\
                    output: {softmax: true}";
    let loaded_version = open("add 1", settings).unwrap();
    let info = loaded_version.info();
    assert_eq!(info.max_request_rows, NonZeroUsize::new(8));
    assert_eq!(info.max_batch_rows, NonZeroUsize::new(4));
    assert!(info.is_batching);
    assert_eq!(info.max_batch_delay, Duration::from_millis(2));
    assert_eq!(info.n_instances, 3);
    assert_eq!(info.session_layout.provider, "cpu");
    assert_eq!(info.session_layout.threads, NonZeroUsize::MIN);
    assert_eq!(info.platform, "fake_platform");
    assert_eq!(info.description, "d");
    assert_eq!(info.label(1), Some("b"));
    assert_eq!(info.default_timeout, Some(Duration::from_millis(50)));
    assert!(info.output.softmax);
    assert!(info.created_at > SystemTime::UNIX_EPOCH);
    // What `printf 'add 1' | sha256sum` prints.
    let hash = "d44a9ad397a04fb65eb32f6edbd69c2d98b94317f07942084cf50f81699ba850";
    assert_eq!(info.content_hash.as_deref(), Some(hash));
    assert_eq!(info.metadata["provider"], "cpu");
}

/// Returns whether requests are joined, with the reason.
fn decided(artifact: &str, settings: &str) -> (bool, String) {
    let loaded_version = open(artifact, settings).unwrap();
    let info = loaded_version.info();
    assert_eq!(
        info.max_request_rows.is_some(),
        info.is_batching,
        "{artifact} {settings}"
    );
    assert_eq!(
        info.max_batch_rows.is_some(),
        info.is_batching,
        "{artifact} {settings}"
    );
    (info.is_batching, info.batching_reason.clone())
}

#[test]
fn requests_are_joined_where_that_is_proven_or_asked_for() {
    let cases = [
        ("add 1", ""),
        ("wide", ""),
        ("peak", ""),
        ("refuse 1", ""),
        ("refuse 6", ""),
        ("fixed", ""),
        ("add 1", "batching: {max_size: 1}"),
        ("add 1", "batching: {enabled: false}"),
        ("add 1", "warmup: {enabled: false}"),
        ("add 1", "batching: {enabled: true}"),
        ("peak", "batching: {enabled: true}"),
        (
            "peak",
            "batching: {enabled: true}\nwarmup: {enabled: false}",
        ),
        ("refuse 1", "batching: {enabled: true}"),
    ];
    let mut shown = String::new();
    for (artifact, settings) in cases {
        let (is_batching, reason) = decided(artifact, settings);
        shown.push_str(&format!(
            "{artifact:?} with {settings:?}: {is_batching}\n    {reason}\n"
        ));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn sessions_that_pad_runs_are_opened_again_without_where_rows_meet() {
    let engine = |artifact: &str| {
        let engine = Arc::new(FakeEngine::default());
        open_with(artifact, "", Arc::clone(&engine)).unwrap();
        engine.n_loads.load(Ordering::SeqCst)
    };
    assert_eq!(engine("peak\npads"), 2);
    assert_eq!(engine("add 1\npads"), 1);
    assert_eq!(engine("peak"), 1);
}

#[test]
fn warm_up_measures_what_batches_cost() {
    let loaded_version = open("add 1", "batching: {max_size: 4}").unwrap();
    let curve = loaded_version.scheduling().curve;
    assert!(
        curve.len() > 1 && (curve[0].rows - 1.0).abs() < 1e-9,
        "{curve:?}"
    );
    let loaded_version = open("refuse 1", "").unwrap();
    assert_eq!(
        loaded_version.scheduling().curve,
        [],
        "zeros that fail measure nothing"
    );
    let loaded_version = open("add 1", "warmup: {enabled: false}").unwrap();
    assert_eq!(loaded_version.scheduling().curve, []);
    assert_eq!(loaded_version.scheduling().predicted_wait, None);
}

#[test]
fn model_without_batch_dimension_does_not_batch() {
    let loaded_version = open("fixed", "batching: {max_delay_ms: 2}").unwrap();
    assert_eq!(loaded_version.info().max_request_rows, None);
    assert_eq!(loaded_version.info().max_batch_rows, None);
    assert!(!loaded_version.info().is_batching);
    assert_eq!(loaded_version.info().max_batch_delay, Duration::ZERO);
    let loaded_version = open("add 1", "batching: {max_size: 1}").unwrap();
    assert!(
        !loaded_version.info().is_batching,
        "a batch of one is no batch"
    );
}
