//! Rollouts that several servers share: one decides, all of them count and do the same.

use contract::testing::{Link, MemoryRollouts};

use super::*;

const CANDIDATE: (&str, &str) = ("m/2/model.fake", "add 1");

/// A step that nothing ends.
const LONG: &str = "warmup: {source: none}, steps: [20, 50], step: {min_time: 1h, max_time: 2h}";

/// Servers over one store; each has files and a state of its own. The first one starts the rollout,
/// so it decides until it is lost.
struct Fleet {
    shared: Arc<MemoryRollouts>,
    servers: Vec<Replica>,
}

/// A server and its link to the store.
struct Replica {
    fixture: Fixture,
    link: Arc<Link>,
}

impl Replica {
    async fn new(shared: &Arc<MemoryRollouts>, files: &[(&str, &str)]) -> Self {
        let repository = TestRepository::new(files);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let link = Link::new(shared);
        let server = serve(&repository, &store, Some(&link)).await.unwrap();
        Self {
            fixture: Fixture {
                repository,
                store,
                server,
                n_failed: 0,
            },
            link,
        }
    }

    /// Kills it and starts it again over its state, with the store or without.
    async fn restart(&mut self, is_sharing: bool) {
        let Fixture {
            repository, store, ..
        } = &self.fixture;
        let link = Some(&self.link).filter(|_| is_sharing);
        self.fixture.server = serve(repository, store, link).await.unwrap();
    }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

async fn serve(
    repository: &TestRepository,
    store: &Arc<dyn Store>,
    link: Option<&Arc<Link>>,
) -> Result<Arc<Server>> {
    let server = Server::start(ServerOptions {
        store: Arc::clone(store),
        shared_rollouts: link.map(|link| Arc::clone(link) as _),
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
    /// The candidate of the first server is a good one.
    async fn new(n_servers: usize, candidate: &str) -> Self {
        let shared = Arc::new(MemoryRollouts::new(now));
        let mut servers = vec![Replica::new(&shared, &files("add 1", "add 1")).await];
        while servers.len() < n_servers {
            servers.push(Replica::new(&shared, &files("add 1", candidate)).await);
        }
        Self { shared, servers }
    }

    /// In a first step that nothing ends, with some seconds of requests.
    async fn in_a_long_step(n_servers: usize, keys: &str) -> Self {
        let mut fleet = Self::new(n_servers, "add 1").await;
        fleet.servers[0]
            .fixture
            .start(&format!("{LONG}{keys}"))
            .await;
        fleet.until("step", 10).await;
        fleet.seconds(3, 0).await;
        fleet.seconds(3, 50).await;
        fleet.seconds(3, 0).await;
        fleet
    }

    /// Plays one second with this number of requests for each server.
    async fn second(&mut self, n: usize) {
        for server in &mut self.servers {
            server.fixture.send(n).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    async fn seconds(&mut self, n_seconds: usize, n: usize) {
        for _ in 0..n_seconds {
            self.second(n).await;
        }
    }

    /// Plays seconds until every server shows a state.
    async fn until(&mut self, state: &str, n: usize) -> u64 {
        for second in 0..1000 {
            let is_there = |server: &Replica| {
                let status = server.fixture.server.status("r");
                status
                    .is_ok_and(|status| status.as_str().contains(&format!("\"state\":\"{state}\"")))
            };
            if self.servers.iter().all(is_there) {
                return second;
            }
            self.second(n).await;
        }
        let evidence = self.servers[0].fixture.evidence();
        panic!("{}: {evidence}", self.servers[0].fixture.status("state"));
    }

    /// Returns the answers of stable in the evidence that a server shows.
    fn n_stable(&self, server: usize) -> u64 {
        let evidence = self.servers[server].fixture.evidence();
        let n = evidence["metrics"][0]["arms"]["stable"]["n"].clone();
        n.as_u64().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn all_servers_climb_together_and_pin_the_winner() {
    let mut fleet = Fleet::new(3, "add 1").await;
    fleet.servers[0].fixture.start(QUICK).await;
    fleet.until("step", 100).await;
    fleet.second(0).await;
    for server in &mut fleet.servers {
        let [stable, candidate] = server.fixture.send(2000).await;
        assert!((300..500).contains(&candidate), "{stable} {candidate}");
    }
    fleet.until("soak", 200).await;
    fleet.seconds(2, 0).await;
    for server in &mut fleet.servers {
        assert_eq!(server.fixture.send(50).await, [0, 50]);
    }
    fleet.until("completed", 100).await;
    for server in &mut fleet.servers {
        let fixture = &mut server.fixture;
        assert_eq!(fixture.pinned().as_deref(), Some("2"));
        assert_eq!((fixture.send(10).await, fixture.n_failed), ([0, 10], 0));
        let model = name("m");
        let roll_back = fixture.server.change(&model, Change::RollBack, "ada");
        roll_back.await.unwrap();
        assert_eq!(fixture.send(10).await, [10, 0], "one step back is stable");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_the_deciding_server_does_not_see_roll_all_servers_back() {
    let mut fleet = Fleet::new(3, "add 1\nrefuse 3").await;
    fleet.servers[0].fixture.start(QUICK).await;
    fleet.until("step", 10).await;
    let seconds = fleet.until("rolled_back", 200).await;
    assert!(seconds <= 8, "{seconds}");
    assert_eq!(
        fleet.servers[0].fixture.n_failed, 0,
        "only others saw it fail"
    );
    assert!(fleet.servers[1].fixture.n_failed > 0);
    for server in &mut fleet.servers {
        assert_eq!(server.fixture.pinned().as_deref(), Some("1"));
        assert_eq!(server.fixture.send(100).await, [100, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_of_errors_at_one_server_is_enough() {
    let mut fleet = Fleet::new(2, "add 1\nrefuse 3").await;
    let guard = "guards: {consecutive_errors: 5}, alpha: 0.0000000001";
    let keys = format!("{QUICK}, {guard}");
    fleet.servers[0].fixture.start(&keys).await;
    fleet.until("step", 0).await;
    fleet.seconds(2, 0).await;
    fleet.until("rolled_back", 60).await;
    let reason = fleet.servers[1].fixture.status("reason");
    assert!(
        reason.as_str().unwrap().contains("consecutive_errors"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_weights_stay_and_no_count_is_lost_or_doubled() {
    let mut fleet = Fleet::in_a_long_step(3, "").await;
    let before = fleet.n_stable(0);
    for server in &fleet.servers {
        server.link.cut(true);
    }
    let mut meanwhile = 0;
    for _ in 0..100 {
        for server in &mut fleet.servers {
            meanwhile += server.fixture.send(20).await[0];
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((4400..5200).contains(&meanwhile), "{meanwhile}: a fifth");
    let status = fleet.servers[1].fixture.status("shared_state");
    assert!(
        status.as_str().unwrap().starts_with("unreachable since "),
        "{status}"
    );
    for server in &fleet.servers {
        server.link.cut(false);
    }
    fleet.seconds(8, 0).await;
    for server in 0..3 {
        assert_eq!(fleet.n_stable(server), before + meanwhile);
        assert_eq!(
            fleet.servers[server].fixture.status("shared_state"),
            Value::Null
        );
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_count_nothing_twice() {
    let mut fleet = Fleet::in_a_long_step(2, "").await;
    let before = fleet.n_stable(0);
    let mut meanwhile = 0;
    for second in 0..40 {
        for (index, server) in fleet.servers.iter_mut().enumerate() {
            server.link.lose_answers((second / 4 + index) % 2 == 0);
            meanwhile += server.fixture.send(20).await[0];
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for server in &fleet.servers {
        server.link.lose_answers(false);
    }
    fleet.seconds(10, 0).await;
    assert_eq!(fleet.n_stable(0), before + meanwhile);
    assert_eq!(fleet.servers[0].fixture.status("state"), "step");
}

#[tokio::test(start_paused = true)]
async fn when_the_deciding_server_is_killed_another_continues_with_the_same_evidence() {
    let mut fleet = Fleet::in_a_long_step(3, "").await;
    let before = (fleet.n_stable(1), fleet.servers[1].fixture.evidence());
    let holder = fleet.shared.holder("r");
    assert!(holder.is_some());
    drop(fleet.servers.remove(0));
    let meanwhile = fleet.servers[0].fixture.send(100).await[0];
    fleet.seconds(2, 0).await;
    assert_eq!(
        fleet.servers[0].fixture.evidence(),
        before.1,
        "nobody decides yet"
    );
    fleet.seconds(8, 0).await;
    let next = fleet.shared.holder("r");
    assert!(next.is_some() && next != holder, "{next:?}");
    for server in 0..2 {
        assert_eq!(fleet.n_stable(server), before.0 + meanwhile);
        let [stable, candidate] = fleet.servers[server].fixture.send(1000).await;
        assert!((120..280).contains(&candidate), "{stable} {candidate}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lost_the_store_stops_deciding_and_adds_its_counts_later() {
    let mut fleet = Fleet::in_a_long_step(2, "").await;
    let before = fleet.n_stable(1);
    let holder = fleet.shared.holder("r");
    fleet.servers[0].link.cut(true);
    let apart = fleet.servers[0].fixture.send(100).await[0];
    let joined = fleet.servers[1].fixture.send(100).await[0];
    fleet.seconds(10, 0).await;
    assert_ne!(fleet.shared.holder("r"), holder);
    assert_eq!(fleet.n_stable(1), before + joined);
    fleet.servers[1]
        .fixture
        .apply_action(ActionKind::Hold)
        .await
        .unwrap();
    fleet.servers[0].link.cut(false);
    fleet.seconds(5, 0).await;
    for server in 0..2 {
        assert_eq!(fleet.n_stable(server), before + joined + apart);
        assert_eq!(fleet.servers[server].fixture.status("state"), "held");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_killed_keeps_its_weight_and_the_counts_of_before() {
    let unit = ", unit: {from: header, name: x-user, fallback: random}";
    let mut fleet = Fleet::in_a_long_step(2, unit).await;
    let before = fleet.n_stable(0);
    let server = &mut fleet.servers[1];
    // It starts while the store is away.
    server.link.cut(true);
    server.restart(true).await;
    let [stable, candidate] = server.fixture.send(1000).await;
    assert!((120..280).contains(&candidate), "{stable} {candidate}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let [more, candidate] = server.fixture.send(1000).await;
    assert!((120..280).contains(&candidate), "{more} {candidate}");
    server.link.cut(false);
    fleet.seconds(5, 0).await;
    assert_eq!(
        fleet.n_stable(0),
        before + stable + more,
        "the old counts stay"
    );
    let arm = |server: &Server, user: usize| {
        let answer = server.assign("r", &format!("user_{user}")).unwrap();
        answer.as_str().to_owned()
    };
    let [one, two] = [0, 1].map(|server| &fleet.servers[server].fixture.server);
    assert!((0..500).all(|user| arm(one, user) == arm(two, user)));
}

#[tokio::test(start_paused = true)]
async fn every_server_shows_the_rollout_and_takes_actions() {
    let mut fleet = Fleet::in_a_long_step(3, "").await;
    let mut watch = fleet.servers[2].fixture.server.watch("r").unwrap();
    let held = fleet.servers[1]
        .fixture
        .apply_action(ActionKind::Hold)
        .await
        .unwrap();
    assert!(
        held.as_str().contains("\"state\":\"held\""),
        "{}",
        held.as_str()
    );
    let stale = OperatorAction {
        kind: ActionKind::Resume,
        actor: "ada".to_owned(),
        reason: String::new(),
        generation: Some(1),
    };
    let third = &fleet.servers[2].fixture.server;
    let refused = third.apply_action("r", stale).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    fleet.seconds(2, 0).await;
    let [first, second, third] = &fleet.servers[..] else {
        panic!("three servers");
    };
    for key in ["state", "weight", "generation", "model", "reason"] {
        let expected = first.fixture.status(key);
        assert_eq!(second.fixture.status(key), expected, "{key}");
        assert_eq!(third.fixture.status(key), expected, "{key}");
    }
    assert_eq!(third.fixture.evidence(), first.fixture.evidence());
    let transitions = third.fixture.server.transitions("r", 1).await.unwrap();
    assert!(
        transitions.as_str().contains("\"to\":\"held\""),
        "{}",
        transitions.as_str()
    );
    let seen = loop {
        match watch.next().await {
            Some(RolloutEvent::Transition(seen)) => break seen,
            Some(RolloutEvent::Evidence(_)) => {}
            None => panic!("no transition"),
        }
    };
    assert!(
        seen.as_str().contains("\"to\":\"held\""),
        "{}",
        seen.as_str()
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_has_one_rollout_on_all_servers_until_any_of_them_ends_it() {
    let mut fleet = Fleet::in_a_long_step(3, "").await;
    let file = "rollout: {id: s, model: m, stable: 1, candidate: 2}";
    for server in &fleet.servers {
        let refused = server.fixture.server.start(file, "ada").await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
    }
    fleet.servers[2]
        .fixture
        .apply_action(ActionKind::Abort)
        .await
        .unwrap();
    fleet.until("aborted", 0).await;
    let late = fleet.servers[1]
        .fixture
        .apply_action(ActionKind::Hold)
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
}

#[tokio::test(start_paused = true)]
async fn actions_are_refused_while_the_store_is_away() {
    let fleet = Fleet::in_a_long_step(2, "").await;
    for server in &fleet.servers {
        server.link.cut(true);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for server in &fleet.servers {
        let refused = server
            .fixture
            .apply_action(ActionKind::Abort)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        let file = "rollout: {id: s, model: m, stable: 1, candidate: 2}";
        assert!(server.fixture.server.start(file, "ada").await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_candidate_stays_with_stable_until_it_comes() {
    let mut fleet = Fleet::new(1, "add 1").await;
    let bare = [files("add 1", "")[0], files("add 1", "")[2]];
    fleet.servers.push(Replica::new(&fleet.shared, &bare).await);
    let keys = QUICK.replace("soak: 30s", "soak: 120s");
    fleet.servers[0].fixture.start(&keys).await;
    fleet.until("step", 50).await;
    fleet.seconds(3, 10).await;
    assert_eq!(fleet.servers[1].fixture.send(100).await, [100, 0]);
    fleet.until("soak", 300).await;
    assert_eq!(fleet.servers[1].fixture.send(100).await, [100, 0]);
    let (path, text) = CANDIDATE;
    fleet.servers[1].fixture.repository.write(path, text);
    fleet.seconds(15, 10).await;
    let fixture = &mut fleet.servers[1].fixture;
    assert_eq!((fixture.send(100).await, fixture.n_failed), ([0, 100], 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_server_learns_which_version_won() {
    let mut fleet = Fleet::in_a_long_step(1, "").await;
    fleet.servers[0]
        .fixture
        .apply_action(ActionKind::Rollback)
        .await
        .unwrap();
    fleet.until("rolled_back", 10).await;
    let late = Replica::new(&fleet.shared, &files("add 1", "add 1")).await;
    fleet.servers.push(late);
    fleet.seconds(2, 0).await;
    let fixture = &mut fleet.servers[1].fixture;
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    assert_eq!(fixture.send(10).await, [10, 0], "not the highest version");
    let model = name("m");
    let unpin = fixture.server.change(&model, Change::Unpin, "ada");
    unpin.await.unwrap();
    fleet.servers[1].restart(true).await;
    fleet.seconds(2, 0).await;
    assert_eq!(fleet.servers[1].fixture.pinned(), None, "it is told once");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_the_store_has_lost_returns_to_stable() {
    // A store that was emptied, and a server that no longer shares.
    for is_sharing in [true, false] {
        let mut fleet = Fleet::in_a_long_step(2, "").await;
        if is_sharing {
            fleet.shared.clear();
        } else {
            fleet.servers[1].restart(false).await;
            assert_eq!(fleet.servers[1].fixture.send(100).await, [100, 0]);
        }
        fleet.seconds(2, 0).await;
        assert_eq!(fleet.servers[1].fixture.pinned().as_deref(), Some("1"));
        assert_eq!(fleet.servers[1].fixture.send(100).await, [100, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_with_a_rollout_of_its_own_shares_none() {
    let fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    let shared = Arc::new(MemoryRollouts::new(now));
    let link = Link::new(&shared);
    let Err(refused) = serve(&fixture.repository, &fixture.store, Some(&link)).await else {
        panic!("it shares");
    };
    assert_eq!(refused.code(), Code::Conflict);
    assert!(
        refused.message().contains("rollout `r` is running here"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_hands_the_rollout_over_with_its_last_counts() {
    let mut fleet = Fleet::in_a_long_step(2, "").await;
    let before = fleet.n_stable(0);
    let holder = fleet.shared.holder("r");
    let last = fleet.servers[0].fixture.send(100).await[0];
    fleet.servers[0].fixture.server.leave_rollouts().await;
    drop(fleet.servers.remove(0));
    fleet.seconds(4, 0).await;
    assert_ne!(
        fleet.shared.holder("r"),
        holder,
        "before the lease would have ended"
    );
    assert_eq!(fleet.n_stable(0), before + last);
}
