//! A client of a running server, for the sub-commands of operators.
//!
//! Decision: one connection for one call over plain HTTP, by the HTTP library that the server has
//! anyway. A failure is told in the words of the server.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Loading a large model takes minutes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Who we are in the history of the server.
const ACTOR: &str = "cli";

/// Calls one server.
#[derive(Debug)]
pub(crate) struct Client {
    /// Host and port.
    authority: String,
}

impl Client {
    /// A client of the server at an address such as `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let wrong = || format!("expected an address such as `http://127.0.0.1:8000`, got `{url}`");
        let authority = url.strip_prefix("http://").with_context(wrong)?;
        let authority = authority.trim_end_matches('/');
        if authority.is_empty() || authority.contains('/') {
            bail!(wrong());
        }
        let has_port = authority.rsplit(':').next().is_some_and(is_number);
        Ok(Self {
            authority: match has_port {
                true => authority.to_owned(),
                false => format!("{authority}:80"),
            },
        })
    }

    /// One call; a JSON answer.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses; then with its sentence.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a client")?;
        runtime.block_on(async {
            let call = self.send(method, path, body);
            let answer = tokio::time::timeout(TIMEOUT, call).await;
            answer.map_err(|_| anyhow!("the server at {} does not answer", self.authority))?
        })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let unreachable = || {
            format!(
                "no server answers at {}; `--url` names another",
                self.authority
            )
        };
        let stream = TcpStream::connect(&self.authority)
            .await
            .with_context(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .with_context(unreachable)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        // It ends with the call; what goes wrong with it, the call says too.
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .header("x-lockgate-actor", ACTOR)
            .body(Full::new(Bytes::from(body)))?;
        let reply = sender.send_request(request).await;
        let reply = reply.with_context(unreachable)?;
        let is_success = reply.status().is_success();
        let bytes = reply.into_body().collect().await?.to_bytes();
        connection.abort();
        match (is_success, serde_json::from_slice(&bytes)) {
            (true, Ok(value)) => Ok(value),
            (false, Ok(value)) => Err(refusal(&value)),
            (_, Err(_)) => bail!("what answers at {} is no Lockgate", self.authority),
        }
    }
}

/// The sentence of an error in either of its two shapes.
fn refusal(value: &Value) -> anyhow::Error {
    let sentence = value
        .pointer("/error/message")
        .or_else(|| value.get("error"));
    match sentence.and_then(Value::as_str) {
        Some(sentence) => anyhow!("{sentence}"),
        None => anyhow!("{value}"),
    }
}

/// A name as one segment of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_port() {
        let authority = |url| Client::new(url).ok().map(|client| client.authority);
        let rows = [
            ("http://127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("http://localhost:1/", Some("localhost:1")),
            ("http://models.example", Some("models.example:80")),
            ("http://[::1]:8000", Some("[::1]:8000")),
            ("https://models.example", None),
            ("127.0.0.1:8000", None),
            ("http://", None),
            ("http://a/b", None),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .filter(|(url, expected)| authority(url).as_deref() != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn names_are_safe_in_paths() {
        assert_eq!(segment("digits-1.0_b~"), "digits-1.0_b~");
        assert_eq!(segment("a/é?"), "a%2F%C3%A9%3F");
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        let native = serde_json::json!({"error": {"message": "no such model", "code": "c"}});
        let open = serde_json::json!({"error": "no such model"});
        for value in [native, open] {
            assert_eq!(refusal(&value).to_string(), "no such model");
        }
        assert_eq!(refusal(&serde_json::json!([1])).to_string(), "[1]");
    }

    #[test]
    fn a_server_that_is_not_there_is_told_with_its_address() {
        let error = Client::new("http://127.0.0.1:1").unwrap();
        let error = error.call(Method::GET, "/", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "no server answers at 127.0.0.1:1; `--url` names another"
        );
    }
}
