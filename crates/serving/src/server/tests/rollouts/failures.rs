//! Rollouts under failures: versions that hang or vanish, forced arms, several models.

use super::*;

/// A caller with one header.
struct Header(&'static str, String);

impl AssignmentAttributes for Header {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == self.0).then(|| self.1.as_str().into())
    }

    fn cookie(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn field(&self, _path: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// Returns the versions that this number of users get.
async fn versions_of(fixture: &Fixture, header: &'static str, users: &[String]) -> Vec<String> {
    let mut versions = Vec::new();
    for user in users {
        let attributes = Header(header, user.clone());
        let route = fixture
            .server
            .route_for(&target("m", ""), &attributes)
            .unwrap();
        versions.push(route.info.version.to_string());
        fixture.server.infer(route, rows()).await.unwrap();
    }
    versions
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_never_answers_costs_copies_and_nothing_else() {
    // The candidate hangs from its first run, so nothing may run while it is loaded.
    let settings = "execution: pool\nbatching: {enabled: true}\nwarmup: {enabled: false}";
    let mut fixture = Fixture::with_settings(["add 1", "gate", settings], Vec::new()).await;
    let shadow = "warmup: {source: none}, shadow: {min_pairs: 50, max_extra_load: 10}, \
                  metrics: [{name: errors, event: error, not_worse_than: {abs: 0.05}}]";
    fixture.start(shadow).await;
    fixture.until("shadow", 0).await;
    for _ in 0..30 {
        let target = target("m", "1");
        for _ in 0..3 {
            let route = fixture.server.route(&target).unwrap();
            fixture.server.infer(route, rows()).await.unwrap();
        }
        fixture.second(3).await;
    }
    assert_eq!(
        (fixture.status("state"), fixture.n_failed),
        ("shadow".into(), 0)
    );
    let dropped = fixture.evidence()["shadow"]["dropped"].clone();
    let n_dropped = dropped["deadline"].as_u64().unwrap() + dropped["queue_full"].as_u64().unwrap();
    assert!(n_dropped > 20, "{dropped}");
    fixture.repository.engine.gate.open();
}

/// Keys of a rollout that stays in its first step.
fn unhurried() -> String {
    QUICK.replace("min_time: 5s", "min_time: 250s")
}

#[tokio::test(start_paused = true)]
async fn without_stable_the_rollout_holds_and_the_candidate_answers_every_request() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(&unhurried()).await;
    fixture.until("step", 20).await;
    fixture.repository.remove("m/1");
    fixture.server.rescan().await.unwrap();
    assert_eq!(fixture.send(100).await, [0, 100]);
    assert!(fixture.server.readiness().is_ready);
    fixture.seconds(3).await;
    let state = (fixture.status("state"), fixture.status("reason"));
    assert_eq!(state, ("held".into(), "stable_missing".into()));
    fixture.repository.write("m/1/model.fake", "add 1");
    fixture.server.rescan().await.unwrap();
    fixture.until("step", 20).await;
    assert!(fixture.send(200).await[0] > 0);
    assert_eq!(fixture.n_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn without_stable_a_rollback_waits_until_stable_is_back() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(&unhurried()).await;
    fixture.until("step", 20).await;
    fixture.repository.remove("m/1");
    fixture.server.rescan().await.unwrap();
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    fixture.seconds(3).await;
    assert_eq!(
        fixture.send(50).await,
        [0, 50],
        "nobody could answer instead"
    );
    fixture.repository.write("m/1/model.fake", "add 1");
    fixture.server.rescan().await.unwrap();
    fixture.until("rolled_back", 0).await;
    assert_eq!((fixture.send(50).await, fixture.n_failed), ([50, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_deleted_or_broken_is_rolled_back_without_a_failed_request() {
    let rows = [
        (None, "files of the candidate are missing"),
        (Some("fail"), "the candidate cannot be used"),
    ];
    for (replacement, expected) in rows {
        let mut fixture = Fixture::new("add 1", "add 1").await;
        fixture.start(&unhurried()).await;
        fixture.until("step", 20).await;
        match replacement {
            Some(text) => fixture.repository.write("m/2/model.fake", text),
            None => fixture.repository.remove("m/2"),
        }
        fixture.server.rescan().await.unwrap();
        fixture.send(200).await;
        fixture.until("rolled_back", 20).await;
        let reason = fixture.status("reason");
        assert!(reason.as_str().unwrap().contains(expected), "{reason}");
        assert_eq!((fixture.send(50).await, fixture.n_failed), ([50, 0], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_there_is_refused_at_the_start_with_those_that_are() {
    let fixture = Fixture::new("add 1", "add 1").await;
    let start = |stable: u32, candidate: u32| {
        let file =
            format!("rollout: {{id: r, model: m, stable: {stable}, candidate: {candidate}}}");
        let server = Arc::clone(&fixture.server);
        async move { server.start(&file, "ada").await }
    };
    for (stable, candidate, key) in [(1, 9, "candidate"), (9, 2, "stable")] {
        let refused = start(stable, candidate).await.unwrap_err();
        assert_eq!(refused.code(), Code::VersionNotFound);
        let expected = format!("`rollout.{key}`: model `m` has no version `9`; it has `1`, `2`");
        assert_eq!(refused.message(), expected);
    }
    fixture.repository.write("m/9/model.fake", "add 1");
    start(1, 9).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_rollout_is_in_the_history_once() {
    for kind in [ActionKind::Rollback, ActionKind::Abort] {
        let mut fixture = Fixture::new("add 1", "add 1").await;
        fixture.start(QUICK).await;
        fixture.until("step", 20).await;
        fixture.apply_action(kind).await.unwrap();
        fixture.seconds(3).await;
        let entries = fixture.server.history(&name("m"), 100).await.unwrap();
        let ends = entries
            .iter()
            .filter(|entry| entry.what.contains("answers after the rollout"));
        assert_eq!(ends.count(), 1, "{entries:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_forced_into_an_arm_are_not_counted() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let keys = "override: {header: x-arm}, unit: {from: header, name: x-user}";
    fixture
        .start(&format!(
            "{}, {keys}",
            QUICK.replace("min_time: 5s", "min_time: 250s")
        ))
        .await;
    fixture.until("step", 0).await;
    let forced = vec!["candidate".to_owned(); 30];
    assert_eq!(versions_of(&fixture, "x-arm", &forced).await, vec!["2"; 30]);
    let users: Vec<_> = (0..200).map(|n| format!("user_{n}")).collect();
    let first = versions_of(&fixture, "x-user", &users).await;
    assert_eq!(
        versions_of(&fixture, "x-user", &users).await,
        first,
        "users stay"
    );
    fixture.seconds(3).await;
    let arms = fixture.evidence()["metrics"][0]["arms"].clone();
    let n = |arm: &str| arms[arm]["n"].as_u64().unwrap();
    assert_eq!(
        n("stable") + n("candidate"),
        200,
        "a user is counted once: {arms}"
    );
    let on_trial = first.iter().filter(|version| *version == "2").count();
    assert_eq!(n("candidate"), on_trial as u64, "{arms}");
}

#[tokio::test(start_paused = true)]
async fn two_models_roll_out_without_knowing_each_other() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    for (path, text) in [("n/1/model.fake", "add 1"), ("n/2/model.fake", "add inf")] {
        fixture.repository.write(path, text);
    }
    fixture
        .repository
        .write("n/model.yaml", "execution: inline");
    fixture.server.rescan().await.unwrap();
    fixture.start(QUICK).await;
    let keys = without_warmup();
    let other = format!("rollout: {{id: s, model: n, stable: 1, candidate: 2, {keys}}}");
    fixture.server.start(&other, "bob").await.unwrap();
    let state = |fixture: &Fixture, id: &str| {
        let status = fixture.server.status(id).unwrap();
        let status: Value = serde_json::from_str(status.as_str()).unwrap();
        status["state"].as_str().unwrap().to_owned()
    };
    for _ in 0..40 {
        for _ in 0..20 {
            let route = fixture
                .server
                .route_for(&target("n", ""), &AnonymousCaller)
                .unwrap();
            fixture.server.infer(route, rows()).await.unwrap();
        }
        fixture.second(300).await;
    }
    assert_eq!(state(&fixture, "s"), "rolled_back");
    assert_ne!(state(&fixture, "r"), "rolled_back");
    let list: Vec<Value> = serde_json::from_str(fixture.server.list().as_str()).unwrap();
    assert_eq!(list.last().unwrap()["id"], "s", "those that run come first");
}

#[tokio::test(start_paused = true)]
async fn the_losing_version_stays_warm_and_then_follows_the_settings() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture
        .repository
        .write("m/model.yaml", "execution: inline\nversions: {latest: 1}");
    fixture.repository.write("m/1/model.fake", "add 1");
    fixture.server.rescan().await.unwrap();
    fixture
        .server
        .change(&name("m"), Change::Load(Version::new("1").unwrap()), "ada")
        .await
        .unwrap();
    fixture
        .start(&format!(
            "{QUICK}, on_rollback: {{keep_candidate_warm: 60s}}"
        ))
        .await;
    fixture.until("step", 20).await;
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    assert!(states(&fixture.server, "m").contains("2 READY"));
    assert_eq!(fixture.send(20).await, [20, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_ended_rollout_is_still_shown_after_a_restart() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    fixture.until("step", 20).await;
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    let before = (fixture.server.status("r").unwrap(), fixture.evidence());
    fixture.restart(Duration::from_secs(1)).await;
    let after = (fixture.server.status("r").unwrap(), fixture.evidence());
    assert_eq!(after, before);
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    let transitions = fixture.server.transitions("r", 1).await.unwrap();
    assert!(
        transitions.as_str().contains("\"to\":\"rolled_back\""),
        "{transitions:?}"
    );
    assert_eq!(
        fixture
            .apply_action(ActionKind::Hold)
            .await
            .unwrap_err()
            .code(),
        Code::Conflict
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_generation_is_refused_and_changes_nothing() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    fixture.until("step", 20).await;
    let action = OperatorAction {
        kind: ActionKind::Rollback,
        actor: "ada".to_owned(),
        reason: String::new(),
        generation: Some(1),
    };
    let refused = fixture.server.apply_action("r", action).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(
        refused.message().contains("generation 1 is stale"),
        "{refused}"
    );
    assert_eq!(fixture.status("state"), "step");
}

/// A store that can be switched to fail all writes.
#[derive(Debug, Default)]
struct FailingStore {
    store: MemoryStore,
    is_full: std::sync::atomic::AtomicBool,
}

impl Store for FailingStore {
    fn records(&self, collection: &str) -> Result<Vec<(String, String)>> {
        self.store.records(collection)
    }

    fn entries(&self, journal: &str, key: &str, limit: usize) -> Result<Vec<String>> {
        self.store.entries(journal, key, limit)
    }

    fn write(&self, writes: &[contract::Write]) -> Result<()> {
        match self.is_full.load(Ordering::SeqCst) {
            true => Err(Error::internal("the disk is full")),
            false => self.store.write(writes),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_cannot_be_persisted_is_undone() {
    let disk = Arc::new(FailingStore::default());
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.store = Arc::clone(&disk) as Arc<dyn Store>;
    fixture.restart(Duration::from_secs(1)).await;
    for version in ["1", "2"] {
        let pin = Change::Pin(version.to_owned());
        fixture.server.change(&name("m"), pin, "ada").await.unwrap();
    }
    disk.is_full.store(true, Ordering::SeqCst);
    let refused = fixture
        .server
        .change(&name("m"), Change::RollBack, "ada")
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Internal);
    assert_eq!(fixture.send(10).await, [0, 10], "as before");
    disk.is_full.store(false, Ordering::SeqCst);
    let back = fixture
        .server
        .change(&name("m"), Change::RollBack, "ada")
        .await;
    assert_eq!(back.unwrap().pinned.unwrap().as_str(), "1");
    assert_eq!(fixture.send(10).await, [10, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_model_with_a_split_takes_no_rollout() {
    let fixture = Fixture::new("add 1", "add 1").await;
    let split = contract::Split {
        arms: ["1", "2"]
            .map(|version| contract::Arm {
                name: version.to_owned(),
                version: version.to_owned(),
                weight: 0.5,
            })
            .into(),
        unit: contract::Unit {
            source: contract::UnitSource::Random,
            fallback: contract::Fallback::Random,
        },
        hash: contract::AssignmentHash::Xxh3,
        salt: None,
        coverage: 1.0,
        layer: None,
        override_header: None,
        bandit: None,
    };
    let change = Change::Split(split);
    fixture
        .server
        .change(&name("m"), change, "ada")
        .await
        .unwrap();
    let refused = fixture.start_again("r").await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(refused.message().contains("remove it first"), "{refused}");
    fixture
        .server
        .change(&name("m"), Change::Unsplit, "ada")
        .await
        .unwrap();
    fixture.start_again("r").await.unwrap();
}
