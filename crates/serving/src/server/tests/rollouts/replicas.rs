//! Rollouts of several servers: one decides, the others follow, and all of them count.

use super::*;

const LEADER: &str = "http://leader:8000";

const CANDIDATE: (&str, &str) = ("m/2/model.fake", "add 1");

/// A leader and its followers; each has files and a state of its own.
struct Fleet {
    leader: Fixture,
    followers: Vec<Follower>,
}

/// A server that follows.
struct Follower {
    fixture: Fixture,
    /// A new name for every process.
    replica: String,
    n_starts: usize,
}

impl Follower {
    async fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let repository = TestRepository::new(files);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let server = follow(&repository, &store, Some(LEADER)).await.unwrap();
        Self {
            fixture: Fixture {
                repository,
                store,
                server,
                n_failed: 0,
            },
            replica: name.to_owned(),
            n_starts: 1,
        }
    }

    /// Stops it and starts it again over its state.
    async fn restart(&mut self, leader: Option<&str>) {
        let fixture = &mut self.fixture;
        fixture.server = follow(&fixture.repository, &fixture.store, leader)
            .await
            .unwrap();
        self.n_starts += 1;
    }

    /// The applied weight of the candidate.
    fn weight(&self) -> Option<f64> {
        let status = self.fixture.server.model(&name("m")).unwrap();
        Some(status.routing.split?.arms[0].weight)
    }

    fn name(&self) -> String {
        format!("{}-{}", self.replica, self.n_starts)
    }
}

async fn follow(
    repository: &TestRepository,
    store: &Arc<dyn Store>,
    leader: Option<&str>,
) -> Result<Arc<Server>> {
    let server = Server::start(ServerOptions {
        store: Arc::clone(store),
        rollout_leader: leader.map(str::to_owned),
        rollout_block: Duration::from_secs(1),
        ..repository.options()
    })?;
    server.rescan().await?;
    Ok(server)
}

fn files<'a>(stable: &'a str, candidate: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("m/1/model.fake", stable),
        ("m/2/model.fake", candidate),
        ("m/model.yaml", "execution: inline"),
    ]
}

impl Fleet {
    async fn new(n_followers: usize, candidate: &str) -> Self {
        let mut followers = Vec::new();
        for index in 0..n_followers {
            let name = format!("replica{index}");
            followers.push(Follower::new(&name, &files("add 1", candidate)).await);
        }
        Self {
            leader: Fixture::new("add 1", "add 1").await,
            followers,
        }
    }

    /// In a first step that nothing ends, with three seconds of requests counted at the leader.
    async fn in_a_long_step(n_followers: usize) -> Self {
        let mut fleet = Self::new(n_followers, "add 1").await;
        let keys = "warmup: {source: none}, steps: [20, 50], step: {min_time: 1h, max_time: 2h}";
        fleet.leader.start(keys).await;
        fleet.until("step", 10, 10).await;
        for _ in 0..3 {
            fleet.second(10, 50).await;
        }
        fleet.second(0, 0).await;
        fleet
    }

    /// Runs one poll of each follower, as they do once a second.
    async fn exchange(&self) {
        let leader_state = self.leader.server.leader_state().unwrap();
        for follower in &self.followers {
            let counts = follower.fixture.server.follow(&leader_state).await.unwrap();
            for (id, vector) in counts {
                let server = &self.leader.server;
                let counted = server.record_replica_counts(&id, &follower.name(), &vector);
                assert!(
                    counted.is_ok() || self.leader.status("state") != "step",
                    "{counted:?}"
                );
            }
        }
    }

    /// Plays one second with these numbers of requests for the leader and for each follower.
    async fn second(&mut self, n_leader: usize, n_follower: usize) {
        self.leader.send(n_leader).await;
        for follower in &mut self.followers {
            follower.fixture.send(n_follower).await;
        }
        self.exchange().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Plays seconds until the leader is in a state.
    async fn until(&mut self, state: &str, n_leader: usize, n_follower: usize) -> u64 {
        for second in 0..1000 {
            if self.leader.status("state") == state {
                self.exchange().await;
                return second;
            }
            self.second(n_leader, n_follower).await;
        }
        let evidence = self.leader.evidence();
        panic!("{}: {evidence}", self.leader.status("state"));
    }

    /// Returns the answers of stable that the leader knows.
    fn n_stable(&self) -> u64 {
        let n = self.leader.evidence()["metrics"][0]["arms"]["stable"]["n"].clone();
        n.as_u64().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn followers_climb_with_the_leader_and_pin_the_winner() {
    let mut fleet = Fleet::new(2, "add 1").await;
    fleet.leader.start(QUICK).await;
    // The leader sees no request: what the followers count must be enough.
    fleet.until("step", 0, 100).await;
    fleet.second(0, 100).await;
    for follower in &mut fleet.followers {
        let [stable, candidate] = follower.fixture.send(2000).await;
        assert!((300..500).contains(&candidate), "{stable} {candidate}");
    }
    fleet.until("soak", 0, 200).await;
    fleet.exchange().await;
    assert_eq!(fleet.followers[0].fixture.send(50).await, [0, 50]);
    fleet.until("completed", 0, 100).await;
    for follower in &mut fleet.followers {
        let fixture = &mut follower.fixture;
        assert_eq!(fixture.pinned().as_deref(), Some("2"));
        assert_eq!((fixture.send(10).await, fixture.n_failed), ([0, 10], 0));
        let model = name("m");
        let roll_back = fixture.server.change(&model, Change::RollBack, "ada");
        roll_back.await.unwrap();
        assert_eq!(fixture.send(10).await, [10, 0], "one step back is stable");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_at_a_follower_roll_the_leader_back_and_every_follower_with_it() {
    let mut fleet = Fleet::new(2, "add 1\nrefuse 3").await;
    fleet.leader.start(QUICK).await;
    fleet.until("step", 10, 10).await;
    let seconds = fleet.until("rolled_back", 10, 200).await;
    assert!(seconds <= 5, "{seconds}");
    fleet.exchange().await;
    assert_eq!(fleet.leader.n_failed, 0, "only followers saw it fail");
    assert_eq!(fleet.leader.pinned().as_deref(), Some("1"));
    for follower in &mut fleet.followers {
        let failed = follower.fixture.n_failed;
        assert!(failed > 0);
        assert_eq!(follower.fixture.pinned().as_deref(), Some("1"));
        assert_eq!(follower.fixture.send(100).await, [100, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_of_errors_at_one_follower_is_enough() {
    let mut fleet = Fleet::new(1, "add 1\nrefuse 3").await;
    let guard = "guards: {consecutive_errors: 5}, alpha: 0.0000000001";
    fleet.leader.start(&format!("{QUICK}, {guard}")).await;
    fleet.until("step", 0, 0).await;
    fleet.second(0, 0).await;
    fleet.until("rolled_back", 0, 60).await;
    let reason = fleet.leader.status("reason");
    let is_guard = |reason: &str| reason.starts_with("guard `consecutive_errors`");
    assert!(reason.as_str().is_some_and(is_guard), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn while_the_leader_is_away_the_weight_stays_and_nothing_is_lost() {
    let mut fleet = Fleet::in_a_long_step(1).await;
    let before = fleet.n_stable();
    let mut meanwhile = 0;
    for _ in 0..100 {
        meanwhile += fleet.followers[0].fixture.send(20).await[0];
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((1400..1800).contains(&meanwhile), "{meanwhile}: a fifth");
    fleet.second(0, 0).await;
    fleet.second(0, 0).await;
    assert_eq!(fleet.n_stable(), before + meanwhile);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_killed_counts_nothing_twice_and_misses_nothing() {
    let mut fleet = Fleet::in_a_long_step(2).await;
    let before = (fleet.n_stable(), fleet.leader.evidence());
    let follower = &mut fleet.followers[0].fixture;
    let meanwhile = follower.send(100).await[0];
    fleet.leader.restart(Duration::from_secs(1)).await;
    assert_eq!(fleet.leader.evidence(), before.1);
    for _ in 0..3 {
        fleet.second(0, 0).await;
    }
    assert_eq!(fleet.n_stable(), before.0 + meanwhile);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_killed_keeps_its_weight_and_is_a_new_replica() {
    let mut fleet = Fleet::new(1, "add 1").await;
    let keys = "warmup: {source: none}, steps: [20, 50], step: {min_time: 1h, max_time: 2h}, \
                unit: {from: header, name: x-user, fallback: random}";
    fleet.leader.start(keys).await;
    fleet.until("step", 10, 10).await;
    while fleet.followers[0].weight() != Some(0.2) {
        fleet.second(10, 50).await;
    }
    for _ in 0..3 {
        fleet.second(0, 0).await;
    }
    let before = fleet.n_stable();
    let follower = &mut fleet.followers[0];
    follower.restart(Some(LEADER)).await;
    // The leader has not answered yet.
    let [stable, candidate] = follower.fixture.send(1000).await;
    assert!((120..280).contains(&candidate), "{stable} {candidate}");
    fleet.second(0, 0).await;
    fleet.second(0, 0).await;
    assert_eq!(fleet.n_stable(), before + stable, "the old counts stay");
    let arm = |server: &Server, user: usize| {
        let answer = server.assign("r", &format!("user_{user}")).unwrap();
        answer.as_str().to_owned()
    };
    let (leader, follower) = (&fleet.leader.server, &fleet.followers[0].fixture.server);
    assert!((0..500).all(|user| arm(leader, user) == arm(follower, user)));
}

#[tokio::test(start_paused = true)]
async fn a_follower_decides_nothing_and_shows_what_the_leader_does() {
    let mut fleet = Fleet::new(1, "add 1").await;
    fleet.leader.start(QUICK).await;
    fleet.until("step", 10, 10).await;
    let follower = &fleet.followers[0].fixture;
    let expected = "this server follows `http://leader:8000` in rollouts; send the request there";
    let start = "rollout: {id: s, model: m, stable: 1, candidate: 2}";
    let refused = [
        follower.server.start(start, "ada").await.unwrap_err(),
        follower.apply_action(ActionKind::Abort).await.unwrap_err(),
        follower.server.leader_state().unwrap_err(),
        follower.server.watch("r").unwrap_err(),
        follower.server.transitions("r", 10).await.unwrap_err(),
        follower
            .server
            .record_replica_counts("r", "a", &RawJson::new("{}"))
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!((error.code(), error.message()), (Code::Conflict, expected));
    }
    let leader = &fleet.leader;
    for key in ["state", "weight", "generation", "model"] {
        assert_eq!(follower.status(key), leader.status(key), "{key}");
    }
    assert_eq!(follower.server.list().as_str(), {
        let status = follower.server.status("r").unwrap();
        format!("[{}]", status.as_str())
    });
    assert_eq!(follower.evidence()["limits"], leader.evidence()["limits"]);
    let nobody = RawJson::new(r#"{"format":1,"rollouts":[]}"#);
    let refused = leader.server.follow(&nobody).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
}

#[tokio::test(start_paused = true)]
async fn an_older_state_of_the_leader_changes_nothing() {
    let mut fleet = Fleet::new(1, "add 1").await;
    fleet.leader.start(QUICK).await;
    let early = fleet.leader.server.leader_state().unwrap();
    fleet.until("step", 10, 10).await;
    fleet.second(0, 0).await;
    let follower = &mut fleet.followers[0].fixture;
    follower.server.follow(&early).await.unwrap();
    assert_eq!(follower.status("state"), "step");
    let [_, candidate] = follower.send(1000).await;
    assert!((120..280).contains(&candidate), "{candidate}");
    for text in ["{", r#"{"format":2,"rollouts":[]}"#] {
        let refused = follower.server.follow(&RawJson::new(text)).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidRequest);
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_without_the_candidate_stays_with_stable_until_it_comes() {
    let mut fleet = Fleet::new(0, "add 1").await;
    let bare = [files("add 1", "")[0], files("add 1", "")[2]];
    fleet.followers.push(Follower::new("bare", &bare).await);
    fleet
        .leader
        .start(&QUICK.replace("soak: 30s", "soak: 120s"))
        .await;
    fleet.until("step", 50, 50).await;
    for _ in 0..3 {
        fleet.second(10, 10).await;
    }
    assert_eq!(fleet.followers[0].fixture.send(100).await, [100, 0]);
    fleet.until("soak", 300, 10).await;
    assert_eq!(fleet.followers[0].fixture.send(100).await, [100, 0]);
    let (path, text) = CANDIDATE;
    fleet.followers[0].fixture.repository.write(path, text);
    for _ in 0..15 {
        fleet.second(10, 10).await;
    }
    let fixture = &mut fleet.followers[0].fixture;
    assert_eq!((fixture.send(100).await, fixture.n_failed), ([0, 100], 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_server_learns_which_version_won() {
    let mut fleet = Fleet::new(0, "add 1").await;
    fleet.leader.start(QUICK).await;
    fleet.until("step", 10, 10).await;
    fleet
        .leader
        .apply_action(ActionKind::Rollback)
        .await
        .unwrap();
    fleet.until("rolled_back", 10, 10).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let late = Follower::new("late", &files("add 1", "add 1")).await;
    fleet.followers.push(late);
    fleet.exchange().await;
    let fixture = &mut fleet.followers[0].fixture;
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    assert_eq!(fixture.send(10).await, [10, 0], "not the highest version");
    fixture
        .server
        .change(&name("m"), Change::Unpin, "ada")
        .await
        .unwrap();
    fleet.exchange().await;
    let pinned = fleet.followers[0].fixture.pinned();
    assert_eq!(pinned, None, "it is told once");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_the_leader_does_not_know_returns_to_stable() {
    // A leader that has lost its state, and a follower without a leader.
    for has_leader in [true, false] {
        let mut fleet = Fleet::new(1, "add 1").await;
        fleet.leader.start(QUICK).await;
        fleet.until("step", 10, 10).await;
        fleet.second(0, 0).await;
        let follower = &mut fleet.followers[0];
        if has_leader {
            let nothing = RawJson::new(r#"{"format":1,"rollouts":[]}"#);
            let counts = follower.fixture.server.follow(&nothing).await.unwrap();
            assert_eq!(counts, []);
        } else {
            follower.restart(None).await;
            assert_eq!(follower.fixture.send(100).await, [100, 0]);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(follower.fixture.pinned().as_deref(), Some("1"));
        assert_eq!(follower.fixture.send(100).await, [100, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_with_a_rollout_of_its_own_follows_nobody() {
    let fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    let Err(refused) = follow(&fixture.repository, &fixture.store, Some(LEADER)).await else {
        panic!("it follows");
    };
    assert_eq!(refused.code(), Code::Conflict);
    assert!(
        refused.message().contains("rollout `r` is running here"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn counts_of_unknown_and_ended_rollouts_are_refused() {
    let mut fleet = Fleet::new(1, "add 1").await;
    fleet.leader.start(QUICK).await;
    fleet.until("step", 10, 10).await;
    let leader_state = fleet.leader.server.leader_state().unwrap();
    let counts = fleet.followers[0]
        .fixture
        .server
        .follow(&leader_state)
        .await
        .unwrap();
    let [(id, vector)] = counts.as_slice() else {
        panic!("{counts:?}");
    };
    let server = &fleet.leader.server;
    for (id, replica, text, expected) in [
        ("none", "a", vector.as_str(), Code::RolloutNotFound),
        (id, "a b", vector.as_str(), Code::InvalidRequest),
        (id, "a", "{}", Code::InvalidRequest),
    ] {
        let refused = server.record_replica_counts(id, replica, &RawJson::new(text));
        assert_eq!(refused.unwrap_err().code(), expected, "{id} {replica}");
    }
    let counted = server.record_replica_counts(id, "a", vector).unwrap();
    assert_eq!(counted.as_str(), r#"{"replicas":2}"#);
    fleet.leader.apply_action(ActionKind::Abort).await.unwrap();
    let refused = fleet.leader.server.record_replica_counts(id, "a", vector);
    assert_eq!(refused.unwrap_err().code(), Code::Conflict);
}
