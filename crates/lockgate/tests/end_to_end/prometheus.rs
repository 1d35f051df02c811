//! Gates and guards that query a real Prometheus, which scrapes a metric of this test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{get, post_json};
use crate::process::{Lockgate, copy_folder, examples, promtool};

/// An exporter of metrics that this test writes. Its thread ends with the process.
struct Exporter {
    address: String,
    metrics: Arc<Mutex<String>>,
}

impl Exporter {
    fn start(metrics: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let metrics = Arc::new(Mutex::new(metrics.to_owned()));
        let exported = Arc::clone(&metrics);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let body = exported.lock().unwrap().clone();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close";
                let reply = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        Self { address, metrics }
    }

    fn set(&self, metrics: &str) {
        *self.metrics.lock().unwrap() = metrics.to_owned();
    }
}

/// A Prometheus that scrapes an exporter every second. Dropping it kills the process.
struct Prometheus {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    fn scrape(exporter: &Exporter) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{
                "job_name": "shop",
                "static_configs": [{"targets": [exporter.address]}],
            }],
        });
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let mut child = Command::new(promtool().with_file_name("prometheus"))
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = log.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            Some(address.to_owned())
        });
        // A full pipe would stop it.
        thread::spawn(move || log.for_each(drop));
        Self {
            child,
            url: format!("http://{}/", address.unwrap()),
            _folder: folder,
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Serves two versions of digits, and starts a rollout with further keys.
fn start(repository: &TempDir, keys: &Value) -> Lockgate {
    copy_folder(
        &examples().join("models/digits"),
        &repository.path().join("digits"),
    );
    let server = Lockgate::serve(repository.path(), &["--model-control"]);
    let mut rollout = json!({
        "id": "trial", "model": "digits", "stable": "1", "candidate": "2",
        "warmup": {"source": "none"},
    });
    let keys = keys.as_object().unwrap().clone();
    rollout.as_object_mut().unwrap().extend(keys);
    let body = json!({"rollout": rollout});
    let started = post_json(&server.address, "/api/rollouts", &body);
    assert_eq!(started.status, 201, "{}", started.json());
    server
}

fn status_when(server: &Lockgate, is_reached: impl Fn(&Value) -> bool) -> Value {
    loop {
        let status = get(&server.address, "/api/rollouts/trial").json();
        if is_reached(&status) {
            return status;
        }
        thread::yield_now();
    }
}

/// The metric of both versions, with this rate of the candidate.
fn refunds(candidate: f64) -> String {
    let series = |version: u8, value: f64| {
        format!("refund_ratio{{model=\"digits\",version=\"{version}\"}} {value}\n")
    };
    series(1, 0.5) + &series(2, candidate)
}

const QUERY: &str = r#"refund_ratio{model="{{model}}",version="{{candidate}}"}"#;

#[test]
fn a_gate_opens_when_the_metric_of_the_candidate_is_good() {
    let exporter = Exporter::start(&refunds(0.2));
    let prometheus = Prometheus::scrape(&exporter);
    let gate = json!({
        "before": "promote", "type": "prometheus", "url": prometheus.url,
        "query": QUERY, "max": 0.05, "interval": "1s", "for": "1s",
    });
    let keys = json!({
        "strategy": "blue_green",
        "step": {"min_time": "0s", "max_time": "1s", "on_unknown": "promote"},
        "soak": "1s",
        "gates": [gate],
    });
    let repository = tempfile::tempdir().unwrap();
    let server = start(&repository, &keys);
    let status = status_when(&server, |status| {
        status["gate"]["last_answer"] == "0.2 is above `max: 0.05`"
    });
    assert_eq!(status["reason"], "gate");
    exporter.set(&refunds(0.01));
    status_when(&server, |status| status["state"] == "completed");
}

#[test]
fn a_guard_rolls_back_when_the_metric_of_the_candidate_gets_bad() {
    let exporter = Exporter::start(&refunds(0.01));
    let prometheus = Prometheus::scrape(&exporter);
    let guard = json!({
        "name": "refunds", "url": prometheus.url, "query": QUERY, "max": 0.05,
        "interval": "1s", "failure_limit": 2,
    });
    let keys = json!({"steps": [50], "guards": {"prometheus": [guard]}});
    let repository = tempfile::tempdir().unwrap();
    let server = start(&repository, &keys);
    status_when(&server, |status| {
        status["guard_queries"][0]["last_answer"] == "0.01 is within the limits"
    });
    exporter.set(&refunds(0.9));
    let status = status_when(&server, |status| status["state"] == "rolled_back");
    let expected = "Prometheus query `refunds`: 0.9 is above `max: 0.05`, 2 of 2 in a row";
    assert_eq!(status["reason"], expected);
}

#[test]
fn a_wrong_query_is_explained_in_the_words_of_prometheus() {
    let exporter = Exporter::start(&refunds(0.01));
    let prometheus = Prometheus::scrape(&exporter);
    let guard =
        |query: &str| json!({"url": prometheus.url, "query": query, "max": 1, "interval": "1s"});
    let guards = [guard("refund_ratio{"), guard("refund_ratio")];
    let keys = json!({"steps": [50], "guards": {"prometheus": guards}});
    let repository = tempfile::tempdir().unwrap();
    let server = start(&repository, &keys);
    let answer = |status: &Value, guard: usize| {
        let answer = &status["guard_queries"][guard]["last_answer"];
        answer.as_str().unwrap_or_default().to_owned()
    };
    let status = status_when(&server, |status| {
        status["state"] == "held" && answer(status, 1).contains("returns 2 values")
    });
    assert_eq!(status["reason"], "guard_query");
    assert!(answer(&status, 0).contains("parse error"), "{status}");
}
