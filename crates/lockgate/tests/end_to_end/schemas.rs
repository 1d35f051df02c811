//! Every reply of a real server fits the document that it serves.
//!
//! Two rollouts run meanwhile, one in a step and one with all traffic on its candidate, and a third
//! model has a split with feedback, so that no part of a reply is empty for want of data.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;

use api::testing::{Reply, check_component, check_reply};
use serde_json::{Value, json};

use crate::http::{self, Connection};
use crate::process::{Lockgate, copy_folder, examples};

/// A limit that all bodies of the test but one respect.
const MAX_BODY_BYTES: usize = 100_000;

/// The header of most bodies.
const JSON: (&str, &str) = ("content-type", "application/json");

/// The header of rollout files.
const YAML: (&str, &str) = ("content-type", "application/yaml");

const STEPS: &str = "
rollout:
  id: trial
  model: digits
  stable: 1
  candidate: 3
  warmup: {source: synthetic}
  shadow: {percent: 100, min_pairs: 20, max_extra_load: 5}
  steps: [50]
  step: {min_time: 1h, max_time: 2h}
  metrics:
    - {name: errors, event: error, not_worse_than: {ratio: 3.0, abs: 0.03}}
    - {name: slow, event: latency_over, at: stable_p99, worse_than: 2.0, not_worse_than: {ratio: 5.0, abs: 0.05}}
    - {name: disagree, event: shadow_differs, max_rate: 0.9}
    - {name: classes, event: output_bin, tolerance_js: 0.9}
    - {name: reward, event: feedback}
";

const ALL_AT_ONCE: &str = "
rollout:
  id: green
  model: green
  stable: 1
  candidate: 3
  strategy: blue_green
  step: {min_time: 0s, max_time: 1s, on_unknown: promote}
  warmup: {source: synthetic}
  gates: [{before: promote, type: manual}]
  soak: 1h
";

/// Calls that fail: the status, the call and its body.
const MISTAKES: [(u16, &str, &str); 26] = [
    (400, "POST /predict", "{}"),
    (400, "POST /v2/models/digits/infer", r#"{"inputs": 5}"#),
    (400, "POST /v1/feedback", r#"{"reward": 1}"#),
    (400, "PUT /api/models/halves/traffic", r#"{"splat": []}"#),
    (400, "POST /api/rollouts", r#"{"rollout": {}}"#),
    (400, "GET /api/experiments/assign?rollout=trial", ""),
    (400, "GET /api/rollouts/trial/transitions?limit=0", ""),
    (404, "GET /models/nobody", ""),
    (404, "GET /models/digits/versions/7", ""),
    (404, "GET /health/ready?model=nobody", ""),
    (404, "POST /models/nobody/predict", r#"{"data": 1}"#),
    (404, "GET /v2/models/nobody", ""),
    (404, "GET /v2/models/nobody/stats", ""),
    (404, "POST /v2/models/nobody/infer", "{}"),
    (404, "GET /api/models/nobody/history", ""),
    (
        404,
        "POST /v1/feedback",
        r#"{"request_id": "nobody", "reward": 1}"#,
    ),
    (404, "GET /api/rollouts/nobody/evidence", ""),
    (404, "GET /api/rollouts/nobody/events", ""),
    (404, "POST /api/rollouts/nobody/abort", ""),
    (404, "GET /nowhere", ""),
    (404, "GET /v2/nowhere", ""),
    (405, "DELETE /predict", ""),
    (405, "DELETE /v2/models", ""),
    (409, "POST /api/rollouts/trial/hold", r#"{"generation": 1}"#),
    (409, "POST /api/rollouts/trial/resume", ""),
    (501, "POST /v2/models/digits/generate", "{}"),
];

/// The examples, and two copies of digits: one for the split, one for the second rollout. Version 3
/// is version 1 again, so that shadow requests agree.
fn repository() -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    copy_folder(&examples().join("models"), repository.path());
    let digits = repository.path().join("digits");
    copy_folder(&digits.join("1"), &digits.join("3"));
    for copy in ["halves", "green"] {
        copy_folder(&digits, &repository.path().join(copy));
    }
    repository
}

fn serve(repository: &Path, folder: &Path) -> Lockgate {
    let config = folder.join("lockgate.yaml");
    fs::write(&config, format!("max_body_bytes: {MAX_BODY_BYTES}\n")).unwrap();
    let config = config.display().to_string();
    let flags = ["--model-control", "true", "--config", &config];
    Lockgate::serve(repository, &flags)
}

/// A caller that checks every reply against the document of the server.
struct Caller {
    address: String,
    document: Value,
    wrong: BTreeSet<String>,
}

impl Caller {
    fn new(server: &Lockgate) -> Self {
        let address = server.address.clone();
        Self {
            document: http::get(&address, "/openapi.json").json(),
            address,
            wrong: BTreeSet::new(),
        }
    }

    /// Calls `METHOD /path` and checks that the reply has this status.
    fn expect(&mut self, status: u16, call: &str, body: &Value) -> Value {
        let text = match body.is_null() {
            true => String::new(),
            false => body.to_string(),
        };
        self.send(status, call, JSON, &text)
    }

    /// Calls with a header, and checks the reply.
    fn send(&mut self, status: u16, call: &str, header: (&str, &str), body: &str) -> Value {
        let (method, path) = call.split_once(' ').unwrap();
        let mut connection = Connection::open(&self.address).unwrap();
        let reply = connection.call(method, path, &[header], body.as_bytes());
        let reply = reply.unwrap();
        let is_json = reply.header("content-type") == Some("application/json");
        let json = match is_json && !reply.body.is_empty() {
            true => Some(reply.json()),
            false => None,
        };
        let checked = Reply {
            method,
            path,
            status: reply.status,
            media_type: reply.header("content-type").unwrap_or_default(),
            json: json.as_ref(),
        };
        if let Err(error) = check_reply(&self.document, checked) {
            self.wrong.insert(format!("{call}: {error}"));
        }
        if reply.status != status {
            let found = reply.status;
            self.wrong
                .insert(format!("{call}: {found} for {status}: {json:?}"));
        }
        json.unwrap_or_default()
    }

    /// Returns the paths of a method.
    fn paths(&self, method: &str) -> Vec<String> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let paths = paths.filter(|(_, item)| item.get(method).is_some());
        paths.map(|(path, _)| path.clone()).collect()
    }

    /// Polls until a value of a reply is accepted.
    fn until(&mut self, path: &str, is_right: impl Fn(&Value) -> bool) {
        while !is_right(&self.expect(200, &format!("GET {path}"), &Value::Null)) {
            thread::yield_now();
        }
    }

    /// Sends requests and a reward for each until a value of a reply is accepted.
    fn load(&mut self, model: &str, path: &str, is_right: impl Fn(&Value) -> bool) {
        let predict = format!("POST /models/{model}/predict");
        for n in 0.. {
            let (id, digits) = (format!("{model}-{n}"), vec![f64::from(n % 16); 64]);
            let body = json!({ "data": [digits], "user_id": id }).to_string();
            self.send(200, &predict, ("x-request-id", &id), &body);
            let reward = json!({ "request_id": id, "reward": n % 3 });
            self.expect(202, "POST /v1/feedback", &reward);
            if is_right(&self.expect(200, &format!("GET {path}"), &Value::Null)) {
                return;
            }
        }
    }

    fn start_rollouts(&mut self) {
        self.send(201, "POST /api/rollouts", YAML, STEPS);
        self.send(201, "POST /api/rollouts", YAML, ALL_AT_ONCE);
        self.load("digits", "/api/rollouts/trial", |status| {
            status["state"] == "step"
        });
        self.load("digits", "/api/rollouts/trial/evidence", |evidence| {
            let counts = ["/metrics/0/arms", "/metrics/4/arms"].map(|arms| {
                let arms = evidence.pointer(arms).unwrap();
                ["stable", "candidate"].map(|arm| arms[arm]["n"].as_u64().unwrap())
            });
            counts.as_flattened().iter().all(|n| *n > 1)
        });
        self.until("/api/rollouts/green", |status| status["state"] == "held");
        self.expect(200, "POST /api/rollouts/green/promote", &Value::Null);
        self.load("green", "/api/rollouts/green/evidence", |evidence| {
            evidence.get("soak").is_some()
        });
    }

    fn split(&mut self) {
        let label = json!({ "version": 2 });
        self.expect(200, "PUT /api/models/halves/labels/canary", &label);
        self.expect(200, "PUT /api/models/halves/default", &label);
        let arms = json!([{"version": 1, "weight": 0.5}, {"version": "canary", "weight": 0.5}]);
        let split = json!({ "split": arms, "bandit": true });
        self.expect(200, "PUT /api/models/halves/traffic", &split);
        self.load("halves", "/api/models/halves/traffic", |routing| {
            let arms = routing["results"].as_array().unwrap();
            arms.iter()
                .all(|arm| arm["reward"]["n"].as_u64().unwrap() > 2)
        });
    }

    /// Reads the events of a rollout until there was one of each kind.
    fn follow(&mut self, rollout: &str) {
        let stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("GET /api/rollouts/{rollout}/events HTTP/1.1\r\nhost: test\r\n\r\n");
        (&stream).write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        assert!(
            head.iter()
                .any(|line| line == "content-type: text/event-stream"),
            "{head:?}"
        );
        self.expect(
            200,
            &format!("POST /api/rollouts/{rollout}/hold"),
            &json!({"reason": "test"}),
        );
        self.expect(
            200,
            &format!("POST /api/rollouts/{rollout}/resume"),
            &Value::Null,
        );
        let mut missing = vec!["transition", "evidence"];
        let mut kind = String::new();
        while !missing.is_empty() {
            let line = lines.next().unwrap();
            if let Some(name) = line.strip_prefix("event: ") {
                name.clone_into(&mut kind);
            }
            let Some(data) = line.strip_prefix("data: ") else {
                continue;
            };
            let schema = match kind.as_str() {
                "transition" => "RolloutTransition",
                _ => "RolloutEvidence",
            };
            let data = serde_json::from_str(data).unwrap();
            let found = check_component(&self.document, schema, &data);
            self.wrong
                .extend(found.err().map(|error| format!("{kind}: {error}")));
            missing.retain(|missing| *missing != kind);
        }
    }

    /// Calls every documented `GET` for this model and rollout.
    fn get_everything(&mut self, model: &str, rollout: &str) {
        for path in self.paths("get") {
            let path = path
                .replace("{model}", model)
                .replace("{version}", "1")
                .replace("{rollout}", rollout);
            let query = match path.as_str() {
                "/api/experiments/assign" => format!("?rollout={rollout}&unit=u7"),
                "/model/info" | "/health/ready" => format!("?model={model}"),
                _ => String::new(),
            };
            match path.ends_with("/events") {
                true => self.follow(rollout),
                false => drop(self.expect(200, &format!("GET {path}{query}"), &Value::Null)),
            }
        }
    }

    /// Sends every example body that runs a model.
    fn run_examples(&mut self) {
        let mut n_sent = 0;
        for path in self.paths("post") {
            let media = "post/requestBody/content/application~1json";
            let key = path.replace('~', "~0").replace('/', "~1");
            let content = self.document.pointer(&format!("/paths/{key}/{media}"));
            let content = content.cloned().unwrap_or_default();
            let examples = content["examples"].as_object().into_iter().flatten();
            let examples = examples.map(|(model, example)| (model.as_str(), &example["value"]));
            let runs = path.contains("/predict") || path.contains("/infer");
            for (model, body) in examples.chain(content.get("example").map(|body| ("", body))) {
                let path = path.replace("{model}", model).replace("{version}", "1");
                if runs {
                    n_sent += 1;
                    self.expect(200, &format!("POST {path}"), body);
                }
            }
        }
        assert!(n_sent > 30, "{n_sent}");
    }

    fn send_other_bodies(&mut self) {
        let items = json!([{"data": [vec![0; 64]]}]);
        let comparison =
            json!({"model": "digits", "versions": [1, 2], "items": items, "labels": [0]});
        self.expect(200, "POST /api/compare", &comparison);
        let simulation = json!({ "file": STEPS, "runs": 5 });
        self.expect(200, "POST /api/rollouts:simulate", &simulation);
        let hook = json!({"metadata": {"rollout": "trial"}});
        self.expect(403, "POST /api/hooks/flagger/rollback", &hook);
        let feedback =
            json!([{"request_id": "digits-0", "reward": 1}, {"unit": "nobody", "label": 3}]);
        self.expect(202, "POST /v1/feedback", &feedback);
        self.expect(200, "POST /v2/repository/index", &Value::Null);
        self.expect(200, "POST /v2/logging", &json!({}));
        self.expect(200, "POST /v2/trace/setting", &json!({}));
        self.expect(200, "POST /v2/repository/models/iris/load", &Value::Null);
        self.expect(200, "POST /api/models/iris/versions/1/unload", &Value::Null);
        self.expect(503, "GET /models/iris/ready", &Value::Null);
        self.expect(503, "GET /v2/models/iris/ready", &Value::Null);
        let flower = json!({"data": [[1, 2, 3, 4]]});
        self.expect(404, "POST /models/iris/predict", &flower);
        self.expect(200, "POST /api/models/iris/versions/1/load", &Value::Null);
        self.expect(400, "DELETE /api/models/halves/labels/canary", &Value::Null);
        self.expect(200, "DELETE /api/models/halves/traffic", &Value::Null);
        self.expect(200, "DELETE /api/models/halves/labels/canary", &Value::Null);
        self.expect(200, "DELETE /api/models/halves/default", &Value::Null);
        self.expect(200, "POST /api/models/halves/rollback", &Value::Null);
    }

    fn make_mistakes(&mut self) {
        let large = json!({ "data": "0".repeat(MAX_BODY_BYTES) });
        for (status, call, body) in MISTAKES {
            self.send(status, call, JSON, body);
        }
        for path in ["/predict", "/v2/models/digits/infer", "/api/compare"] {
            self.expect(413, &format!("POST {path}"), &large);
        }
        let second = STEPS.replace("id: trial", "id: second");
        self.send(409, "POST /api/rollouts", YAML, &second);
        for path in [
            "/predict",
            "/v2/models/digits/infer",
            "/v1/feedback",
            "/api/compare",
        ] {
            let call = format!("POST {path}");
            self.send(415, &call, ("content-encoding", "zip"), "{}");
        }
    }
}

#[test]
fn every_live_reply_fits_the_document() {
    let (repository, folder) = (repository(), tempfile::tempdir().unwrap());
    let server = serve(repository.path(), folder.path());
    let mut caller = Caller::new(&server);
    caller.run_examples();
    caller.split();
    caller.start_rollouts();
    caller.get_everything("digits", "trial");
    caller.get_everything("halves", "green");
    caller.send_other_bodies();
    caller.make_mistakes();
    caller.expect(
        200,
        "POST /api/rollouts/trial/abort",
        &json!({"reason": "test"}),
    );
    caller.expect(200, "POST /api/rollouts/green/rollback", &Value::Null);
    caller.until("/api/rollouts/green", |status| {
        status["state"] == "rolled_back"
    });
    for rollout in ["trial", "green"] {
        for rest in ["", "/evidence", "/transitions", "/verdict"] {
            caller.expect(
                200,
                &format!("GET /api/rollouts/{rollout}{rest}"),
                &Value::Null,
            );
        }
    }
    let hook = json!({"metadata": {"rollout": "trial"}});
    caller.expect(200, "POST /api/hooks/flagger/rollback", &hook);
    assert!(caller.wrong.is_empty(), "{:#?}", caller.wrong);
}
