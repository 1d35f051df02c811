//! A client of a running server, for the sub-commands of operators.
//!
//! Decision: one connection for each call over plain HTTP, with the HTTP library that the server
//! uses anyway. An error of the server is shown in its own words.

mod events;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use events::{Event, Events};

use crate::output::OutputError;

/// The timeout of one call. Loading a large model takes minutes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The actor in the history of the server.
const ACTOR: &str = "cli";

/// Calls one server.
#[derive(Debug)]
pub(crate) struct Client {
    /// Host and port.
    authority: String,
    timeout: Duration,
}

impl Client {
    /// Creates a client of the server at an address such as `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// When the address is malformed.
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
            timeout: TIMEOUT,
        })
    }

    /// Returns the same client with another timeout for each call.
    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends one request and returns the JSON reply.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses; then with the server's message.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.call_with_text(method, path, body)
    }

    /// Sends one request with any text as the body and returns the JSON reply.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn call_with_text(&self, method: Method, path: &str, body: String) -> Result<Value> {
        runtime()?.block_on(async {
            let answer = timeout(self.timeout, self.send(method, path, body)).await;
            answer.map_err(|_| self.timeout_error())?
        })
    }

    /// Sends a `GET` request from asynchronous code.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let call = self.send(Method::GET, path, String::new());
        let answer = timeout(self.timeout, call).await;
        answer.map_err(|_| self.timeout_error())?
    }

    /// Posts JSON from asynchronous code.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn send_json(&self, path: &str, body: String) -> Result<Value> {
        let call = self.send(Method::POST, path, body);
        let answer = timeout(self.timeout, call).await;
        answer.map_err(|_| self.timeout_error())?
    }

    /// Subscribes to the server-sent events of a path.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn follow(&self, path: &str) -> Result<Events> {
        let open = self.open(Method::GET, path, String::new());
        let (connection, reply) = timeout(self.timeout, open)
            .await
            .map_err(|_| self.timeout_error())??;
        match reply.status().is_success() {
            true => Ok(Events::new(connection, reply.into_body())),
            false => Err(match self.read(reply).await {
                Err(server_error) => server_error,
                Ok(_) => self.timeout_error(),
            }),
        }
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Result<Value> {
        let (_connection, reply) = self.open(method, path, body).await?;
        self.read(reply).await
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(Connection, Response<Incoming>)> {
        let unreachable = || {
            format!(
                "no server answers at `{}`; choose another one with `--url`",
                self.authority
            )
        };
        let stream = TcpStream::connect(&self.authority)
            .await
            .with_context(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .with_context(unreachable)?;
        // Failures of the connection are reported by the call.
        let connection = Connection(tokio::spawn(async {
            let _ended = connection.await;
        }));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .header("x-lockgate-actor", ACTOR)
            .body(Full::new(Bytes::from(body)))?;
        let reply = sender.send_request(request).await;
        Ok((connection, reply.with_context(unreachable)?))
    }

    async fn read(&self, reply: Response<Incoming>) -> Result<Value> {
        let status = reply.status();
        // The server sends this header with every status that may be temporary.
        let is_retryable = reply.headers().contains_key("retry-after");
        let bytes = reply.into_body().collect().await?.to_bytes();
        match (status.is_success(), serde_json::from_slice(&bytes)) {
            (true, Ok(value)) => Ok(value),
            (false, Ok(value)) => Err(ServerError::new(&value, is_retryable).into()),
            (_, Err(_)) => bail!(
                "server at `http://{}` is not Lockgate: it answered {status} without JSON",
                self.authority
            ),
        }
    }

    fn timeout_error(&self) -> anyhow::Error {
        anyhow!(
            "server at `http://{}` did not answer in time",
            self.authority
        )
    }
}

/// A connection, which is closed when this is dropped.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An error reply of the server.
#[derive(Debug)]
pub(crate) struct ServerError {
    message: String,
    /// True when the same call may succeed later: the server is starting, draining or busy.
    pub(crate) is_retryable: bool,
}

impl ServerError {
    /// Reads the message, which has one of two shapes.
    fn new(value: &Value, is_retryable: bool) -> Self {
        let message = value
            .pointer("/error/message")
            .or_else(|| value.get("error"));
        Self {
            message: match message.and_then(Value::as_str) {
                Some(message) => message.to_owned(),
                None => value.to_string(),
            },
            is_retryable,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ServerError {}

/// Returns whether the same call may succeed later.
pub(crate) fn is_retryable(error: &anyhow::Error) -> bool {
    let server_error = error.downcast_ref::<ServerError>();
    server_error.is_none_or(|server_error| server_error.is_retryable) && !error.is::<OutputError>()
}

/// Creates the asynchronous runtime for the calls of a sub-command.
///
/// # Errors
/// When the system refuses the resources.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")
}

/// Encodes a name as one segment of a path.
pub(crate) fn path_segment(name: &str) -> String {
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
        assert_eq!(path_segment("digits-1.0_b~"), "digits-1.0_b~");
        assert_eq!(path_segment("a/é?"), "a%2F%C3%A9%3F");
    }

    #[test]
    fn a_refusal_shows_the_message_of_the_server() {
        let native = serde_json::json!({"error": {"message": "no such model", "code": "c"}});
        let open = serde_json::json!({"error": "no such model"});
        for value in [native, open] {
            let server_error = ServerError::new(&value, false);
            assert_eq!(server_error.to_string(), "no such model");
            assert!(!is_retryable(&server_error.into()));
        }
        let busy = ServerError::new(&serde_json::json!([1]), true);
        assert_eq!(busy.to_string(), "[1]");
        assert!(is_retryable(&busy.into()));
    }

    #[test]
    fn an_unreachable_server_is_reported_with_its_address() {
        let error = Client::new("http://127.0.0.1:1").unwrap();
        let error = error.call(Method::GET, "/", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "no server answers at `127.0.0.1:1`; choose another one with `--url`"
        );
    }
}
