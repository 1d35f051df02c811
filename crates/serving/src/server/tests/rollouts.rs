//! Rollouts of a whole server in virtual time: real requests and real counts, without real waiting.

mod failures;
mod files;
mod notifications;
mod replicas;

use contract::testing::{FakeWebhooks, RecordingObserver};
use contract::{
    ActionKind, GateDecision, MemoryStore, NamedTensor, OperatorAction, RawJson, RequestId,
    RolloutEvent, Rollouts, Shape, SimulationInput, Store, Tensor,
};
use serde_json::Value;

use super::*;
use crate::fake_engine::INPUT;

/// Steps and times that take a minute of virtual time.
const QUICK: &str = "warmup: {source: synthetic, requests: 3}, steps: [20, 50], soak: 30s, \
                     step: {min_time: 5s, min_requests: 50, max_time: 300s}";

/// Returns the keys of [`QUICK`] without a warm-up.
fn without_warmup() -> String {
    QUICK.replace("source: synthetic, requests: 3", "source: none")
}

/// Number of rows of the requests that a model may be set to refuse.
const N_ROWS: usize = 3;

/// A caller without attributes.
struct AnonymousCaller;

impl AssignmentAttributes for AnonymousCaller {
    fn header(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn cookie(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn field(&self, _path: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// A server with two versions of model `m`, of which the second is the candidate.
struct Fixture {
    repository: TestRepository,
    store: Arc<dyn Store>,
    server: Arc<Server>,
    n_failed: u64,
}

impl Fixture {
    async fn new(stable: &str, candidate: &str) -> Self {
        Self::with_gate(stable, candidate, Vec::new()).await
    }

    async fn with_gate(stable: &str, candidate: &str, answers: Vec<GateDecision>) -> Self {
        Self::with_settings([stable, candidate, "execution: inline"], answers).await
    }

    async fn with_settings(
        [stable, candidate, settings]: [&str; 3],
        answers: Vec<GateDecision>,
    ) -> Self {
        let repository = TestRepository::new(&[
            ("m/1/model.fake", stable),
            ("m/2/model.fake", candidate),
            ("m/model.yaml", settings),
        ]);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let server = Self::serve(&repository, &store, answers, Duration::from_secs(1)).await;
        Self {
            repository,
            store,
            server,
            n_failed: 0,
        }
    }

    async fn serve(
        repository: &TestRepository,
        store: &Arc<dyn Store>,
        answers: Vec<GateDecision>,
        block: Duration,
    ) -> Arc<Server> {
        let server = Server::start(ServerOptions {
            store: Arc::clone(store),
            webhooks: Arc::new(FakeWebhooks::gate(answers)),
            rollout_block: block,
            ..repository.options()
        });
        let server = server.unwrap();
        server.rescan().await.unwrap();
        server
    }

    /// Ends the server and starts another one over the same state.
    async fn restart(&mut self, block: Duration) {
        self.server = Self::serve(&self.repository, &self.store, Vec::new(), block).await;
    }

    /// Starts a rollout of version 2 with further keys.
    async fn start(&self, keys: &str) {
        let file = format!("rollout: {{id: r, model: m, stable: 1, candidate: 2, {keys}}}");
        self.server.start(&file, "ada").await.unwrap();
    }

    /// Sends requests that name no version; returns how many each version answered.
    async fn send(&mut self, n: usize) -> [u64; 2] {
        let mut counts = [0; 2];
        for _ in 0..n {
            let target = target("m", "");
            let route = self.server.route_for(&target, &AnonymousCaller).unwrap();
            let index = usize::from(route.info.version.as_str() == "2");
            counts[index] += 1;
            let result = self.server.infer(route, rows()).await;
            self.n_failed += u64::from(result.is_err());
        }
        counts
    }

    /// Plays one second with this number of requests, up to the sample of its counts.
    async fn second(&mut self, n: usize) {
        self.send(n).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Plays seconds without requests, so that all counts are sampled.
    async fn seconds(&mut self, n: usize) {
        for _ in 0..n {
            self.second(0).await;
        }
    }

    /// Plays seconds until the rollout is in a state.
    async fn until(&mut self, state: &str, n: usize) -> u64 {
        for second in 0..1000 {
            if self.status("state") == state {
                return second;
            }
            self.second(n).await;
        }
        let status = self.server.status("r").unwrap();
        panic!("{}: {}", status.as_str(), self.evidence());
    }

    fn status(&self, key: &str) -> Value {
        let status = self.server.status("r").unwrap();
        let status: Value = serde_json::from_str(status.as_str()).unwrap();
        status[key].clone()
    }

    fn evidence(&self) -> Value {
        let evidence = self.server.evidence("r").unwrap();
        serde_json::from_str(evidence.as_str()).unwrap()
    }

    async fn apply_action(&self, kind: ActionKind) -> Result<RawJson> {
        let action = OperatorAction {
            kind,
            actor: "ada".to_owned(),
            reason: "because".to_owned(),
            generation: None,
        };
        self.server.apply_action("r", action).await
    }

    fn pinned(&self) -> Option<String> {
        let status = self.server.model(&name("m")).unwrap();
        status.routing.pinned.map(|version| version.to_string())
    }
}

fn rows() -> InferRequest {
    let values = vec![0.0_f32; N_ROWS * 2];
    let tensor = Tensor::from_values(Shape::new(&[N_ROWS, 2]), values).unwrap();
    let input = NamedTensor {
        name: INPUT.to_owned(),
        tensor,
    };
    InferRequest::new(RequestId::new("test"), vec![input])
}

#[tokio::test(start_paused = true)]
async fn a_good_candidate_takes_over_in_steps_and_stays() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    fixture.until("step", 300).await;
    assert_eq!(fixture.status("weight"), 0.2);
    let [stable, candidate] = fixture.send(2000).await;
    assert!((300..500).contains(&candidate), "{stable} {candidate}");
    fixture.until("soak", 300).await;
    assert_eq!(fixture.send(100).await, [0, 100]);
    fixture.until("completed", 300).await;
    assert_eq!(fixture.pinned().as_deref(), Some("2"));
    assert_eq!((fixture.send(10).await, fixture.n_failed), ([0, 10], 0));
    fixture
        .server
        .change(&name("m"), Change::RollBack, "ada")
        .await
        .unwrap();
    assert_eq!(fixture.send(10).await, [10, 0], "one step back is stable");
}

#[tokio::test(start_paused = true)]
async fn a_failing_candidate_goes_back_within_seconds() {
    let mut fixture = Fixture::new("add 1", "add 1\nrefuse 3").await;
    fixture.start(QUICK).await;
    let seconds = fixture.until("rolled_back", 300).await;
    assert!(seconds <= 6, "{seconds}");
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    assert_eq!(fixture.send(100).await, [100, 0]);
    let on_trial = fixture.evidence()["metrics"][0]["arms"]["candidate"].clone();
    assert_eq!(on_trial["n"], on_trial["events"], "{on_trial}");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_finds_other_answers_before_any_caller_gets_one() {
    let mut fixture = Fixture::new("add 1", "add 2").await;
    let metrics = "shadow: {min_pairs: 100, max_extra_load: 10}, metrics: [\
                   {name: errors, event: error, not_worse_than: {abs: 0.05}}, \
                   {name: disagree, event: shadow_differs, max_rate: 0.02}]";
    fixture.start(&format!("{QUICK}, {metrics}")).await;
    fixture.until("shadow", 20).await;
    let mut candidate_answers = 0;
    while fixture.status("state") == "shadow" {
        candidate_answers += fixture.send(20).await[1];
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(fixture.status("state"), "rolled_back");
    assert_eq!((candidate_answers, fixture.n_failed), (0, 0));
    assert!(fixture.evidence()["shadow"]["differ"].as_u64().unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_of_equal_answers_lets_the_candidate_up() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let metrics = "shadow: {min_pairs: 100, max_extra_load: 10}, metrics: [\
                   {name: errors, event: error, not_worse_than: {abs: 0.05}}, \
                   {name: disagree, event: shadow_differs, max_rate: 0.02}]";
    fixture.start(&format!("{QUICK}, {metrics}")).await;
    fixture.until("shadow", 20).await;
    fixture.until("step", 20).await;
    let shadow = fixture.evidence()["shadow"].clone();
    assert!(shadow["agree"].as_u64().unwrap() >= 100, "{shadow}");
    assert_eq!(shadow["differ"], 0, "{shadow}");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_alone_ends_with_stable_and_an_operator_ends_an_ab_test() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let rule = "warmup: {source: none}, strategy: shadow, \
                shadow: {min_pairs: 200, max_extra_load: 10}";
    fixture.start(rule).await;
    fixture.until("completed", 20).await;
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let rule = "warmup: {source: none}, strategy: ab, soak: 5s, \
                step: {min_time: 5s, min_requests: 100}";
    fixture.start(rule).await;
    fixture.until("held", 300).await;
    assert_eq!(fixture.status("reason"), "gate");
    assert_eq!(fixture.status("weight"), 0.5);
    fixture.apply_action(ActionKind::Promote).await.unwrap();
    fixture.until("completed", 100).await;
    assert_eq!(fixture.pinned().as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn infinite_outputs_end_it_at_once() {
    let mut fixture = Fixture::new("add 1", "add inf").await;
    fixture.start(&without_warmup()).await;
    fixture.until("step", 0).await;
    let seconds = fixture.until("rolled_back", 20).await;
    assert!(seconds <= 3, "{seconds}");
    let reason = fixture.status("reason");
    assert!(
        reason.as_str().unwrap().starts_with("guard `nan_output`"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn infinite_outputs_of_a_warm_up_fail_it_where_stable_has_none() {
    for (stable, guards, expected) in [
        ("add 1", "{nan_output: 1}", "failed"),
        ("add 1", "{nan_output: 3}", "failed"),
        ("add 1", "{nan_output: 4}", "step"),
        ("add inf", "{nan_output: 1}", "step"),
    ] {
        let mut fixture = Fixture::new(stable, "add inf").await;
        fixture.start(&format!("{QUICK}, guards: {guards}")).await;
        fixture.until(expected, 0).await;
        if expected == "failed" {
            let reason = fixture.status("reason");
            assert!(
                reason.as_str().unwrap().contains("`nan_output`"),
                "{reason}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_with_another_signature_never_serves() {
    let mut fixture = Fixture::new("add 1", "add 1\nwide").await;
    fixture.start(QUICK).await;
    fixture.until("failed", 10).await;
    let reason = fixture.status("reason");
    let expected =
        "the candidate cannot be used: output `y` (FP32 [-1, 2]) became `y` (FP32 [-1, -1])";
    assert_eq!(reason, expected);
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_fails_a_golden_request_never_serves() {
    let mut fixture = Fixture::new("add 1", "fail").await;
    fixture
        .repository
        .write("m/2/tests/zeros.json", "0 0 = 1 1");
    fixture.repository.write("m/2/model.fake", "add 2");
    fixture.server.rescan().await.unwrap();
    fixture.start(QUICK).await;
    fixture.until("failed", 10).await;
    let reason = fixture.status("reason").to_string();
    let expected =
        "golden request `tests/zeros.json`: output `y` at `[0, 0]`: expected `1`, got `2`";
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(fixture.n_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_day_without_traffic_is_held_and_neither_promoted_nor_rolled_back() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    // A day has fewer minutes than seconds.
    fixture.restart(Duration::from_secs(60)).await;
    fixture.start(QUICK).await;
    for _ in 0..24 {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(
        (fixture.status("state"), fixture.status("reason")),
        ("held".into(), "unknown".into())
    );
    assert_eq!(fixture.status("step"), 0);
    assert_eq!(fixture.n_failed, 0);
    fixture.apply_action(ActionKind::Abort).await.unwrap();
    assert_eq!(fixture.status("state"), "aborted");
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_the_same_evidence_and_the_same_traffic() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let keys = "warmup: {source: synthetic}, steps: [20, 50], step: {min_time: 1h, max_time: 2h}";
    fixture.start(keys).await;
    fixture.until("step", 0).await;
    for _ in 0..5 {
        fixture.second(100).await;
    }
    let before = (fixture.status("generation"), fixture.evidence());
    fixture.restart(Duration::from_secs(1)).await;
    assert_eq!((fixture.status("generation"), fixture.evidence()), before);
    let [stable, candidate] = fixture.send(1000).await;
    assert!((120..280).contains(&candidate), "{stable} {candidate}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let n = fixture.evidence()["metrics"][0]["arms"]["stable"]["n"].clone();
    let earlier = before.1["metrics"][0]["arms"]["stable"]["n"]
        .as_u64()
        .unwrap();
    assert_eq!(n, earlier + stable, "counts add up");
}

#[tokio::test(start_paused = true)]
async fn new_files_of_the_candidate_begin_again() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture
        .start(&QUICK.replace("min_time: 5s", "min_time: 250s"))
        .await;
    fixture.until("step", 10).await;
    for _ in 0..3 {
        fixture.second(50).await;
    }
    fixture.repository.write("m/2/model.fake", "add 3");
    fixture.server.rescan().await.unwrap();
    for _ in 0..3 {
        fixture.second(10).await;
    }
    assert_eq!(fixture.status("epoch"), 2);
}

#[tokio::test(start_paused = true)]
async fn operators_wait_while_a_rollout_decides() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    fixture.until("step", 10).await;
    let pin = Change::Pin("2".to_owned());
    let changes = [pin, Change::Unpin, Change::Unsplit, Change::RollBack];
    for change in changes {
        let refused = fixture
            .server
            .change(&name("m"), change.clone(), "bob")
            .await;
        assert_eq!(refused.unwrap_err().code(), Code::Conflict, "{change:?}");
    }
    assert_eq!(
        fixture.server.unload(&name("m")).await.unwrap_err().code(),
        Code::Conflict
    );
    let second = "rollout: {id: s, model: m, stable: 1, candidate: 2}";
    let refused = fixture.server.start(second, "bob").await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    let routing = fixture.server.model(&name("m")).unwrap().routing;
    assert_eq!(routing.rollout.as_deref(), Some("r"));
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    fixture.until("rolled_back", 10).await;
    fixture.start_again("s").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_repeated_start_of_a_running_rollout_answers_with_its_status() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    fixture.until("step", 20).await;
    let status = fixture.server.status("r").unwrap();
    let same = format!("rollout:\n  {{{QUICK}, candidate: '2', stable: '1', model: m, id: r}}");
    let again = fixture.server.start(&same, "ada").await.unwrap();
    assert_eq!(again, status);
    let refused = fixture.start_again("r").await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(refused.message().contains("another file"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_id_can_be_used_again_after_the_end_for_other_users() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let keys = "steps: [50], warmup: {source: none}, unit: {from: header, name: x-user}";
    let file = format!("rollout: {{model: m, stable: 1, candidate: 2, {keys}}}");
    let start = |server: &Arc<Server>| {
        let (server, file) = (Arc::clone(server), file.clone());
        async move {
            let status = server.start(&file, "ada").await.unwrap();
            serde_json::from_str::<Value>(status.as_str()).unwrap()
        }
    };
    let arms = |fixture: &Fixture| {
        let assign = |user: u32| fixture.server.assign("m-2", &format!("user_{user}"));
        let arms: Vec<_> = (0..200).map(|user| assign(user).unwrap()).collect();
        arms
    };
    let mut runs = Vec::new();
    for run in 1..=3 {
        let status = start(&fixture.server).await;
        assert_eq!(
            (&status["id"], &status["run"]),
            (&"m-2".into(), &run.into())
        );
        fixture.seconds(2).await;
        runs.push(arms(&fixture));
        fixture.restart(Duration::from_secs(1)).await;
        assert_eq!(arms(&fixture), runs[run - 1], "a restart changes no arm");
        let end = OperatorAction {
            kind: ActionKind::Abort,
            actor: "ada".to_owned(),
            reason: String::new(),
            generation: None,
        };
        fixture.server.apply_action("m-2", end).await.unwrap();
        fixture.seconds(1).await;
        let transitions = fixture.server.transitions("m-2", 100).await.unwrap();
        let transitions: Vec<Value> = serde_json::from_str(transitions.as_str()).unwrap();
        assert_eq!(transitions.len(), 3, "those of this run: {transitions:?}");
    }
    assert_ne!(runs[0], runs[1]);
    assert_ne!(runs[1], runs[2]);
}

impl Fixture {
    async fn start_again(&self, id: &str) -> Result<RawJson> {
        let file = format!("rollout: {{id: {id}, model: m, stable: 1, candidate: 2}}");
        self.server.start(&file, "bob").await
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_makes_no_sense_does_not_start() {
    let fixture = Fixture::new("add 1", "add 1").await;
    let cases = [
        ("model: x, stable: 1, candidate: 2", Code::ModelNotFound),
        ("model: m, stable: 7, candidate: 2", Code::VersionNotFound),
        ("model: m, stable: 1, candidate: 9", Code::VersionNotFound),
        (
            "model: m, stable: 1, candidate: 2, stepz: [1]",
            Code::InvalidRequest,
        ),
        (
            "model: m, stable: 1, candidate: 2, \
             gates: [{before: promote, type: webhook, url: 'https://a'}]",
            Code::InvalidRequest,
        ),
    ];
    for (keys, expected) in cases {
        let file = format!("rollout: {{id: r, {keys}}}");
        let refused = fixture.server.start(&file, "ada").await.unwrap_err();
        assert_eq!(refused.code(), expected, "{keys}: {refused}");
    }
    assert_eq!(fixture.server.list().as_str(), "[]");
    assert_eq!(
        fixture.server.status("r").unwrap_err().code(),
        Code::RolloutNotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_until_it_agrees_and_can_send_back() {
    for (answers, expected) in [
        (vec![GateDecision::Proceed, GateDecision::Wait], "soak"),
        (
            vec![GateDecision::RollBack, GateDecision::Wait],
            "rolled_back",
        ),
    ] {
        let mut fixture = Fixture::with_gate("add 1", "add 1", answers).await;
        let gates = "gates: [{before: promote, type: webhook, url: 'http://gate/'}]";
        fixture.start(&format!("{QUICK}, {gates}")).await;
        fixture.until("held", 300).await;
        assert_eq!(fixture.status("reason"), "gate");
        fixture.until(expected, 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_receives_every_transition_and_the_end() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    let mut watch = fixture.server.watch("r").unwrap();
    let watching = tokio::spawn(async move {
        let mut states = Vec::new();
        while let Some(news) = watch.next().await {
            if let RolloutEvent::Transition(document) = news {
                let transition: Value = serde_json::from_str(document.as_str()).unwrap();
                states.push(transition["to"].as_str().unwrap().to_owned());
            }
        }
        states
    });
    fixture.until("completed", 300).await;
    let states = watching.await.unwrap();
    assert_eq!(
        states,
        ["warmup", "step", "step", "promoting", "soak", "completed"]
    );
    let transitions = fixture.server.transitions("r", 10).await.unwrap();
    let transitions: Vec<Value> = serde_json::from_str(transitions.as_str()).unwrap();
    let persisted = transitions
        .iter()
        .rev()
        .map(|transition| transition["to"].as_str().unwrap());
    assert_eq!(persisted.collect::<Vec<_>>(), states);
    assert_eq!(
        fixture
            .apply_action(ActionKind::Hold)
            .await
            .unwrap_err()
            .code(),
        Code::Conflict
    );
    assert!(fixture.server.watch("r").unwrap().next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_arm_of_a_user_can_be_asked_for_and_follows_the_weight() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let unit = "unit: {from: header, name: x-user}";
    fixture.start(&format!("{QUICK}, {unit}")).await;
    let arm = |fixture: &Fixture, user: usize| {
        let answer = fixture.server.assign("r", &format!("user_{user}")).unwrap();
        let answer: Value = serde_json::from_str(answer.as_str()).unwrap();
        answer["arm"].as_str().unwrap().to_owned()
    };
    let on_trial = |fixture: &Fixture| {
        let users = 0..1000;
        users
            .filter(|&user| arm(fixture, user) == "candidate")
            .collect::<Vec<_>>()
    };
    assert_eq!(on_trial(&fixture), [0; 0]);
    fixture.until("step", 0).await;
    let few = on_trial(&fixture);
    assert!((150..250).contains(&few.len()), "{}", few.len());
    fixture.apply_action(ActionKind::Hold).await.unwrap();
    assert_eq!(on_trial(&fixture), few);
    assert_eq!(
        fixture.server.assign("r", "").unwrap_err().code(),
        Code::InvalidRequest
    );
}

#[tokio::test(start_paused = true)]
async fn transitions_and_metrics_reach_the_observer() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.start(QUICK).await;
    fixture.until("step", 10).await;
    let observer: &RecordingObserver = &fixture.repository.observer;
    let seen = observer.events();
    assert!(
        seen.iter()
            .any(|event| event.contains("RolloutTransitioned")),
        "{seen:?}"
    );
    assert!(
        seen.iter().any(|event| event.contains("RolloutMeasured")),
        "{seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_simulation_predicts_the_outcome() {
    let fixture = Fixture::new("add 1", "add 1").await;
    let file = "rollout: {id: r, model: m, stable: 1, candidate: 2, steps: [50]}";
    let assumptions = SimulationInput {
        requests_per_second: 500.0,
        candidate_rates: vec![("errors".to_owned(), 0.2)],
        n_runs: 5,
        ..SimulationInput::default()
    };
    let summary = fixture
        .server
        .simulate(file, &assumptions, &|| false)
        .unwrap();
    let summary: Value = serde_json::from_str(summary.as_str()).unwrap();
    assert_eq!(summary["p_rollback"], 1.0);
}
