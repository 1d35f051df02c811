//! One POST over a connection of its own.
//!
//! Decision: a connection for each call, because calls are minutes apart. Redirects are not followed:
//! an address that a user wrote is where it goes.

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::address::Address;

const USER_AGENT: &str = concat!("lockgate/", env!("CARGO_PKG_VERSION"));

/// Posts JSON; gives the status of the reply, whatever it is.
///
/// # Errors
/// When nobody answers.
pub(super) async fn post(address: &Address, json: String) -> Result<u16> {
    let authority = &address.authority;
    let unreachable = || format!("nobody answers at {authority}");
    let stream = TcpStream::connect(authority).await;
    let stream = TokioIo::new(stream.with_context(unreachable)?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .with_context(unreachable)?;
    // It ends with this call; what goes wrong with it, the call says too.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::post(&address.path)
        .header("host", authority)
        .header("content-type", "application/json")
        .header("user-agent", USER_AGENT)
        .body(Full::new(Bytes::from(json)))?;
    let reply = sender.send_request(request).await;
    Ok(reply.with_context(unreachable)?.status().as_u16())
}
