//! Asks the webhooks of rollouts.
//!
//! Rule: the status of the rollout is posted as JSON; 200 is "go", 410 is "roll back", and anything
//! else, silence included, is "ask again later". Only plain HTTP is spoken, because the server has
//! no TLS yet; an address of another kind is refused when the rollout is started.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use contract::{BoxFuture, Document, Error, GateAnswer, Gatekeeper};
use hyper::Uri;

use crate::client::Client;

/// Asks webhooks over plain HTTP.
#[derive(Debug)]
pub(crate) struct Webhooks;

impl Gatekeeper for Webhooks {
    fn check(&self, url: &str) -> contract::Result<()> {
        match parse(url) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::invalid(error.to_string())),
        }
    }

    fn ask<'a>(
        &'a self,
        url: &'a str,
        status: &'a Document,
        timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer> {
        Box::pin(async move {
            match post(url, status, timeout).await {
                Ok(200) => GateAnswer::Go,
                Ok(410) => GateAnswer::RollBack,
                Ok(status) => {
                    tracing::info!(url, status, "a gate says to wait");
                    GateAnswer::Wait
                }
                Err(error) => {
                    tracing::warn!(url, error = format!("{error:#}"), "a gate does not answer");
                    GateAnswer::Wait
                }
            }
        })
    }
}

async fn post(url: &str, status: &Document, timeout: Duration) -> Result<u16> {
    let (client, path) = parse(url)?;
    let client = client.with_timeout(timeout);
    client.post(&path, status.as_str().to_owned()).await
}

/// A client of the host, and the path with its query.
fn parse(url: &str) -> Result<(Client, String)> {
    let expected =
        || format!("expected an address such as `http://ci.example:8080/gate`, got `{url}`");
    let uri: Uri = url.parse().with_context(expected)?;
    let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
        bail!(expected());
    };
    let client = Client::new(&format!("http://{authority}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((client, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a gate means that answers with this status line, and what it was sent.
    async fn answer(status: &'static str) -> (GateAnswer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/gate?of=ci", listener.local_addr().unwrap());
        let gate = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(reply.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let status = Document::new("{\"id\":\"a\"}");
        let answer = Webhooks.ask(&url, &status, Duration::from_secs(10)).await;
        (answer, gate.await.unwrap())
    }

    #[tokio::test]
    async fn the_status_of_the_reply_is_the_answer() {
        for (status, expected) in [
            ("200 OK", GateAnswer::Go),
            ("410 Gone", GateAnswer::RollBack),
            ("403 Forbidden", GateAnswer::Wait),
            ("204 No Content", GateAnswer::Wait),
            ("500 Internal Server Error", GateAnswer::Wait),
        ] {
            let (answer, request) = answer(status).await;
            assert_eq!(answer, expected, "{status}");
            assert!(
                request.starts_with("POST /gate?of=ci HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(request.ends_with("{\"id\":\"a\"}"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_gate_that_is_not_there_says_to_wait() {
        let status = Document::new("{}");
        let answer = Webhooks
            .ask("http://127.0.0.1:1/", &status, Duration::from_secs(10))
            .await;
        assert_eq!(answer, GateAnswer::Wait);
    }

    #[test]
    fn only_addresses_of_plain_http_are_taken() {
        assert!(Webhooks.check("http://ci:8080/gate?a=b").is_ok());
        for url in ["https://ci/gate", "ci/gate", "http://", ""] {
            let refused = Webhooks.check(url).unwrap_err();
            assert!(refused.message().contains("such as `http://"), "{refused}");
        }
    }
}
