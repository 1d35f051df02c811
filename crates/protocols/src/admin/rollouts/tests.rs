//! Whole calls about rollouts, against a server that has one and records its calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use contract::{BoxFuture, RolloutEvent, RolloutWatch, SimulationInput};
use http::Request;
use http_body_util::BodyExt;
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt;

use super::*;
use crate::context::ServerInfo;

/// Has the rollout `digits-2`, whose value is `value`.
#[derive(Debug, Default)]
struct FakeRollouts {
    value: i8,
    recorded: Mutex<Vec<String>>,
    /// Makes simulations wait, when there is one.
    simulation: Option<Arc<Simulation>>,
    /// Makes simulations go on until they are cancelled.
    is_endless: bool,
    /// Notified when an endless simulation has begun.
    begun: Notify,
    /// Notified when an endless simulation was cancelled.
    cancelled: Notify,
}

/// Two semaphores, because one is fair: a simulation that waits for permits would take that of the
/// caller who waits for its beginning.
#[derive(Debug)]
struct Simulation {
    /// Has a permit for each simulation that has begun.
    begun: Semaphore,
    /// Closed to end all simulations.
    end: Semaphore,
}

impl FakeRollouts {
    fn record(&self, text: String) {
        self.recorded.lock().unwrap().push(text);
    }
}

fn find(id: &str, json: &str) -> Result<RawJson> {
    match id {
        "digits-2" => Ok(RawJson::new(json)),
        id => Err(Error::new(
            Code::RolloutNotFound,
            format!("there is no rollout `{id}`"),
        )),
    }
}

/// Emits the given events, then ends.
#[derive(Debug)]
struct ScriptedEvents(VecDeque<RolloutEvent>);

impl RolloutWatch for ScriptedEvents {
    fn next(&mut self) -> BoxFuture<'_, Option<RolloutEvent>> {
        Box::pin(async { self.0.pop_front() })
    }
}

impl Rollouts for FakeRollouts {
    fn start<'a>(&'a self, file: &'a str, actor: &'a str) -> BoxFuture<'a, Result<RawJson>> {
        Box::pin(async move {
            self.record(format!("{actor} starts {file}"));
            match file.contains("model: digits") {
                true => Ok(RawJson::new(r#"{"id":"digits-2","state":"pending"}"#)),
                false => Err(Error::invalid("`rollout.model`: it is missing")),
            }
        })
    }

    fn list(&self) -> RawJson {
        RawJson::new(r#"[{"id":"digits-2"}]"#)
    }

    fn status(&self, id: &str) -> Result<RawJson> {
        find(id, r#"{"id":"digits-2","state":"step"}"#)
    }

    fn evidence(&self, id: &str) -> Result<RawJson> {
        find(id, r#"{"metrics":[]}"#)
    }

    fn verdict(&self, id: &str) -> Result<RawJson> {
        let word = ["worse", "unknown", "not_worse"][usize::try_from(self.value + 1).unwrap()];
        let json = format!(r#"{{"verdict":"{word}","value":{}}}"#, self.value);
        find(id, &json)
    }

    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<RawJson>> {
        Box::pin(async move { find(id, &format!(r#"[{{"limit":{limit}}}]"#)) })
    }

    fn apply_action<'a>(
        &'a self,
        id: &'a str,
        action: OperatorAction,
    ) -> BoxFuture<'a, Result<RawJson>> {
        Box::pin(async move {
            self.record(format!("{action:?}"));
            if action.generation == Some(1) {
                let message = "generation 1 is not the current one, which is 3";
                return Err(Error::new(Code::Conflict, message));
            }
            self.status(id)
        })
    }

    fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>> {
        self.status(id)?;
        let news = [
            RolloutEvent::Evidence(RawJson::new(r#"{"metrics":[]}"#)),
            RolloutEvent::Transition(RawJson::new(r#"{"from":"step","to":"rolled_back"}"#)),
        ];
        Ok(Box::new(ScriptedEvents(news.into())))
    }

    fn assign(&self, id: &str, unit: &str) -> Result<RawJson> {
        let json = format!(r#"{{"arm":"stable","unit":"{unit}"}}"#);
        find(id, &json)
    }

    fn simulate(
        &self,
        file: &str,
        assumptions: &SimulationInput,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<RawJson> {
        self.record(format!("{file} {assumptions:?}"));
        if self.is_endless {
            self.begun.notify_one();
            while !is_cancelled() {
                std::thread::yield_now();
            }
            self.cancelled.notify_one();
        }
        if let Some(simulation) = &self.simulation {
            simulation.begun.add_permits(1);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            drop(runtime.block_on(simulation.end.acquire()));
        }
        Ok(RawJson::new(r#"{"p_promote":1.0}"#))
    }
}

fn router_of(rollouts: Option<Arc<dyn Rollouts>>, is_control_enabled: bool) -> Router {
    let ctx = Context {
        rollouts,
        server: ServerInfo {
            version: "0.0.0-test".to_owned(),
            is_gpu_available: false,
            is_control_enabled,
            is_strict_json: false,
        },
        ..Context::of(&Arc::default())
    };
    routes(&Arc::new(ctx))
}

fn router(rollout: &Arc<FakeRollouts>) -> Router {
    let rollouts = Arc::clone(rollout) as _;
    router_of(Some(rollouts), true)
}

async fn call(router: &Router, line: &str, body: &str) -> (u16, String) {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-request-id", "test")
        .header("x-lockgate-actor", "ada")
        .header("accept-encoding", "gzip")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Calls and their replies as text.
async fn transcript(router: &Router, calls: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (line, body) in calls {
        let (status, reply) = call(router, line, body).await;
        text.push_str(&format!("> {line} {body}\n{status} {}\n", reply.trim_end()));
    }
    text
}

const READING: [(&str, &str); 12] = [
    ("GET /api/rollouts", ""),
    ("GET /api/rollouts/digits-2", ""),
    ("GET /api/rollouts/none", ""),
    ("GET /api/rollouts/digits-2/evidence", ""),
    ("GET /api/rollouts/digits-2/transitions", ""),
    ("GET /api/rollouts/digits-2/transitions?limit=5", ""),
    ("GET /api/rollouts/digits-2/transitions?limit=0", ""),
    ("GET /api/rollouts/digits-2/verdict", ""),
    ("GET /api/rollouts/none/verdict", ""),
    ("GET /api/rollouts/none/events", ""),
    (
        "GET /api/experiments/assign?rollout=digits-2&unit=a%20b",
        "",
    ),
    ("GET /api/experiments/assign?rollout=digits-2", ""),
];

#[tokio::test]
async fn everything_about_a_rollout_can_be_read_without_control() {
    let rollouts = Arc::new(FakeRollouts::default());
    let router = router_of(Some(Arc::clone(&rollouts) as _), false);
    insta::assert_snapshot!(transcript(&router, &READING).await);
}

#[tokio::test]
async fn a_file_starts_a_rollout_or_is_refused_with_the_path_of_its_key() {
    let rollout = Arc::new(FakeRollouts::default());
    let calls = [
        ("POST /api/rollouts", "rollout: {model: digits}"),
        ("POST /api/rollouts", "rollout: {}"),
    ];
    let replies = transcript(&router(&rollout), &calls).await;
    insta::assert_snapshot!(replies, @r#"
    > POST /api/rollouts rollout: {model: digits}
    201 {"id":"digits-2","state":"pending"}
    > POST /api/rollouts rollout: {}
    400 {"error":{"code":"invalid_request","message":"`rollout.model`: it is missing","request_id":"test"}}
    "#);
    assert_eq!(
        rollout.recorded.lock().unwrap()[0],
        "ada starts rollout: {model: digits}"
    );
}

#[tokio::test]
async fn every_operator_action_is_parsed() {
    let rollout = Arc::new(FakeRollouts::default());
    let router = router(&rollout);
    for kind in ActionKind::ALL {
        let line = format!("POST /api/rollouts/digits-2/{}", kind.as_str());
        let (status, reply) = call(&router, &line, "").await;
        assert_eq!(status, 200, "{line}: {reply}");
    }
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(MAX_REASON_BYTES + 1));
    let replies = transcript(
        &router,
        &[
            (
                "POST /api/rollouts/digits-2/hold",
                r#"{"reason": "lunch", "generation": 3}"#,
            ),
            ("POST /api/rollouts/digits-2/hold", r#"{"generation": 1}"#),
            ("POST /api/rollouts/digits-2/hold", r#"{"generation": -1}"#),
            ("POST /api/rollouts/digits-2/hold", r#"{"why": "lunch"}"#),
            ("POST /api/rollouts/none/abort", ""),
        ],
    )
    .await;
    let (status, reply) = call(&router, "POST /api/rollouts/digits-2/hold", &long).await;
    assert!(status == 400 && reply.contains("`reason`"), "{reply}");
    let recorded = rollout.recorded.lock().unwrap().join("\n");
    insta::assert_snapshot!(format!("{replies}\n{recorded}"));
}

#[tokio::test]
async fn nothing_is_changed_unless_the_server_lets_itself_be_controlled() {
    let rollout = Arc::new(FakeRollouts::default());
    let router = router_of(Some(Arc::clone(&rollout) as _), false);
    let acts = ActionKind::ALL.map(|kind| format!("POST /api/rollouts/digits-2/{}", kind.as_str()));
    let start = std::iter::once("POST /api/rollouts");
    for line in acts.iter().map(String::as_str).chain(start) {
        let (status, reply) = call(&router, line, "rollout: {model: digits}").await;
        assert_eq!(status, 400, "{line}");
        assert!(reply.contains("model_control"), "{line}: {reply}");
    }
    assert_eq!(rollout.recorded.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_server_without_rollouts_says_so() {
    let router = router_of(None, true);
    let mut calls = READING.to_vec();
    // These say that the call is wrong, or always succeed.
    calls.retain(|(line, _)| {
        !line.contains("limit=0") && !line.contains("verdict") && !line.ends_with("digits-2")
    });
    calls.push(("POST /api/rollouts", "rollout: {}"));
    calls.push(("POST /api/rollouts:simulate", r#"{"file": ""}"#));
    calls.push(("POST /api/rollouts/digits-2/hold", ""));
    for (line, body) in calls {
        let (status, reply) = call(&router, line, body).await;
        assert_eq!(status, 501, "{line}: {reply}");
    }
}

#[tokio::test]
async fn events_are_streamed_until_the_rollout_ends() {
    let rollout = Arc::new(FakeRollouts::default());
    let request = Request::get("/api/rollouts/digits-2/events")
        .header("accept-encoding", "gzip")
        .header("x-request-id", "test")
        .body(Body::empty())
        .unwrap();
    let reply = router(&rollout).oneshot(request).await.unwrap();
    let (parts, body) = reply.into_parts();
    let headers = format!("{} {:?}", parts.status, parts.headers);
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    insta::assert_snapshot!(format!("{headers}\n\n{text}"), @r#"
    200 OK {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no", "x-request-id": "test"}

    event: evidence
    data: {"metrics":[]}

    event: transition
    data: {"from":"step","to":"rolled_back"}
    "#);
}

#[tokio::test]
async fn assumptions_are_read_or_refused_with_their_key() {
    let rollout = Arc::new(FakeRollouts::default());
    let bodies = [
        r#"{"file": "rollout: {}"}"#,
        r#"{"rollout": {"model": "digits", "alpha": 0.001}, "rps": 50, "runs": 7, "seed": 3,
            "stable_rates": {"errors": 0.01}, "candidate_rates": {"slow": 1, "errors": 0}}"#,
        "{}",
        r#"{"file": "", "rollout": {}}"#,
        r#"{"file": "", "runs": 10001}"#,
        r#"{"file": "", "runs": 0}"#,
        r#"{"file": "", "rps": -1}"#,
        r#"{"file": "", "stable_rates": {"errors": 1.5}}"#,
        r#"{"file": "", "candidate_rates": {"errors": "many"}}"#,
        r#"{"file": "", "rate": 1}"#,
        "rollout: {}",
    ];
    let calls = bodies.map(|body| ("POST /api/rollouts:simulate", body));
    let replies = transcript(&router(&rollout), &calls).await;
    let recorded = rollout.recorded.lock().unwrap().join("\n");
    insta::assert_snapshot!(format!("{replies}\n{recorded}"));
}

#[tokio::test]
async fn one_rollout_is_simulated_at_a_time() {
    let simulation = Arc::new(Simulation {
        begun: Semaphore::new(0),
        end: Semaphore::new(0),
    });
    let rollout = Arc::new(FakeRollouts {
        simulation: Some(Arc::clone(&simulation)),
        ..FakeRollouts::default()
    });
    let router = router(&rollout);
    let simulate = "POST /api/rollouts:simulate";
    let body = r#"{"file": ""}"#;
    let second = async {
        let _begun = simulation.begun.acquire().await.unwrap();
        let refused = call(&router, simulate, body).await;
        simulation.end.close();
        refused
    };
    let (first, second) = tokio::join!(call(&router, simulate, body), second);
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(second.0, 429, "{}", second.1);
    assert!(second.1.contains("another rollout"), "{}", second.1);
}

#[tokio::test(start_paused = true)]
async fn a_simulation_ends_when_its_time_is_over() {
    let rollout = Arc::new(FakeRollouts {
        is_endless: true,
        ..FakeRollouts::default()
    });
    let router = router(&rollout);
    let time_limit = async {
        rollout.begun.notified().await;
        tokio::time::advance(Duration::from_secs(60)).await;
    };
    let simulation = call(&router, "POST /api/rollouts:simulate", r#"{"file": ""}"#);
    let (reply, ()) = tokio::join!(simulation, time_limit);
    assert_eq!(reply.0, 504, "{}", reply.1);
    assert!(reply.1.contains("ask for fewer `runs`"), "{}", reply.1);
    rollout.cancelled.notified().await;
}

#[tokio::test]
async fn a_simulation_needs_model_control() {
    let rollout: Arc<dyn Rollouts> = Arc::new(FakeRollouts::default());
    let router = router_of(Some(rollout), false);
    let reply = call(&router, "POST /api/rollouts:simulate", r#"{"file": ""}"#).await;
    assert_eq!(reply.0, 400, "{}", reply.1);
    assert!(reply.1.contains("`model_control: true`"), "{}", reply.1);
}

#[tokio::test]
async fn flagger_gets_200_for_the_expected_verdict_and_403_otherwise() {
    let mut replies = String::new();
    for value in [1, 0, -1] {
        let rollout = Arc::new(FakeRollouts {
            value,
            ..FakeRollouts::default()
        });
        let body = r#"{"name": "digits", "namespace": "prod", "phase": "Progressing",
            "checksum": "85d557f47b", "metadata": {"rollout": "digits-2", "more": 1}}"#;
        for hook in ["confirm", "rollback"] {
            let line = format!("POST /api/hooks/flagger/{hook}");
            let (status, reply) = call(&router(&rollout), &line, body).await;
            replies.push_str(&format!("{hook}: {status} {reply}\n"));
        }
    }
    let rollout = Arc::new(FakeRollouts::default());
    for body in [
        r#"{"name": "digits"}"#,
        r#"{"metadata": {"rollout": "none"}}"#,
    ] {
        let hook = "POST /api/hooks/flagger/confirm";
        let (status, reply) = call(&router(&rollout), hook, body).await;
        replies.push_str(&format!("{body}: {status} {reply}\n"));
    }
    insta::assert_snapshot!(replies, @r#"
    confirm: 200 {"verdict":"not_worse","value":1}
    rollback: 403 {"verdict":"not_worse","value":1}
    confirm: 403 {"verdict":"unknown","value":0}
    rollback: 403 {"verdict":"unknown","value":0}
    confirm: 403 {"verdict":"worse","value":-1}
    rollback: 200 {"verdict":"worse","value":-1}
    {"name": "digits"}: 400 {"error":{"code":"invalid_request","message":"`metadata.rollout` is missing; expected the name of a rollout","request_id":"test"}}
    {"metadata": {"rollout": "none"}}: 404 {"error":{"code":"rollout_not_found","message":"there is no rollout `none`","request_id":"test"}}
    "#);
}

proptest::proptest! {
    #[test]
    fn no_body_breaks_the_readers(text in ".{0,60}") {
        drop(serde_json::from_str::<ActionBody>(&text));
        if let Ok(body) = serde_json::from_str(&text) {
            drop(simulate::read(body));
        }
    }
}
