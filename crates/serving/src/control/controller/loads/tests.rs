//! Loads that take long, with an engine whose runs wait for a gate.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use contract::testing::RecordingObserver;
use contract::{Engine, ModelName, Version};

use super::*;
use crate::catalog::artifact::VersionArtifact;
use crate::catalog::layout::{EngineArtifact, Fingerprint};
use crate::catalog::settings::{SettingsDefaults, parse, resolve};
use crate::fake_engine::FakeEngine;
use crate::instance::watchdog::Watchdog;

const LIMIT: Duration = Duration::from_secs(60);

struct TestLoads {
    folder: tempfile::TempDir,
    engine: Arc<FakeEngine>,
    version_loader: Arc<VersionLoader>,
    loads: Loads,
}

impl TestLoads {
    fn new() -> Self {
        let engine = Arc::new(FakeEngine::default());
        let version_loader = VersionLoader {
            engines: vec![Arc::clone(&engine) as Arc<dyn Engine>],
            observe: Arc::new(RecordingObserver::default()),
            watchdog: Arc::new(Watchdog::start().unwrap()),
            golden_decoder: None,
            exposes_engine_errors: true,
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            engine,
            version_loader: Arc::new(version_loader),
            loads: Loads::new(LIMIT),
        }
    }

    /// Starts to load a model of this name whose artifact has this text.
    fn start(&mut self, model: &str, text: &str) {
        let path = self.folder.path().join(model);
        fs::write(&path, text).unwrap();
        let yaml = Path::new("model.yaml");
        let defaults = SettingsDefaults {
            cores: NonZeroUsize::MIN,
            max_queue_rows: NonZeroUsize::MIN,
            timeout: None,
            new_versions: contract::NewVersions::Serve,
        };
        let file = parse("", yaml).unwrap();
        let settings = resolve(file, yaml, &defaults, |_| unreachable!()).unwrap();
        let job = LoadJob {
            model: ModelName::new(model).unwrap(),
            version: Version::new("1").unwrap(),
            artifact: VersionArtifact {
                path: self.folder.path().to_owned(),
                artifacts: vec![EngineArtifact {
                    engine: "fake",
                    path,
                }],
                fingerprint: Fingerprint::of(1),
                settings: settings.version_settings,
            },
        };
        self.loads.start(job, &self.version_loader);
    }

    /// The next load that ends: its model, and its error.
    async fn finished(&mut self) -> (String, Option<String>) {
        let (job, result) = self.loads.next().await.expect("no load has ended");
        let error = result.err().map(|error| error.to_string());
        (job.model.to_string(), error)
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_warm_up_lets_other_models_load() {
    let mut test = TestLoads::new();
    test.start("endless", "gate");
    assert!(!test.loads.can_start());
    time::advance(SLOW).await;
    assert!(test.loads.next().await.is_none());
    assert!(test.loads.can_start());
    test.start("quick", "add 1");
    assert!(!test.loads.can_start());
    assert_eq!(test.finished().await, ("quick".to_owned(), None));
    test.engine.gate.open();
    assert_eq!(test.finished().await, ("endless".to_owned(), None));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_reaches_its_limit_has_failed_and_makes_room() {
    let mut test = TestLoads::new();
    test.start("endless", "gate");
    time::advance(LIMIT).await;
    let (model, error) = test.finished().await;
    let error = error.unwrap();
    assert_eq!(model, "endless");
    assert!(error.contains("60000 ms"), "{error}");
    assert!(error.contains("`load_timeout_ms`"), "{error}");
    assert!(test.loads.can_start());
    test.start("quick", "add 1");
    assert_eq!(test.finished().await, ("quick".to_owned(), None));
    test.engine.gate.open();
}

#[tokio::test(start_paused = true)]
async fn no_more_loads_than_the_most_are_in_progress() {
    let mut test = TestLoads::new();
    let mut n_loads = 0;
    while test.loads.can_start() {
        test.start(&format!("endless{n_loads}"), "gate");
        n_loads += 1;
        time::advance(SLOW).await;
        assert!(test.loads.next().await.is_none());
    }
    assert_eq!(n_loads, MAX_LOADS);
    test.engine.gate.open();
}

#[tokio::test]
async fn an_engine_that_panics_fails_its_load_alone() {
    let mut test = TestLoads::new();
    test.start("broken", "panic");
    let (_, error) = test.finished().await;
    assert!(error.unwrap().contains("see the server log"));
    assert!(test.loads.can_start());
}
