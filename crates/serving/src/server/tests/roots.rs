//! Roots that are empty, lost and back, and models whose files go.

use super::*;

/// Hides everything in the repository, as an empty folder that is mounted over it.
fn mount_over(repository: &TestRepository) {
    fs::rename(repository.path(""), repository.folder.path().join("away")).unwrap();
    fs::create_dir(repository.path("")).unwrap();
}

fn unmount(repository: &TestRepository) {
    fs::remove_dir(repository.path("")).unwrap();
    fs::rename(repository.folder.path().join("away"), repository.path("")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_emptied_root_keeps_what_serves_with_a_warning_until_it_is_back() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let server = repository.server().await;
    mount_over(&repository);
    for _ in 0..3 {
        server.rescan().await.unwrap();
        tokio::time::advance(REMOVAL_DELAY).await;
    }
    assert_eq!(states(&server, "a"), "1 READY, 2 READY");
    assert_eq!(predict(&server, "a", "").await, Ok(2.0));
    let lost = format!(
        "no model was found in `{}`; the models that it had are served as they were loaded",
        repository.path("").display()
    );
    let readiness = server.readiness();
    assert_eq!(
        (readiness.is_ready, readiness.warnings),
        (true, vec![lost.clone()])
    );
    assert_eq!(server.model(&name("a")).unwrap().problem(), Some(lost));
    unmount(&repository);
    server.rescan().await.unwrap();
    assert_eq!(server.readiness().warnings, [""; 0]);
    assert_eq!(server.model(&name("a")).unwrap().problem(), None);
    assert_eq!(repository.engine.n_loads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_emptied_step_by_step_is_lost_as_a_whole() {
    let repository =
        TestRepository::new(&[("a/1/model.fake", "add 1"), ("b/1/model.fake", "add 2")]);
    let server = repository.server().await;
    repository.remove("a");
    server.rescan().await.unwrap();
    repository.remove("b");
    tokio::time::advance(REMOVAL_DELAY).await;
    server.rescan().await.unwrap();
    tokio::time::advance(REMOVAL_DELAY).await;
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    assert_eq!(predict(&server, "b", "").await, Ok(2.0));
    assert_eq!(server.readiness().warnings.len(), 1);
}

#[tokio::test]
async fn a_server_is_not_ready_before_the_first_models_that_it_finds_serve() {
    let repository = TestRepository::new(&[]);
    let server = repository.server().await;
    let readiness = server.readiness();
    assert!(!readiness.is_ready);
    assert!(
        readiness.reason.starts_with("no model was found in `"),
        "{readiness:?}"
    );
    repository.write("a/1/model.fake", "fail");
    server.rescan().await.unwrap();
    let readiness = server.readiness();
    assert!(readiness.reason.contains("model `a`: "), "{readiness:?}");
    repository.write("a/1/model.fake", "add 1");
    server.rescan().await.unwrap();
    assert!(server.readiness().is_ready);
}

#[tokio::test]
async fn models_of_a_lost_root_are_unloaded_by_a_call_at_once() {
    let repository = TestRepository::new(&TWO_VERSIONS);
    let server = repository.server().await;
    mount_over(&repository);
    server.rescan().await.unwrap();
    change(&server, Change::Unload(version("2"))).await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    server.unload(&name("a")).await.unwrap();
    assert!(predict(&server, "a", "").await.is_err());
    server.rescan().await.unwrap();
    until(|| states(&server, "a") == "unknown").await;
    let readiness = server.readiness();
    assert!(
        readiness.is_ready,
        "nothing is lost any more: {readiness:?}"
    );
    assert_eq!(readiness.warnings.len(), 1, "{readiness:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_root_holds_nothing_of_another_root() {
    let repository = TestRepository::new(&[
        ("a/1/model.fake", "add 1"),
        ("../other/b/1/model.fake", "add 2"),
    ]);
    let other = repository.folder.path().join("other");
    repository.write("../other/c/1/model.fake", "add 3");
    let mut options = repository.options();
    options.roots.push(other);
    let server = Server::start(options).unwrap();
    server.rescan().await.unwrap();
    mount_over(&repository);
    repository.remove_for_good("../other/b", &server).await;
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    assert_eq!(predict(&server, "b", "").await, Err(Code::ModelNotFound));
    assert_eq!(predict(&server, "c", "").await, Ok(3.0));
    let warnings = server.readiness().warnings.join("");
    assert!(
        warnings.contains("models") && !warnings.contains("other"),
        "{warnings}"
    );
}

#[tokio::test]
async fn loads_that_failed_while_the_root_was_lost_are_tried_again() {
    let repository =
        TestRepository::new(&[("a/1/model.fake", "add 1"), ("b/1/model.fake", "add 2")]);
    let server = Server::start(repository.options()).unwrap();
    mount_over(&repository);
    server.rescan().await.unwrap();
    assert!(!server.readiness().is_ready);
    unmount(&repository);
    server.rescan().await.unwrap();
    assert_eq!(states(&server, "a"), "1 READY");
    assert_eq!(states(&server, "b"), "1 READY");
    assert!(server.readiness().is_ready);
}

#[tokio::test(start_paused = true)]
async fn the_last_version_is_unloaded_when_a_second_look_misses_it_too() {
    let files = [("a/1/model.fake", "add 1"), ("b/1/model.fake", "add 2")];
    let repository = TestRepository::new(&files);
    repository.write("a/model.yaml", "instances: 1");
    let server = repository.server().await;
    repository.remove("a/1");
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    let problem = server.model(&name("a")).unwrap().problem().unwrap();
    assert!(
        problem.contains("until a second scan misses them too"),
        "{problem}"
    );
    assert!(server.readiness().is_ready);
    // No scan is asked for, and the next regular one is an hour away.
    tokio::time::advance(REMOVAL_DELAY).await;
    until(|| states(&server, "a").is_empty()).await;
    assert_eq!(predict(&server, "b", "").await, Ok(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_replaced_is_never_out_of_service() {
    let repository =
        TestRepository::new(&[("a/1/model.fake", "add 1"), ("b/1/model.fake", "add 2")]);
    let split = "traffic: {split: [{version: 1, weight: 1}]}";
    repository.write("a/model.yaml", split);
    let server = repository.server().await;
    let n_arms = || server.model(&name("a")).unwrap().routing.results.len();
    assert_eq!(n_arms(), 1);
    repository.remove("a");
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "").await, Ok(1.0));
    assert_eq!(n_arms(), 1, "the split stays as well");
    tokio::time::advance(REMOVAL_DELAY * 9 / 10).await;
    repository.write("a/2/model.fake", "add 7");
    server.rescan().await.unwrap();
    assert_eq!(predict(&server, "a", "2").await, Ok(7.0));
    assert_eq!(predict(&server, "a", "1").await, Err(Code::VersionNotFound));
}
