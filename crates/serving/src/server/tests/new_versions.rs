//! Models whose new versions wait.

use contract::{NewVersions, Rollouts};

use super::*;

const WAIT: &str = "new_versions: wait";

/// A server with version 1 of model `a`, whose later versions wait.
async fn server_with_one_version() -> (TestRepository, Arc<Server>) {
    let repository = TestRepository::new(&TWO_VERSIONS[..1]);
    repository.write("a/model.yaml", WAIT);
    let server = repository.server().await;
    (repository, server)
}

async fn add_second(repository: &TestRepository, server: &Server) {
    repository.write("a/2/model.fake", "add 2");
    server.rescan().await.unwrap();
}

/// Sends a request that names no version.
async fn by_default(server: &Server) -> Result<f32, Code> {
    predict(server, "a", "").await
}

#[tokio::test]
async fn a_new_version_waits_until_it_is_pinned() {
    let (repository, server) = server_with_one_version().await;
    assert_eq!(
        by_default(&server).await,
        Ok(1.0),
        "the only version answers"
    );
    add_second(&repository, &server).await;
    assert_eq!(by_default(&server).await, Ok(1.0));
    assert_eq!(predict(&server, "a", "2").await, Ok(2.0));
    assert_eq!(
        states(&server, "a"),
        "1 READY, 2 READY: it waits: version 1 answers by default until this one is pinned or has \
         won a rollout"
    );
    change(&server, Change::Pin("2".to_owned())).await.unwrap();
    assert_eq!(by_default(&server).await, Ok(2.0));
    assert_eq!(states(&server, "a"), "1 READY, 2 READY");
    change(&server, Change::Unpin).await.unwrap();
    assert_eq!(by_default(&server).await, Ok(2.0), "it was promoted");
    repository.write("a/3/model.fake", "add 3");
    server.rescan().await.unwrap();
    assert_eq!(by_default(&server).await, Ok(2.0));
}

#[tokio::test]
async fn a_promotion_is_taken_back_in_one_step() {
    let (repository, server) = server_with_one_version().await;
    add_second(&repository, &server).await;
    change(&server, Change::Pin("2".to_owned())).await.unwrap();
    change(&server, Change::RollBack).await.unwrap();
    assert_eq!(by_default(&server).await, Ok(1.0));
}

#[tokio::test]
async fn a_version_that_arrives_while_the_server_is_away_waits_too() {
    let repository = TestRepository::new(&TWO_VERSIONS[..1]);
    repository.write("a/model.yaml", WAIT);
    let options = repository.options();
    let server = Server::start(options.clone()).unwrap();
    server.rescan().await.unwrap();
    assert_eq!(by_default(&server).await, Ok(1.0));
    drop(server);
    repository.write("a/2/model.fake", "add 2");
    let server = Server::start(options).unwrap();
    server.rescan().await.unwrap();
    assert_eq!(by_default(&server).await, Ok(1.0));
}

#[tokio::test]
async fn without_state_the_highest_version_of_the_first_scan_answers() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    repository.write("a/model.yaml", WAIT);
    let server = repository.server().await;
    assert_eq!(by_default(&server).await, Ok(2.0));
}

#[tokio::test]
async fn a_version_waits_when_the_setting_comes_with_it() {
    let repository = TestRepository::new(&TWO_VERSIONS[..1]);
    let server = repository.server().await;
    repository.write("a/model.yaml", WAIT);
    add_second(&repository, &server).await;
    assert_eq!(by_default(&server).await, Ok(1.0));
}

#[tokio::test]
async fn the_server_sets_the_default_and_the_model_overrides_it() {
    let repository = TestRepository::new(&TWO_VERSIONS[..1]);
    let options = ServerOptions {
        new_versions: NewVersions::Wait,
        ..repository.options()
    };
    let server = Server::start(options).unwrap();
    server.rescan().await.unwrap();
    add_second(&repository, &server).await;
    assert_eq!(by_default(&server).await, Ok(1.0));
    repository.write("a/model.yaml", "new_versions: serve");
    server.rescan().await.unwrap();
    assert_eq!(by_default(&server).await, Ok(2.0));
}

#[tokio::test]
async fn the_version_that_answers_stays_though_the_settings_leave_it_out() {
    let (repository, server) = server_with_one_version().await;
    repository.write(
        "a/model.yaml",
        "{new_versions: wait, versions: {latest: 1}}",
    );
    add_second(&repository, &server).await;
    assert_eq!(by_default(&server).await, Ok(1.0));
    change(&server, Change::Pin("2".to_owned())).await.unwrap();
    until(|| states(&server, "a").contains("1 UNAVAILABLE")).await;
    assert_eq!(by_default(&server).await, Ok(2.0));
    let refused = change(&server, Change::RollBack).await.unwrap_err();
    assert!(
        refused.contains("`1` of model `a` is not ready"),
        "{refused}"
    );
    assert_eq!(by_default(&server).await, Ok(2.0));
}

#[tokio::test]
async fn the_version_that_answers_cannot_be_unloaded_while_others_wait() {
    let (repository, server) = server_with_one_version().await;
    add_second(&repository, &server).await;
    let refused = change(&server, Change::Unload(version("1"))).await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("pin another version"), "{refused}");
    change(&server, Change::Unload(version("2"))).await.unwrap();
    change(&server, Change::Unload(version("1"))).await.unwrap();
}

#[tokio::test]
async fn when_the_answering_version_is_removed_the_one_before_it_answers() {
    let (repository, server) = server_with_one_version().await;
    add_second(&repository, &server).await;
    change(&server, Change::Pin("2".to_owned())).await.unwrap();
    change(&server, Change::Unpin).await.unwrap();
    repository.write("a/3/model.fake", "add 3");
    server.rescan().await.unwrap();
    repository.remove("a/2");
    server.rescan().await.unwrap();
    assert_eq!(by_default(&server).await, Ok(1.0), "not the waiting one");
    repository.remove("a/1");
    server.rescan().await.unwrap();
    assert_eq!(by_default(&server).await, Ok(3.0), "nothing else is left");
}

/// Starts a rollout from version 1 to 2; returns the warnings.
async fn warnings_of_start(server: &Server) -> Vec<String> {
    let file = "rollout: {id: r, model: a, stable: 1, candidate: 2}";
    let started = server.start(file, "ada").await.unwrap();
    let started: api::rollout::Status = serde_json::from_str(started.as_str()).unwrap();
    started.warnings
}

#[tokio::test]
async fn a_rollout_starts_with_a_warning_when_stable_did_not_answer() {
    for (settings, n_versions, part) in [
        (WAIT, 2, ""),
        ("new_versions: serve", 2, "candidate `2`"),
        ("new_versions: serve", 3, "version `3`"),
    ] {
        let repository = TestRepository::new(&TWO_VERSIONS[..1]);
        repository.write("a/model.yaml", settings);
        let server = repository.server().await;
        for version in 2..=n_versions {
            repository.write(&format!("a/{version}/model.fake"), "add 2");
        }
        server.rescan().await.unwrap();
        let warnings = warnings_of_start(&server).await;
        assert_eq!(warnings.is_empty(), part.is_empty(), "{warnings:?}");
        assert!(
            warnings.iter().all(|warning| warning.contains(part)),
            "{warnings:?}"
        );
    }
}
