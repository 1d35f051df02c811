//! A whole server in process: folders change, requests run.

mod bandits;
mod new_versions;
mod rollouts;
mod roots;

use std::borrow::Cow;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use contract::testing::RecordingObserver;
use contract::{
    Catalog, Change, FeedbackSink, Lifecycle, ModelName, Recorder, Routing, Traffic, Version,
    VersionSelector, VersionState,
};

use super::*;
use crate::control::controller::REMOVAL_DELAY;
use crate::fake_engine::{FakeEngine, FakeGoldenDecoder, request};

/// A repository on disk and the server over it.
struct TestRepository {
    folder: tempfile::TempDir,
    engine: Arc<FakeEngine>,
    observer: Arc<RecordingObserver>,
    n_renames: AtomicUsize,
}

impl TestRepository {
    /// A repository with these artifacts, `path text` each.
    fn new(files: &[(&str, &str)]) -> Self {
        let repository = Self {
            folder: tempfile::tempdir().unwrap(),
            engine: Arc::new(FakeEngine::default()),
            observer: Arc::new(RecordingObserver::default()),
            n_renames: AtomicUsize::new(0),
        };
        fs::create_dir(repository.path("")).unwrap();
        for (path, text) in files {
            repository.write(path, text);
        }
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("models").join(path)
    }

    /// Puts a file in place in one step, as a careful copy does.
    fn write(&self, path: &str, text: &str) {
        let target = self.path(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let n = self.n_renames.fetch_add(1, Ordering::SeqCst);
        let temporary = self.folder.path().join(format!("file-{n}"));
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, target).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.path(path)).unwrap();
    }

    /// Removes the last version of a model, or its folder, and plays the time until a scan
    /// confirms that. The clock must be paused.
    async fn remove_for_good(&self, path: &str, server: &Server) {
        self.remove(path);
        server.rescan().await.unwrap();
        tokio::time::advance(REMOVAL_DELAY).await;
        server.rescan().await.unwrap();
    }

    fn options(&self) -> ServerOptions {
        ServerOptions {
            poll_interval: Duration::from_secs(3600),
            debounce: Duration::ZERO,
            golden_decoder: Some(Arc::new(FakeGoldenDecoder)),
            // Virtual time runs ahead of the threads that load, and must not end their work.
            load_timeout: Duration::from_secs(365 * 24 * 3600),
            ..ServerOptions::new(
                vec![self.path("")],
                vec![Arc::clone(&self.engine) as Arc<dyn contract::Engine>],
                Arc::clone(&self.observer) as Arc<dyn contract::Observe>,
                NonZeroUsize::MIN,
            )
        }
    }

    /// Starts a server and waits until it has loaded the repository.
    async fn server(&self) -> Arc<Server> {
        let server = Server::start(self.options()).unwrap();
        server.rescan().await.unwrap();
        server
    }
}

fn name(model: &str) -> ModelName {
    ModelName::new(model).unwrap()
}

fn target(model: &str, version: &str) -> Target {
    Target {
        model: Some(name(model)),
        version: VersionSelector::parse(Some(version)),
    }
}

/// Returns what a version adds to zero, or the code of the failure.
async fn predict(server: &Server, model: &str, version: &str) -> Result<f32, Code> {
    let route = server.route(&target(model, version));
    let route = route.map_err(|error| error.code())?;
    let response = server.infer(route, request()).await;
    let response = response.map_err(|error| error.code())?;
    Ok(response.outputs[0].tensor.to_vec::<f32>().unwrap()[0])
}

/// `1 READY, 2 UNAVAILABLE: why`.
fn states(server: &Server, model: &str) -> String {
    let Ok(status) = server.model(&name(model)) else {
        return "unknown".to_owned();
    };
    let versions = status.versions.iter().map(|status| {
        let reason = match status.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("{} {}{reason}", status.version, status.state.as_str())
    });
    versions.collect::<Vec<_>>().join(", ")
}

/// Waits for other threads.
async fn until(is_done: impl Fn() -> bool) {
    while !is_done() {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn requests_are_recorded_while_a_recording_runs() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1"),
        ("a/2/model.fake", "add 2"),
        ("b/1/model.fake", "add 3"),
    ]);
    let server = repository.server().await;
    let timeout = Duration::from_secs(60);
    let recording = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.record(&name("a"), 2, timeout).await })
    };
    while !recording.is_finished() {
        assert_eq!(predict(&server, "b", "1").await, Ok(3.0));
        assert_eq!(predict(&server, "a", "2").await, Ok(2.0));
        tokio::task::yield_now().await;
    }
    let recorded = recording.await.unwrap().unwrap();
    assert_eq!(recorded, vec![request().inputs; 2]);
    let unknown = server.record(&name("nobody"), 2, timeout).await;
    assert_eq!(unknown.unwrap_err().code(), Code::ModelNotFound);
}

#[tokio::test]
async fn the_size_of_the_model_file_is_known() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    let route = server.route(&target("a", "1")).unwrap();
    assert_eq!(route.info.file_bytes, Some(5));
}

#[tokio::test]
async fn several_models_and_versions_are_served_at_once() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1"),
        ("a/2/model.fake", "add 2"),
        ("a/10/model.fake", "add 10"),
        ("b/v1.0/model.fake", "add 100"),
    ]);
    let server = repository.server().await;
    assert_eq!(predict(&server, "a", "1").await, Ok(1.0));
    assert_eq!(predict(&server, "a", "2").await, Ok(2.0));
    assert_eq!(
        predict(&server, "a", "").await,
        Ok(10.0),
        "the highest number"
    );
    assert_eq!(predict(&server, "b", "v1.0").await, Ok(100.0));
    assert_eq!(predict(&server, "c", "").await, Err(Code::ModelNotFound));
    assert_eq!(predict(&server, "a", "3").await, Err(Code::VersionNotFound));
    let names: Vec<_> = server
        .models()
        .into_iter()
        .map(|model| model.name)
        .collect();
    assert_eq!(names, [name("a"), name("b")]);
    assert_eq!(server.statistics(None).unwrap().len(), 4);
    assert_eq!(server.statistics(Some(&name("a"))).unwrap().len(), 3);
    assert!(server.statistics(Some(&name("c"))).is_err());
}

#[tokio::test]
async fn a_server_starts_at_once_and_says_what_is_loading() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = Server::start(repository.options()).unwrap();
    assert_eq!(states(&server, "a"), "1 LOADING: it is being loaded");
    let error = server.route(&target("a", "")).unwrap_err();
    assert_eq!(error.code(), Code::ModelNotReady);
    assert!(error.retry_after().is_some());
    assert!(!server.readiness().is_ready);
    server.rescan().await.unwrap();
    assert_eq!(states(&server, "a"), "1 READY");
    assert!(server.readiness().is_ready);
}

#[tokio::test]
async fn a_root_that_is_not_there_is_an_error_at_the_start() {
    let repository = TestRepository::new(&[]);
    let mut options = repository.options();
    options.roots.push(repository.path("missing"));
    let error = Server::start(options).unwrap_err();
    assert!(error.message().contains("missing"), "{error}");
}

#[tokio::test]
async fn a_version_that_fails_leaves_the_others_serving() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1"),
        ("a/2/model.fake", "fail"),
        ("a/3/model.fake", "panic"),
        ("a/4/other.file", ""),
        ("b/1/model.fake", "add 5"),
        ("b/model.yaml", "instancs: 3"),
    ]);
    let server = repository.server().await;
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    let shown = states(&server, "a").replace(&repository.path("").display().to_string(), "");
    insta::assert_snapshot!(shown.replace(", ", "\n"));
    let problem = server.model(&name("a")).unwrap().problem().unwrap();
    for version in ["version 2: ", "version 3: ", "version 4: "] {
        assert!(problem.contains(version), "{problem}");
    }
    let status = server.model(&name("b")).unwrap();
    assert!(
        status.reason.contains("unknown field `instancs`"),
        "{}",
        status.reason
    );
    assert_eq!(predict(&server, "b", "").await, Err(Code::VersionNotFound));
}

#[tokio::test]
async fn what_failed_is_tried_again_when_it_changes() {
    let repository = TestRepository::new(&[("a/1/model.fake", "fail")]);
    let server = repository.server().await;
    server.rescan().await.unwrap();
    assert_eq!(
        repository.engine.n_loads.load(Ordering::SeqCst),
        1,
        "not without a change"
    );
    repository.write("a/1/model.fake", "add 1");
    server.rescan().await.unwrap();
    assert_eq!(states(&server, "a"), "1 READY");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_versions_are_swapped() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 0")]);
    let server = repository.server().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (server, is_over) = (Arc::clone(&server), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !is_over.load(Ordering::SeqCst) {
                    answers.push(predict(&server, "a", "").await);
                }
                answers
            })
        })
        .collect();
    for swap in 1..=20 {
        repository.write("a/1/model.fake", &format!("add {swap}"));
        server.rescan().await.unwrap();
        assert_eq!(predict(&server, "a", "1").await, Ok(swap as f32));
    }
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        let answers = client.await.unwrap();
        let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
        assert!(failed.is_empty(), "{failed:?} of {}", answers.len());
        let values: Vec<_> = answers.into_iter().flatten().collect();
        assert!(
            values.is_sorted(),
            "a request saw an older version than the one before"
        );
    }
}

#[tokio::test]
async fn two_hundred_reloads_leave_nothing_behind() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 0")]);
    repository.write("a/model.yaml", "instances: 3");
    let server = repository.server().await;
    for swap in 1..=200 {
        repository.write("a/1/model.fake", &format!("add {swap}"));
        server.rescan().await.unwrap();
        assert_eq!(predict(&server, "a", "").await, Ok(swap as f32));
        until(|| repository.engine.n_open.load(Ordering::SeqCst) == 3).await;
    }
    assert_eq!(
        repository.engine.n_most_open.load(Ordering::SeqCst),
        6,
        "old and new, never more"
    );
    drop(server);
    until(|| repository.engine.n_open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_request_keeps_the_version_that_it_was_routed_to() {
    let repository =
        TestRepository::new(&[("a/1/model.fake", "add 1"), ("a/2/model.fake", "add 2")]);
    let server = repository.server().await;
    let route = server.route(&target("a", "")).unwrap();
    repository.remove("a/2");
    server.rescan().await.unwrap();
    assert!(states(&server, "a").starts_with("1 READY, 2 UNLOADING"));
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    assert_eq!(predict(&server, "a", "2").await, Err(Code::ModelNotReady));
    let response = server.infer(route, request()).await.unwrap();
    assert_eq!(response.info.version.as_str(), "2");
    until(|| repository.engine.n_open.load(Ordering::SeqCst) == 1).await;
    until(|| states(&server, "a") == "1 READY").await;
    assert_eq!(predict(&server, "a", "2").await, Err(Code::VersionNotFound));
}

#[tokio::test(start_paused = true)]
async fn a_removed_version_answers_what_it_accepted() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1\ngate"),
        ("b/1/model.fake", "add 2"),
    ]);
    for settings in ["a/model.yaml", "b/model.yaml"] {
        repository.write(
            settings,
            "batching: {enabled: false}\nwarmup: {enabled: false}",
        );
    }
    let server = repository.server().await;
    let client = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { predict(&server, "a", "").await })
    };
    until(|| repository.engine.n_runs.load(Ordering::SeqCst) == 1).await;
    repository.remove_for_good("a", &server).await;
    let status = server.model(&name("a")).unwrap();
    assert_eq!(status.versions[0].state, VersionState::Unloading);
    assert_eq!(status.versions[0].n_in_flight, 1);
    repository.engine.gate.open();
    assert_eq!(client.await.unwrap(), Ok(1.0));
    until(|| states(&server, "a") == "unknown").await;
    until(|| repository.engine.n_open.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_being_copied_is_not_loaded() {
    let debounce = Duration::from_secs(10);
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let mut options = repository.options();
    options.debounce = debounce;
    let server = Server::start(options).unwrap();
    let n_loads = || repository.engine.n_loads.load(Ordering::SeqCst);
    for length in 1..=5 {
        server.rescan().await.unwrap();
        assert!(states(&server, "a").starts_with("1 LOADING: its files have changed"));
        tokio::time::advance(debounce * 9 / 10).await;
        repository.write("a/1/weights", &"x".repeat(length));
    }
    server.rescan().await.unwrap();
    assert_eq!(n_loads(), 0);
    tokio::time::advance(debounce).await;
    server.rescan().await.unwrap();
    assert_eq!(states(&server, "a"), "1 READY");
    assert_eq!(n_loads(), 1);
}

#[tokio::test]
async fn changes_are_found_without_being_asked_for() {
    let repository = TestRepository::new(&[]);
    let server = Server::start(repository.options()).unwrap();
    repository.write("a/1/model.fake", "add 1");
    until(|| states(&server, "a") == "1 READY").await;
}

#[tokio::test]
async fn an_unchanged_model_is_not_loaded_again() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    repository.write("a/model.yaml", "versions: all");
    let server = repository.server().await;
    server.load(&name("a")).await.unwrap();
    repository.write("a/model.yaml", "# the same\nversions: {latest: 3}");
    server.rescan().await.unwrap();
    assert_eq!(repository.engine.n_loads.load(Ordering::SeqCst), 1);
    repository.write("a/model.yaml", "instances: 2");
    server.rescan().await.unwrap();
    assert_eq!(repository.engine.n_loads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_unloaded_model_stays_unloaded_until_it_is_loaded() {
    let repository =
        TestRepository::new(&[("a/1/model.fake", "add 1"), ("b/1/model.fake", "add 2")]);
    let server = repository.server().await;
    server.unload(&name("a")).await.unwrap();
    server.rescan().await.unwrap();
    until(|| states(&server, "a") == "1 UNAVAILABLE: unloaded").await;
    assert_eq!(predict(&server, "a", "").await, Err(Code::VersionNotFound));
    assert!(
        server.readiness().is_ready,
        "an unloaded model does not block readiness"
    );
    until(|| repository.engine.n_open.load(Ordering::SeqCst) == 1).await;
    server.load(&name("a")).await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    let unknown = server.load(&name("c")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::ModelNotFound);
    let unknown = server.unload(&name("c")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::ModelNotFound);
}

#[tokio::test]
async fn a_load_that_an_unload_overtakes_is_a_conflict() {
    let repository = TestRepository::new(&[("b/1/model.fake", "add 2")]);
    let server = repository.server().await;
    let n_runs = || repository.engine.n_runs.load(Ordering::SeqCst);
    let n_before = n_runs();
    repository.write("a/1/model.fake", "add 1\ngate");
    let load = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.load(&name("a")).await })
    };
    // Its warm-up runs.
    until(|| n_runs() > n_before).await;
    server.unload(&name("a")).await.unwrap();
    repository.engine.gate.open();
    let overtaken = load.await.unwrap().unwrap_err();
    assert_eq!(overtaken.code(), Code::Conflict);
    assert!(overtaken.message().contains("overtaken by an unload"));
}

#[tokio::test]
async fn a_model_whose_folder_was_deleted_first_can_be_unloaded() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    repository.remove("a");
    server.unload(&name("a")).await.unwrap();
    server.rescan().await.unwrap();
    server.unload(&name("a")).await.unwrap();
    until(|| states(&server, "a") == "unknown").await;
    assert_eq!(
        server.load(&name("a")).await.unwrap_err().code(),
        Code::ModelNotFound
    );
}

#[tokio::test]
async fn a_load_that_is_asked_for_tells_why_it_failed_and_tries_again() {
    let repository = TestRepository::new(&[("a/1/model.fake", "fail")]);
    let server = repository.server().await;
    let error = server.load(&name("a")).await.unwrap_err();
    assert_eq!(error.message(), "a version 1: the file is not a model");
    assert_eq!(repository.engine.n_loads.load(Ordering::SeqCst), 2);
    repository.write("a/model.yaml", "oops: 1");
    let error = server.load(&name("a")).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidRequest);
    assert!(error.message().contains("`oops`"), "{error}");
}

#[tokio::test]
async fn a_reload_that_fails_leaves_the_old_one_serving_and_says_so() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    repository.write("a/1/model.fake", "fail");
    assert!(server.load(&name("a")).await.is_err());
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    assert!(states(&server, "a").starts_with("1 READY: the files have changed"));
    assert!(server.readiness().is_ready);
}

#[tokio::test]
async fn content_that_fails_a_golden_request_is_not_served_and_the_value_is_named() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1"),
        ("a/1/tests/zeros.json", "0 0 = 1 1"),
    ]);
    let server = repository.server().await;
    assert_eq!(states(&server, "a"), "1 READY");
    repository.write("a/1/model.fake", "add 2");
    let error = server.load(&name("a")).await.unwrap_err();
    let expected =
        "golden request `tests/zeros.json`: output `y` at `[0, 0]`: expected `1`, got `2`";
    assert!(error.message().contains(expected), "{error}");
    let shown = states(&server, "a");
    assert!(
        shown.starts_with("1 READY: ") && shown.contains(expected),
        "{shown}"
    );
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    repository.write("a/1/tests/zeros.json", "0 0 = 2 2");
    server.rescan().await.unwrap();
    assert_eq!(states(&server, "a"), "1 READY");
    assert_eq!(predict(&server, "a", "").await, Ok(2.0));
}

#[tokio::test]
async fn settings_that_break_later_are_a_problem_of_a_ready_model() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    assert_eq!(server.model(&name("a")).unwrap().problem(), None);
    repository.write("a/model.yaml", "instancs: 3");
    server.rescan().await.unwrap();
    let status = server.model(&name("a")).unwrap();
    assert_eq!(status.not_ready_reason(), None);
    let problem = status.problem().unwrap();
    assert!(
        problem.contains("unknown field `instancs`") && problem.contains("line 1, column 1"),
        "{problem}"
    );
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
}

#[tokio::test]
async fn the_latest_version_replaces_the_old_one_without_a_gap() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    repository.write("a/model.yaml", "versions: {latest: 1}");
    let server = repository.server().await;
    repository.write("a/2/model.fake", "fail");
    server.rescan().await.unwrap();
    assert_eq!(
        predict(&server, "a", "").await,
        Ok(1.0),
        "the new one is broken"
    );
    repository.write("a/2/model.fake", "add 2");
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(2.0));
    let left_out = "1 UNAVAILABLE: left out by `versions` in `model.yaml`, 2 READY";
    until(|| states(&server, "a") == left_out).await;
}

#[tokio::test]
async fn a_drive_that_goes_away_takes_no_model_with_it() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    fs::rename(repository.path(""), repository.folder.path().join("away")).unwrap();
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    fs::rename(repository.folder.path().join("away"), repository.path("")).unwrap();
    server.rescan().await.unwrap();
    assert_eq!(repository.engine.n_loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutting_down_takes_readiness_first_and_requests_last() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    server.begin_shutdown();
    assert!(!server.readiness().is_ready);
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    let route = server.route(&target("a", "")).unwrap();
    server.drain().await;
    assert_eq!(predict(&server, "a", "").await, Err(Code::Unavailable));
    assert!(
        server.infer(route, request()).await.is_ok(),
        "it was accepted before"
    );
}

#[tokio::test]
async fn a_route_of_another_server_is_refused() {
    let repository = TestRepository::new(&[("a/1/model.fake", "add 1")]);
    let server = repository.server().await;
    let mut route = server.route(&target("a", "")).unwrap();
    route.handle = Arc::new(());
    let error = server.infer(route, request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_is_reported_once() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1"),
        ("a/2/model.fake", "fail"),
        ("b/1/model.fake", "add 5"),
    ]);
    let server = repository.server().await;
    server.rescan().await.unwrap();
    repository.write("a/1/model.fake", "add 2");
    server.rescan().await.unwrap();
    repository.remove_for_good("a", &server).await;
    until(|| states(&server, "a") == "unknown").await;
    let events = repository.observer.events();
    let changes = events
        .iter()
        .filter(|event| event.starts_with("Version") && event.contains("\"a\""));
    let masked: Vec<_> = changes.map(|event| mask_time(event)).collect();
    insta::assert_snapshot!(masked.join("\n"));
}

/// The event without the load time, which no two runs share.
fn mask_time(event: &str) -> String {
    match event.split_once("Some(") {
        None => event.to_owned(),
        Some((head, _)) => format!("{head}Some(..) }}"),
    }
}

/// A caller whose only trait is his id.
#[derive(Debug)]
struct User(String);

impl AssignmentAttributes for User {
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn field(&self, path: &str) -> Option<Cow<'_, str>> {
        (path == "user_id").then_some(Cow::Borrowed(&self.0))
    }
}

/// The version and the arm of each of a hundred users.
fn assignments(server: &Server) -> Vec<(String, Option<Bytes>)> {
    let assign = |user: u32| {
        let route = server.route_for(&target("a", ""), &User(format!("user_{user}")));
        let route = route.unwrap();
        (route.info.version.to_string(), route.served_by.arm)
    };
    (0..100).map(assign).collect()
}

fn halves(first: &str, second: &str) -> contract::Split {
    let arm = |version: &str| contract::Arm {
        name: version.to_owned(),
        version: version.to_owned(),
        weight: 0.5,
    };
    contract::Split {
        arms: vec![arm(first), arm(second)],
        unit: contract::Unit {
            source: contract::UnitSource::Field("user_id".to_owned()),
            fallback: contract::Fallback::Random,
        },
        hash: contract::AssignmentHash::Xxh3,
        salt: None,
        coverage: 1.0,
        layer: None,
        override_header: None,
        bandit: None,
    }
}

/// Makes a change, or returns the text of its refusal.
async fn change(server: &Server, change: Change) -> Result<Routing, String> {
    let changed = server.change(&name("a"), change, "test").await;
    changed.map_err(|error| error.message().to_owned())
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// `actor: change`, the newest first.
async fn history(server: &Server) -> Vec<String> {
    let entries = server.history(&name("a"), 10).await.unwrap();
    let lines = entries.iter();
    lines
        .map(|entry| format!("{}: {}", entry.actor, entry.what))
        .collect()
}

const TWO_VERSIONS: [(&str, &str); 2] = [("a/1/model.fake", "add 1"), ("a/2/model.fake", "add 2")];

#[tokio::test]
async fn labels_pins_and_splits_survive_the_process() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let options = repository.options();
    let server = Server::start(options.clone()).unwrap();
    server.rescan().await.unwrap();
    let label = Change::Label {
        label: "old".to_owned(),
        version: "1".to_owned(),
    };
    change(&server, label).await.unwrap();
    change(&server, Change::Pin("old".to_owned()))
        .await
        .unwrap();
    change(&server, Change::Split(halves("old", "2")))
        .await
        .unwrap();
    let before = (assignments(&server), history(&server).await);
    assert!(before.0.iter().any(|(version, _)| version == "1"));
    assert!(before.0.iter().any(|(version, _)| version == "2"));
    drop(server);
    let server = Server::start(options).unwrap();
    server.rescan().await.unwrap();
    assert_eq!((assignments(&server), history(&server).await), before);
    assert_eq!(predict(&server, "a", "old").await, Ok(1.0));
    assert_eq!(predict(&server, "a", "").await, Ok(1.0), "pinned");
    let routing = server.model(&name("a")).unwrap().routing;
    assert_eq!(
        (routing.pinned, routing.generation),
        (Some(version("1")), 3)
    );
}

#[tokio::test]
async fn a_split_in_the_settings_holds_until_a_call_says_otherwise() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let split = "traffic: {split: [{version: 1, weight: 1}, {version: 2, weight: 0}]}";
    repository.write("a/model.yaml", split);
    let server = repository.server().await;
    assert!(
        assignments(&server)
            .iter()
            .all(|(version, _)| version == "1")
    );
    let generation = || server.model(&name("a")).unwrap().routing.generation;
    assert_eq!(generation(), 0);
    repository.write(
        "a/model.yaml",
        "traffic: {split: [{version: 2, weight: 1}]}",
    );
    server.rescan().await.unwrap();
    assert_eq!(generation(), 1, "a change of the file is a change");
    assert!(
        assignments(&server)
            .iter()
            .all(|(version, _)| version == "2")
    );
    change(&server, Change::Split(halves("1", "1")))
        .await
        .unwrap_err();
    let mut both = halves("1", "1");
    both.arms[1].name = "again".to_owned();
    change(&server, Change::Split(both)).await.unwrap();
    assert!(
        assignments(&server)
            .iter()
            .all(|(version, _)| version == "1")
    );
    change(&server, Change::Unsplit).await.unwrap();
    server.rescan().await.unwrap();
    assert!(assignments(&server).iter().all(|(_, arm)| arm.is_none()));
}

#[tokio::test]
async fn versions_are_loaded_and_unloaded_one_by_one() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    repository.write("a/model.yaml", "versions: {latest: 1}");
    let server = repository.server().await;
    let left_out = "1 UNAVAILABLE: left out by `versions` in `model.yaml`, 2 READY";
    assert_eq!(states(&server, "a"), left_out);
    change(&server, Change::Load(version("1"))).await.unwrap();
    assert_eq!(states(&server, "a"), "1 READY, 2 READY");
    change(&server, Change::Unload(version("2"))).await.unwrap();
    until(|| states(&server, "a").contains("2 UNAVAILABLE: unloaded")).await;
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "2").await, Err(Code::VersionNotFound));
    repository.write("a/3/model.fake", "fail");
    let error = change(&server, Change::Load(version("3")))
        .await
        .unwrap_err();
    assert!(error.contains("a version 3"), "{error}");
    let error = change(&server, Change::Load(version("4")))
        .await
        .unwrap_err();
    assert!(error.contains("it has `1`, `2`, `3`"), "{error}");
}

#[tokio::test]
async fn a_new_version_that_was_a_mistake_is_taken_back_in_one_step() {
    let repository = TestRepository::new(&TWO_VERSIONS[..1]);
    let server = repository.server().await;
    repository.write("a/2/model.fake", "add 2");
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(2.0));
    until_default_changed(&server).await;
    change(&server, Change::RollBack).await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    let expected = [
        "test: roll back",
        "watch: version 2 answers by default instead of 1",
        "watch: new content of version 2",
        "watch: new content of version 1",
    ];
    assert_eq!(history(&server).await, expected);
}

/// Waits until the repository controller has applied the new default.
async fn until_default_changed(server: &Server) {
    while !history(server)
        .await
        .iter()
        .any(|line| line.contains("instead"))
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_of_an_unknown_or_unloaded_model_is_refused() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let server = repository.server().await;
    let error = server.change(&name("b"), Change::Unpin, "test").await;
    assert_eq!(error.unwrap_err().code(), Code::ModelNotFound);
    server.unload(&name("a")).await.unwrap();
    let error = change(&server, Change::Load(version("1")))
        .await
        .unwrap_err();
    assert!(error.contains("load the model first"), "{error}");
}

/// A disk that is full.
#[derive(Debug)]
struct FullDisk;

impl contract::Store for FullDisk {
    fn records(&self, _: &str) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn entries(&self, _: &str, _: &str, _: usize) -> Result<Vec<String>> {
        Err(Error::internal("cannot be read"))
    }

    fn write(&self, _: &[contract::Write]) -> Result<()> {
        Err(Error::internal("no space left"))
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_persisted_is_refused_and_serving_goes_on() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let options = ServerOptions {
        store: Arc::new(FullDisk),
        ..repository.options()
    };
    let server = Server::start(options).unwrap();
    server.rescan().await.unwrap();
    let error = server
        .change(&name("a"), Change::Pin("1".to_owned()), "test")
        .await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.code(), error.diagnostic()),
        (Code::Internal, Some("no space left"))
    );
    assert_eq!(
        server.model(&name("a")).unwrap().routing,
        Routing::default()
    );
    assert_eq!(predict(&server, "a", "").await, Ok(2.0));
    assert!(server.history(&name("a"), 1).await.is_err());
}

#[tokio::test]
async fn a_restarted_server_is_not_ready_before_every_arm_of_its_split_is() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let options = repository.options();
    let server = Server::start(options.clone()).unwrap();
    server.rescan().await.unwrap();
    change(&server, Change::Split(halves("1", "2")))
        .await
        .unwrap();
    drop(server);
    let server = Server::start(options).unwrap();
    let reason = server.readiness().reason;
    assert!(
        reason.contains("`1` of its split is being loaded"),
        "{reason}"
    );
    let route = server.route_for(&target("a", ""), &User("user_1".to_owned()));
    assert_eq!(route.unwrap_err().code(), Code::ModelNotReady);
    server.rescan().await.unwrap();
    assert!(server.readiness().is_ready);
}

#[tokio::test]
async fn a_server_does_not_wait_for_an_arm_without_traffic() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let options = repository.options();
    let server = Server::start(options.clone()).unwrap();
    server.rescan().await.unwrap();
    let mut split = halves("1", "2");
    for (arm, weight) in split.arms.iter_mut().zip([1.0, 0.0]) {
        arm.weight = weight;
    }
    change(&server, Change::Split(split)).await.unwrap();
    drop(server);
    let reason = Server::start(options).unwrap().readiness().reason;
    assert!(reason.contains("`1` of its split is being"), "{reason}");
    assert!(!reason.contains("`2` of its split"), "{reason}");
}

#[tokio::test]
async fn a_label_is_as_good_as_a_version_and_protects_it() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let server = repository.server().await;
    let label = |version: &str| Change::Label {
        label: "stable".to_owned(),
        version: version.to_owned(),
    };
    change(&server, label("1")).await.unwrap();
    assert_eq!(predict(&server, "a", "stable").await, Ok(1.0));
    let error = change(&server, Change::Unload(version("1")))
        .await
        .unwrap_err();
    assert!(error.contains("the label `stable` is on it"), "{error}");
    change(&server, label("2")).await.unwrap();
    assert_eq!(predict(&server, "a", "stable").await, Ok(2.0));
    let status = server.model(&name("a")).unwrap();
    assert_eq!(status.version("stable").unwrap().version, version("2"));
    change(&server, Change::Unlabel("stable".to_owned()))
        .await
        .unwrap();
    assert_eq!(
        predict(&server, "a", "stable").await,
        Err(Code::VersionNotFound)
    );
}

#[tokio::test]
async fn a_split_without_salt_is_another_one_in_another_model() {
    let files = ["a/1", "a/2", "b/1", "b/2"].map(|folder| format!("{folder}/model.fake"));
    let files: Vec<_> = files.iter().map(|path| (path.as_str(), "add 1")).collect();
    let repository = TestRepository::new(&files);
    let server = repository.server().await;
    for model in ["a", "b"] {
        let split = Change::Split(halves("1", "2"));
        server.change(&name(model), split, "test").await.unwrap();
    }
    let arm = |model: &str, user: u32| {
        let user = User(format!("user_{user}"));
        server
            .route_for(&target(model, ""), &user)
            .unwrap()
            .served_by
            .arm
    };
    let n_same = (0..1000)
        .filter(|&user| arm("a", user) == arm("b", user))
        .count();
    assert!(
        (400..600).contains(&n_same),
        "{n_same} of 1000 users have the same arm"
    );
}

#[tokio::test]
async fn arms_are_counted_unless_they_are_forced_or_named() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let server = repository.server().await;
    let mut split = halves("1", "2");
    split.override_header = Some("x-arm".to_owned());
    change(&server, Change::Split(split)).await.unwrap();
    for user in 0..20 {
        let user = User(format!("user_{user}"));
        let route = server.route_for(&target("a", ""), &user).unwrap();
        server.infer(route, request()).await.unwrap();
    }
    let named = server.route_for(&target("a", "1"), &User("user_1".to_owned()));
    server.infer(named.unwrap(), request()).await.unwrap();
    let results = server.model(&name("a")).unwrap().routing.results;
    let counts: Vec<_> = results.iter().map(|result| result.n_requests).collect();
    assert_eq!(counts.iter().sum::<u64>(), 20, "{results:?}");
    assert!(counts.iter().all(|&count| count > 0), "{results:?}");
    assert!(
        results
            .iter()
            .all(|result| result.n_errors == 0 && result.p99.is_some())
    );
    change(&server, Change::Unsplit).await.unwrap();
    assert_eq!(server.model(&name("a")).unwrap().routing.results, []);
}
