//! Outcomes of gates and notifications, over real connections.

mod tls;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn plain() -> WebhookClient {
    WebhookClient(TlsConnector::default())
}

/// Reads one request to its end, and answers it with this status line.
async fn receive(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    status: &str,
) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        stream.read_buf(&mut request).await.unwrap();
    }
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
    stream.write_all(reply.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

/// Starts a server that answers one request with this status line; returns its address, and the
/// request.
async fn receiver(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gate?of=ci", listener.local_addr().unwrap());
    let received = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        receive(stream, status).await
    });
    (url, received)
}

#[tokio::test]
async fn the_status_of_the_reply_decides_a_gate() {
    for (status, expected) in [
        ("200 OK", GateDecision::Proceed),
        ("410 Gone", GateDecision::RollBack),
        ("403 Forbidden", GateDecision::Wait),
        ("204 No Content", GateDecision::Wait),
        ("500 Internal Server Error", GateDecision::Wait),
    ] {
        let (url, received) = receiver(status).await;
        let document = RawJson::new("{\"id\":\"a\"}");
        let answer = plain().query_gate(&url, &document, TIMEOUT).await.decision;
        assert_eq!(answer, expected, "{status}");
        let request = received.await.unwrap();
        assert!(
            request.starts_with("POST /gate?of=ci HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.ends_with("{\"id\":\"a\"}"), "{request}");
    }
}

#[tokio::test]
async fn the_status_of_the_reply_decides_about_a_notification() {
    let refused = |status| DeliveryOutcome::Refused(status_text(status));
    let failed = |status| DeliveryOutcome::Failed(status_text(status));
    for (status, expected) in [
        ("200 OK", DeliveryOutcome::Delivered),
        ("204 No Content", DeliveryOutcome::Delivered),
        ("301 Moved Permanently", refused(301)),
        ("400 Bad Request", refused(400)),
        ("404 Not Found", refused(404)),
        ("408 Request Timeout", failed(408)),
        ("429 Too Many Requests", failed(429)),
        ("503 Service Unavailable", failed(503)),
    ] {
        let (url, received) = receiver(status).await;
        let document = RawJson::new("{\"id\":\"a\"}");
        let delivery = plain().notify(&url, &document, TIMEOUT).await;
        assert_eq!(delivery, expected, "{status}");
        let request = received.await.unwrap();
        assert!(
            request.contains("\r\ncontent-type: application/json\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_query_returns_the_reply_of_prometheus_whatever_its_status() {
    for status in [200, 422, 503] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/prometheus/", listener.local_addr().unwrap());
        let received = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let reply = format!("HTTP/1.1 {status} -\r\ncontent-length: 4\r\n\r\nbody");
            stream.write_all(reply.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let query = "up{job=\"a b\"}";
        let reply = plain()
            .query_prometheus(&url, query, TIMEOUT)
            .await
            .unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (status, "body"));
        let request = received.await.unwrap();
        assert!(
            request.starts_with(
                "GET /prometheus/api/v1/query?query=up%7Bjob%3D%22a%20b%22%7D HTTP/1.1\r\n"
            ),
            "{request}"
        );
    }
    let unreachable = plain()
        .query_prometheus("http://127.0.0.1:1/", "up", TIMEOUT)
        .await;
    assert!(unreachable.unwrap_err().starts_with("no server answers"));
}

#[tokio::test]
async fn an_unreachable_receiver_is_tried_again_later() {
    let (url, document) = ("http://127.0.0.1:1/", RawJson::new("{}"));
    let answer = plain().query_gate(url, &document, TIMEOUT).await.decision;
    assert_eq!(answer, GateDecision::Wait);
    let DeliveryOutcome::Failed(why) = plain().notify(url, &document, TIMEOUT).await else {
        panic!("it was delivered");
    };
    assert!(
        why.starts_with("no server answers at `127.0.0.1:1`"),
        "{why}"
    );
}

#[tokio::test]
async fn a_silent_receiver_is_waited_for_until_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (document, timeout) = (RawJson::new("{}"), Duration::from_millis(1));
    let delivery = plain().notify(&url, &document, timeout).await;
    let expected = "no answer within 0.001 s".to_owned();
    assert_eq!(delivery, DeliveryOutcome::Failed(expected));
}

#[test]
fn an_address_that_cannot_be_called_is_refused_with_an_example() {
    assert!(plain().check("http://ci:8080/gate?a=b").is_ok());
    assert!(plain().check("https://ci/gate").is_ok());
    for url in ["ftp://ci/gate", "ci/gate", "http://", ""] {
        let refused = plain().check(url).unwrap_err();
        assert!(refused.message().contains("such as `https://"), "{refused}");
    }
}
