//! One POST over a connection of its own.
//!
//! Decision: a connection for each call, because calls are minutes apart. Redirects are not followed:
//! an address that a user wrote is where it goes.

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

/// Posts JSON; gives the status of the reply, whatever it is.
///
/// # Errors
/// When nobody answers, or nobody who is trusted.
pub(super) async fn post(address: &Address, tls: &TlsConnector, json: String) -> Result<u16> {
    let socket = &address.socket;
    let unreachable = || format!("nobody answers at {socket}");
    let stream = TcpStream::connect(socket).await;
    let stream = stream.with_context(unreachable)?;
    match address.tls_name.clone() {
        None => send(stream, address, json).await.with_context(unreachable),
        Some(name) => {
            let stream = tls.connect(name, stream).await;
            let stream = stream.with_context(|| format!("no TLS with {socket}"))?;
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
    // It ends with this call; what goes wrong with it, the call says too.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::post(&address.path)
        .header("host", &address.authority)
        .header("content-type", "application/json")
        .header("user-agent", USER_AGENT)
        .body(Full::new(Bytes::from(json)))?;
    Ok(sender.send_request(request).await?.status().as_u16())
}
