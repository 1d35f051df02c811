//! Nothing that a client sends ends or poisons the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::http::{Connection, get};
use crate::process::{Lockgate, examples};

const N_STRINGS: usize = 10_000;

/// Every route that reads a body, and some that do not.
const ROUTES: [(&str, &str); 16] = [
    ("POST", "/predict"),
    ("POST", "/v1/predict"),
    ("POST", "/predict/batch"),
    ("POST", "/predict/image?model=digits-image"),
    ("POST", "/models/digits/predict"),
    ("POST", "/models/digits/versions/1/predict"),
    ("POST", "/models/digits-image/predict/image"),
    ("POST", "/v2/models/digits/infer"),
    ("POST", "/v2/models/iris/versions/1/infer"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/digits/load"),
    ("POST", "/v2/logging"),
    ("POST", "/v2/models/digits/generate"),
    ("POST", "/inference.GRPCInferenceService/ModelInfer"),
    ("GET", "/v2/models/digits"),
    ("GET", "/nowhere"),
];

/// Pseudo-random bytes from a fixed seed: a linear congruential generator (Knuth's MMIX constants).
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Bytes that are random, JSON-like, or a binary request with a random header length.
    fn body(&mut self) -> Vec<u8> {
        const WORDS: [&str; 14] = [
            "{",
            "}",
            "[",
            "]",
            "\"data\":",
            "\"inputs\":",
            "1",
            "-1e999",
            "NaN",
            "null",
            ",",
            "\"name\":\"x\"",
            "\"shape\":[1,64]",
            "\"datatype\":\"FP32\"",
        ];
        let n = usize::try_from(self.next() % 60).unwrap();
        match self.next() % 3 {
            0 => (0..n).map(|_| self.next().to_le_bytes()[0]).collect(),
            1 => (0..n)
                .flat_map(|_| self.word(&WORDS).bytes().collect::<Vec<_>>())
                .collect(),
            _ => format!("{{\"data\": {}}}", self.next()).into_bytes(),
        }
    }

    fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.next()).unwrap() % words.len()]
    }
}

#[test]
fn ten_thousand_random_bodies_leave_the_server_healthy() {
    let server = Lockgate::serve(&examples().join("models"), &["--access-log", "false"]);
    let mut random = Bytes(7);
    let mut connection = Connection::open(&server.address).unwrap();
    let mut wrong = Vec::new();
    for index in 0..N_STRINGS {
        let (method, path) = ROUTES[index % ROUTES.len()];
        let body = random.body();
        let types = [
            "application/json",
            "image/png",
            "multipart/form-data; boundary=x",
            "a/b",
        ];
        let length = (random.next() % 40).to_string();
        let encoding = random.word(&["identity", "identity", "gzip", "br"]);
        let mut headers = vec![
            ("content-type", random.word(&types)),
            ("content-encoding", encoding),
        ];
        if random.next().is_multiple_of(2) {
            headers.push(("inference-header-content-length", length.as_str()));
        }
        match connection.call(method, path, &headers, &body) {
            // 501 names a feature that is not offered; every other 5xx is a fault of ours.
            Ok(reply) if reply.status < 500 || reply.status == 501 => {}
            Ok(reply) => wrong.push(format!("{method} {path} {body:?}: {reply:?}")),
            // A refused body may close the connection, after its reply.
            Err(_) => connection = Connection::open(&server.address).unwrap(),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(get(&server.address, "/health/ready").status, 200);
}

#[test]
fn random_bytes_on_the_socket_leave_the_server_healthy() {
    let server = Lockgate::serve(&examples().join("models"), &["--access-log", "false"]);
    let mut random = Bytes(11);
    for _ in 0..500 {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let bytes = random.body();
        // The server may close before it has read everything.
        drop(stream.write_all(&bytes));
        drop(stream.shutdown(Shutdown::Write));
        drop(stream.read_to_end(&mut Vec::new()));
    }
    assert_eq!(get(&server.address, "/health/ready").status, 200);
}

#[test]
fn pages_of_the_origins_in_the_settings_may_call() {
    let flags = [
        "--cors-origins",
        "https://app.example,http://localhost:3000",
    ];
    let server = Lockgate::serve(&examples().join("models"), &flags);
    let mut connection = Connection::open(&server.address).unwrap();
    let origin = ("origin", "http://localhost:3000");
    let preflight = [origin, ("access-control-request-method", "POST")];
    let reply = connection
        .call("OPTIONS", "/predict", &preflight, b"")
        .unwrap();
    assert_eq!(reply.status, 200);
    let data = br#"{"model": "iris", "data": [[5.1, 3.5, 1.4, 0.2]]}"#;
    let reply = connection
        .call("POST", "/predict", &[origin], data)
        .unwrap();
    assert_eq!(reply.status, 200);
    let allowed = reply.header("access-control-allow-origin");
    assert_eq!(allowed, Some("http://localhost:3000"));
}
