//! Calls to a running Lockgate server. An error of the server is shown in its own words.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::connection::{Connection, send};
use crate::{Address, Error, Events, Result, TlsConnector};

/// The hint of the command line when no server answers.
const HINT: &str = "; choose another one with `--url` or `LOCKGATE_URL`";

/// The timeout of one call. Loading a large model takes minutes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The actor in the history of the server.
const ACTOR: &str = "cli";

/// Calls one server.
#[derive(Debug)]
pub struct Client {
    address: Address,
    tls: TlsConnector,
    /// The address as the user wrote it, for messages.
    url: String,
    timeout: Duration,
}

impl Client {
    /// Creates a client of the server at an address such as `http://127.0.0.1:8000`,
    /// `127.0.0.1:8000`, which is the same, or `https://models.example`. A server with HTTPS needs a certificate of an authority of the
    /// system.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn new(url: &str) -> Result<Self> {
        let example = "http://127.0.0.1:8000";
        let address = match url.contains("://") {
            true => Address::parse(url, example)?,
            false => Address::parse(&format!("http://{url}"), example)?,
        };
        if !address.path.trim_end_matches('/').is_empty() {
            let message = format!("expected an address such as `{example}`, got `{url}`");
            return Err(Error::Address(message));
        }
        Ok(Self {
            address,
            tls: TlsConnector::default(),
            url: url.trim_end_matches('/').to_owned(),
            timeout: TIMEOUT,
        })
    }

    /// Returns the same client with other trusted authorities.
    pub fn with_tls(self, tls: TlsConnector) -> Self {
        Self { tls, ..self }
    }

    /// Returns the same client with another timeout for each call.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends one request and returns the JSON reply.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses; then with the server's message.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.call_with_text(method, path, body)
    }

    /// Sends one request with any text as the body and returns the JSON reply.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_with_text(&self, method: Method, path: &str, body: String) -> Result<Value> {
        runtime()?.block_on(async {
            let answer = timeout(self.timeout, self.send(method, path, body)).await;
            answer.map_err(|_| self.timeout_error())?
        })
    }

    /// Sends a `GET` request from asynchronous code.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn get(&self, path: &str) -> Result<Value> {
        let call = self.send(Method::GET, path, String::new());
        let answer = timeout(self.timeout, call).await;
        answer.map_err(|_| self.timeout_error())?
    }

    /// Posts JSON from asynchronous code.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn send_json(&self, path: &str, body: String) -> Result<Value> {
        let call = self.send(Method::POST, path, body);
        let answer = timeout(self.timeout, call).await;
        answer.map_err(|_| self.timeout_error())?
    }

    /// Subscribes to the server-sent events of a path.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn follow(&self, path: &str) -> Result<Events> {
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
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-lockgate-actor", ACTOR);
        send(&self.address, &self.tls, request, body, HINT).await
    }

    async fn read(&self, reply: Response<Incoming>) -> Result<Value> {
        let status = reply.status();
        // The server sends this header with every status that may be temporary.
        let is_retryable = reply.headers().contains_key("retry-after");
        let bytes = reply.into_body().collect().await?.to_bytes();
        match (status.is_success(), serde_json::from_slice(&bytes)) {
            (true, Ok(value)) => Ok(value),
            (false, Ok(value)) => Err(Error::refused(&value, is_retryable)),
            (_, Err(_)) => Err(Error::NotLockgate {
                server: self.url.clone(),
                status,
            }),
        }
    }

    fn timeout_error(&self) -> Error {
        Error::Timeout(self.url.clone())
    }
}

/// Creates the asynchronous runtime for the calls of a sub-command.
///
/// # Errors
/// When the system refuses the resources.
pub fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)
}

/// Encodes a name as one segment of a path.
pub fn path_segment(name: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_port() {
        let authority = |url| Client::new(url).ok().map(|client| client.address.socket);
        let rows = [
            ("http://127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("http://localhost:1/", Some("localhost:1")),
            ("http://models.example", Some("models.example:80")),
            ("http://[::1]:8000", Some("[::1]:8000")),
            ("https://models.example", Some("models.example:443")),
            ("127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("localhost:9", Some("localhost:9")),
            ("[::1]:8000", Some("[::1]:8000")),
            ("ftp://a:1", None),
            ("a/b", None),
            ("", None),
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
    fn an_unreachable_server_is_reported_with_its_address() {
        let error = Client::new("http://127.0.0.1:1").unwrap();
        let error = error.call(Method::GET, "/", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "no server answers at `127.0.0.1:1`; choose another one with `--url` or `LOCKGATE_URL`"
        );
    }
}
