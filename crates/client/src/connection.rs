//! One request over a new connection.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::error::Cause;
use crate::{Address, Error, Result, TlsConnector};

const USER_AGENT: &str = concat!("lockgate/", env!("CARGO_PKG_VERSION"));

/// A connection, which is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Posts JSON; returns the status of the reply, even of a failure.
///
/// # Errors
/// When the server cannot be reached, or is not trusted.
pub async fn post(address: &Address, tls: &TlsConnector, json: String) -> Result<u16> {
    let request = Request::post(&address.path);
    let (_connection, reply) = send(address, tls, request, json, "").await?;
    Ok(reply.status().as_u16())
}

/// Gets a document; returns the status of the reply, even of a failure, and its body as text. A
/// longer body than this is an error.
///
/// # Errors
/// When the server cannot be reached or is not trusted, or its reply breaks, is too long or is not
/// text.
pub async fn get(address: &Address, tls: &TlsConnector, max_bytes: usize) -> Result<(u16, String)> {
    let request = Request::get(&address.path);
    let (_connection, reply) = send(address, tls, request, String::new(), "").await?;
    let status = reply.status().as_u16();
    let body = Limited::new(reply.into_body(), max_bytes).collect().await;
    let body = body.map_err(|source| Error::Body {
        server: address.socket.clone(),
        source,
    })?;
    Ok((status, String::from_utf8(body.to_bytes().into())?))
}

/// Sends a request with a JSON body; the hint is a part of the error when no server answers.
pub(crate) async fn send(
    address: &Address,
    tls: &TlsConnector,
    request: Builder,
    json: String,
    hint: &'static str,
) -> Result<(Connection, Response<Incoming>)> {
    let server = || address.socket.clone();
    let unreachable = |source: Cause| Error::Unreachable {
        server: server(),
        hint,
        source,
    };
    let request = request
        .header("host", &address.authority)
        .header("content-type", "application/json")
        .header("user-agent", USER_AGENT)
        .body(Full::new(Bytes::from(json)))?;
    let stream = TcpStream::connect(&address.socket).await;
    let stream = stream.map_err(|error| unreachable(error.into()))?;
    let sent = match address.tls_name.clone() {
        None => exchange(stream, request).await,
        Some(name) => {
            let stream = tls.connect(name, stream).await;
            let stream = stream.map_err(|source| Error::Handshake {
                server: server(),
                source,
            })?;
            exchange(stream, request).await
        }
    };
    sent.map_err(|error| unreachable(error.into()))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> hyper::Result<(Connection, Response<Incoming>)> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Failures of the connection are reported by the call.
    let connection = Connection(tokio::spawn(async {
        let _ended = connection.await;
    }));
    Ok((connection, sender.send_request(request).await?))
}
