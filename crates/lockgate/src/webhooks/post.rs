//! Sends one POST over a new connection.
//!
//! Decision: a connection for each call, because calls are minutes apart. Redirects are not
//! followed: data goes only to the address that the user wrote.

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::address::Address;
use super::tls::TlsConnector;

const USER_AGENT: &str = concat!("lockgate/", env!("CARGO_PKG_VERSION"));

/// Posts JSON; returns the status of the reply, even of a failure.
///
/// # Errors
/// When the server cannot be reached, or is not trusted.
pub(super) async fn post(address: &Address, tls: &TlsConnector, json: String) -> Result<u16> {
    let socket = &address.socket;
    let unreachable = || format!("no server answers at `{socket}`");
    let stream = TcpStream::connect(socket).await;
    let stream = stream.with_context(unreachable)?;
    match address.tls_name.clone() {
        None => send(stream, address, json).await.with_context(unreachable),
        Some(name) => {
            let stream = tls.connect(name, stream).await;
            let stream = stream.with_context(|| format!("TLS handshake with `{socket}` failed"))?;
            send(stream, address, json).await.with_context(unreachable)
        }
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    address: &Address,
    json: String,
) -> Result<u16> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The connection ends with this call, which also reports its failures.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::post(&address.path)
        .header("host", &address.authority)
        .header("content-type", "application/json")
        .header("user-agent", USER_AGENT)
        .body(Full::new(Bytes::from(json)))?;
    Ok(sender.send_request(request).await?.status().as_u16())
}
