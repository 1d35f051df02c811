//! Pages of other origins, over real connections.

use std::sync::Arc;

use contract::Code;
use contract::testing::RecordingObserver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::context::Limits;
use crate::server::{CallHead, Dialects, Guard, ListenerHandle, ServeOptions};
use crate::server::{endpoint, serve, tests};

const APP: &str = "https://app.example";

/// Refuses calls without a key.
#[derive(Debug)]
struct NeedsKey;

impl Guard for NeedsKey {
    fn check(&self, call: &CallHead<'_>) -> Result<()> {
        match call.headers.contains_key(header::AUTHORIZATION) {
            true => Ok(()),
            false => Err(Error::new(Code::Unauthenticated, "call has no key")),
        }
    }
}

fn start(origins: &[&str], guard: Option<Arc<dyn Guard>>) -> ListenerHandle {
    let observer = Arc::new(RecordingObserver::default());
    let ctx = tests::context(Limits::default(), &observer);
    let origins: Vec<_> = origins.iter().map(|text| (*text).to_owned()).collect();
    let cors = Cors::new(&origins).unwrap();
    let endpoint = endpoint(&ctx, Dialects::ALL, guard).with_cors(Some(cors));
    let options = ServeOptions::from(&ctx.limits);
    serve("127.0.0.1:0".parse().unwrap(), endpoint, options).unwrap()
}

/// Sends a request with these headers on a connection of its own; returns the head of the reply.
async fn head(server: &ListenerHandle, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let n_bytes = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {n_bytes}\r\n\
         {headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let reply = String::from_utf8(reply).unwrap();
    reply.split_once("\r\n\r\n").unwrap().0.to_owned() + "\r\n"
}

fn has(head: &str, field: &str) -> bool {
    head.contains(&format!("\r\n{field}\r\n"))
}

/// Checks the head of the reply to a request from an origin.
async fn check(server: &ListenerHandle, call: (&str, &str), origin: &str, status: &str) -> String {
    let headers = format!("origin: {origin}\r\n");
    let head = head(server, call.0, &headers, call.1).await;
    let expected = format!("HTTP/1.1 {status}");
    assert!(head.starts_with(&expected), "{call:?} {origin}: {head}");
    head
}

/// Calls of the fast path, of the router, and errors of each.
const CALLS: [((&str, &str), &str); 6] = [
    (("POST /models/a/predict", "{\"data\": [1, 2]}"), "200"),
    (("POST /models/a/predict", "{\"data\": [1, 2, 3]}"), "400"),
    (("GET /models", ""), "200"),
    (("GET /nowhere", ""), "404"),
    (("DELETE /models", ""), "405"),
    (("GET /metrics", ""), "200"),
];

#[tokio::test]
async fn every_reply_to_a_listed_origin_may_be_read_by_its_pages() {
    let server = start(&[APP, "http://localhost:3000"], None);
    for (call, status) in CALLS {
        for origin in [APP, "http://localhost:3000"] {
            let head = check(&server, call, origin, status).await;
            assert!(
                has(&head, &format!("access-control-allow-origin: {origin}")),
                "{head}"
            );
            assert!(has(&head, "access-control-expose-headers: *"), "{head}");
            assert!(has(&head, "vary: origin"), "{head}");
            assert!(!head.contains("access-control-allow-credentials"), "{head}");
        }
    }
}

#[tokio::test]
async fn replies_to_other_origins_say_nothing_about_them() {
    let server = start(&[APP], None);
    let others = [
        "https://elsewhere.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.elsewhere.example",
        "null",
    ];
    for (call, status) in CALLS {
        for origin in others {
            let head = check(&server, call, origin, status).await;
            assert!(!head.contains("access-control-"), "{origin}: {head}");
            assert!(has(&head, "vary: origin"), "{head}");
        }
    }
    let head = head(&server, "GET /models", "", "").await;
    assert!(!head.contains("access-control-"), "{head}");
    assert!(has(&head, "vary: origin"), "a cache may keep it: {head}");
}

#[tokio::test]
async fn a_preflight_of_a_listed_origin_is_answered_before_the_guard() {
    let server = start(&[APP], Some(Arc::new(NeedsKey)));
    let preflight = |origin: &str, requested: &str| {
        format!("origin: {origin}\r\naccess-control-request-method: POST\r\n{requested}")
    };
    for path in [
        "/models/a/predict",
        "/api/rollouts",
        "/v2/models/a/infer",
        "/health",
    ] {
        let line = format!("OPTIONS {path}");
        let requested = "access-control-request-headers: authorization,content-type\r\n";
        let reply = head(&server, &line, &preflight(APP, requested), "").await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        let expected = [
            "access-control-allow-origin: https://app.example",
            "access-control-allow-methods: GET, POST, PUT, DELETE",
            "access-control-allow-headers: authorization,content-type",
            "access-control-max-age: 600",
            "vary: origin",
        ];
        for field in expected {
            assert!(has(&reply, field), "{field}: {reply}");
        }
        let reply = head(
            &server,
            &line,
            &preflight("https://elsewhere.example", ""),
            "",
        )
        .await;
        assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
        assert!(!reply.contains("access-control-"), "{reply}");
    }
    let reply = head(&server, "GET /models", &format!("origin: {APP}\r\n"), "").await;
    assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    let allowed = "access-control-allow-origin: https://app.example";
    assert!(
        has(&reply, allowed),
        "the page may read the refusal: {reply}"
    );
}

#[tokio::test]
async fn a_star_allows_every_origin() {
    let server = start(&["*"], None);
    let head = check(&server, CALLS[0].0, "https://any.example", "200").await;
    assert!(has(&head, "access-control-allow-origin: *"), "{head}");
    assert!(!head.contains("vary: origin"), "{head}");
}

#[tokio::test]
async fn without_the_setting_no_reply_mentions_origins() {
    let observer = Arc::new(RecordingObserver::default());
    let ctx = tests::context(Limits::default(), &observer);
    let options = ServeOptions::from(&ctx.limits);
    let endpoint = endpoint(&ctx, Dialects::ALL, None);
    let server = serve("127.0.0.1:0".parse().unwrap(), endpoint, options).unwrap();
    let preflight = format!("origin: {APP}\r\naccess-control-request-method: POST\r\n");
    let head = head(&server, "OPTIONS /models/a/predict", &preflight, "").await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
    assert!(
        !head.contains("access-control-") && !head.contains("vary: origin"),
        "{head}"
    );
}

#[test]
fn origins_are_written_as_browsers_do() {
    let read = |text: &str| Cors::new(&[text.to_owned()]).map(|cors| cors.0[0].clone());
    let cases = [
        ("https://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("https://app.example/", "https://app.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("*", "*"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).unwrap(), expected, "{text}");
    }
    let refused = [
        "",
        "app.example",
        "null",
        "https://app.example/page",
        "https://app.example?x",
        "ftp://app.example",
        "https://*.example/",
        "https://user@app.example",
        "https://",
    ];
    for text in refused {
        let error = read(text).unwrap_err();
        assert!(
            error.message().starts_with("an origin is `*`, or"),
            "{text}: {error}"
        );
    }
}
