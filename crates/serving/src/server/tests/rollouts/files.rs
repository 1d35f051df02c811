//! Rollout files in the folder of their model.

use super::*;

/// A file that stays in its first step, because nothing is sent.
const FILE: &str = "rollout:\n  id: r\n  warmup: {source: none}\n  steps: [5, 50]\n";

/// Enough seconds for a file to be found, to settle and to start.
const A_WHILE: usize = 5;

/// A server whose only version answers, and whose new versions wait.
async fn fixture() -> Fixture {
    let settings = "{execution: inline, new_versions: wait}";
    let files = [("m/1/model.fake", "add 1"), ("m/model.yaml", settings)];
    let repository = TestRepository::new(&files);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let block = Duration::from_secs(1);
    let server = Fixture::serve(&repository, &store, Vec::new(), block).await;
    Fixture {
        repository,
        store,
        server,
        n_failed: 0,
    }
}

impl Fixture {
    async fn write(&mut self, path: &str, text: &str) {
        self.repository.write(path, text);
        self.server.rescan().await.unwrap();
        self.seconds(A_WHILE).await;
    }

    fn warning(&self) -> String {
        self.server.model(&name("m")).unwrap().warnings.join("; ")
    }

    fn has_rollout(&self) -> bool {
        self.server.status("r").is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_arrives_starts_its_rollout_by_the_file() {
    let mut fixture = fixture().await;
    fixture.write("m/rollout.yaml", FILE).await;
    assert!(!fixture.has_rollout() && fixture.warning().is_empty());
    fixture.write("m/2/model.fake", "add 2").await;
    assert_eq!(fixture.status("state"), "step");
    assert_eq!(fixture.status("arms")[1]["version"], "2");
    assert_eq!(fixture.warning(), "");
    let transitions = fixture.server.transitions("r", 9).await.unwrap();
    assert!(transitions.as_str().contains("\"from\":\"pending\""));
}

#[tokio::test(start_paused = true)]
async fn a_file_does_not_start_twice_not_even_after_a_restart() {
    let mut fixture = fixture().await;
    fixture.write("m/rollout.yaml", FILE).await;
    fixture.write("m/2/model.fake", "add 2").await;
    fixture.apply_action(ActionKind::Abort).await.unwrap();
    fixture.seconds(A_WHILE).await;
    assert_eq!(fixture.status("state"), "aborted");
    fixture.restart(Duration::from_secs(1)).await;
    fixture.seconds(A_WHILE).await;
    assert_eq!(fixture.status("state"), "aborted");
    assert_eq!(fixture.warning(), "");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_running_file_is_refused_and_its_removal_ends_nothing() {
    let mut fixture = fixture().await;
    fixture.write("m/rollout.yaml", FILE).await;
    fixture.write("m/2/model.fake", "add 2").await;
    let changed = FILE.replace("[5, 50]", "[80]");
    fixture.write("m/rollout.yaml", &changed).await;
    assert_eq!(fixture.status("weight"), 0.05);
    let expected = "`rollout.yaml` has no effect on rollout `r`, which runs as it was started";
    assert!(
        fixture.warning().starts_with(expected),
        "{}",
        fixture.warning()
    );
    fs::remove_file(fixture.repository.path("m/rollout.yaml")).unwrap();
    fixture.server.rescan().await.unwrap();
    fixture.seconds(A_WHILE).await;
    assert_eq!(fixture.status("state"), "step");
    assert_eq!(fixture.warning(), "");
    fixture.apply_action(ActionKind::Abort).await.unwrap();
    fixture.write("m/rollout.yaml", &changed).await;
    assert_eq!(fixture.status("state"), "aborted", "it was refused before");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_file_is_shown_and_the_model_serves_on() {
    let mut fixture = fixture().await;
    fixture.write("m/2/model.fake", "add 2").await;
    fixture
        .write("m/rollout.yaml", "rollout: {stepz: [5]}")
        .await;
    let warning = fixture.warning();
    let expected = "`rollout.yaml` is invalid: `rollout.stepz`";
    assert!(warning.starts_with(expected), "{warning}");
    assert_eq!(fixture.send(3).await, [3, 0]);
    fixture.write("m/rollout.yaml", FILE).await;
    assert_eq!(
        (fixture.status("state"), fixture.warning()),
        ("step".into(), String::new())
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_start_says_why_and_starts_once_it_can() {
    let mut fixture = fixture().await;
    let webhook =
        FILE.to_owned() + "  gates: [{before: promote, type: webhook, url: 'https://a'}]\n";
    fixture.write("m/2/model.fake", "add 2").await;
    fixture.write("m/rollout.yaml", &webhook).await;
    let warning = fixture.warning();
    let expected = "`rollout.yaml` cannot start: `rollout.gates[0].url`: unknown receiver";
    assert!(warning.starts_with(expected), "{warning}");
    assert!(!fixture.has_rollout());
    fixture.write("m/rollout.yaml", FILE).await;
    assert!(fixture.has_rollout());
}
