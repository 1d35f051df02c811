//! What the replies of receivers mean, over real connections.

mod tls;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn plain() -> Webhooks {
    Webhooks(Trust::default())
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
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(reply.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

/// Somebody who answers one request with this status line; where, and what was sent.
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
async fn the_status_of_the_reply_is_the_answer_of_a_gate() {
    for (status, expected) in [
        ("200 OK", GateAnswer::Go),
        ("410 Gone", GateAnswer::RollBack),
        ("403 Forbidden", GateAnswer::Wait),
        ("204 No Content", GateAnswer::Wait),
        ("500 Internal Server Error", GateAnswer::Wait),
    ] {
        let (url, received) = receiver(status).await;
        let document = Document::new("{\"id\":\"a\"}");
        let answer = plain().ask(&url, &document, PATIENCE).await;
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
async fn the_status_of_the_reply_says_whether_a_notification_is_taken() {
    let refused = |status| Delivery::Refused(answered(status));
    let failed = |status| Delivery::Failed(answered(status));
    for (status, expected) in [
        ("200 OK", Delivery::Taken),
        ("204 No Content", Delivery::Taken),
        ("301 Moved Permanently", refused(301)),
        ("400 Bad Request", refused(400)),
        ("404 Not Found", refused(404)),
        ("408 Request Timeout", failed(408)),
        ("429 Too Many Requests", failed(429)),
        ("503 Service Unavailable", failed(503)),
    ] {
        let (url, received) = receiver(status).await;
        let document = Document::new("{\"id\":\"a\"}");
        let delivery = plain().tell(&url, &document, PATIENCE).await;
        assert_eq!(delivery, expected, "{status}");
        let request = received.await.unwrap();
        assert!(
            request.contains("\r\ncontent-type: application/json\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn somebody_who_is_not_there_may_be_there_later() {
    let (url, document) = ("http://127.0.0.1:1/", Document::new("{}"));
    let answer = plain().ask(url, &document, PATIENCE).await;
    assert_eq!(answer, GateAnswer::Wait);
    let Delivery::Failed(why) = plain().tell(url, &document, PATIENCE).await else {
        panic!("it was delivered");
    };
    assert!(why.starts_with("nobody answers at 127.0.0.1:1"), "{why}");
}

#[tokio::test]
async fn somebody_who_does_not_answer_is_waited_for_as_long_as_was_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (document, moment) = (Document::new("{}"), Duration::from_millis(1));
    let delivery = plain().tell(&url, &document, moment).await;
    let expected = "no answer within 0.001 s".to_owned();
    assert_eq!(delivery, Delivery::Failed(expected));
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
