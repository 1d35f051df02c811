//! A client with one connection of HTTP/1.1 and one of HTTP/2, opened again when they have ended.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;

type RequestBody = BoxBody<Bytes, Infallible>;

/// A whole reply.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// Returns the body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the status of a gRPC call.
    #[must_use]
    pub fn grpc_status(&self) -> Option<&str> {
        let status = self.trailers.get("grpc-status");
        status
            .or_else(|| self.headers.get("grpc-status"))?
            .to_str()
            .ok()
    }
}

/// Builds a request; `None` when no request can have this path or these headers.
pub(super) fn request(
    method: Method,
    address: SocketAddr,
    path: &str,
    headers: super::Headers<'_>,
    body: &[&[u8]],
) -> Option<Request<RequestBody>> {
    let mut request = Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let is_grpc = headers.contains(&super::GRPC[0]);
    let uri = match is_grpc {
        true => format!("http://{address}{path}"),
        false => {
            request = request.header(header::HOST, address.to_string());
            path.to_owned()
        }
    };
    let body = match body {
        [whole] if !is_grpc => Full::new(Bytes::copy_from_slice(whole)).boxed(),
        pieces => in_pieces(pieces),
    };
    request.uri(uri).body(body).ok()
}

/// Returns a body whose pieces are sent one after another, so that the server reads some before it
/// has all.
fn in_pieces(pieces: &[&[u8]]) -> RequestBody {
    // The library of HTTP/2 ends a connection after some empty frames.
    let pieces: Vec<_> = pieces
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| Bytes::copy_from_slice(piece))
        .collect();
    let frames = stream::iter(pieces).then(|piece| async {
        yield_now().await;
        Ok(Frame::data(piece))
    });
    BodyExt::boxed(StreamBody::new(frames))
}

/// The connections of a client.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    http1: Option<http1::SendRequest<RequestBody>>,
    http2: Option<http2::SendRequest<RequestBody>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            http1: None,
            http2: None,
        }
    }

    /// Sends a request and returns the whole reply.
    pub(super) async fn send(&mut self, request: Request<RequestBody>) -> Reply {
        let is_grpc = request.uri().authority().is_some();
        let reply: Response<Incoming> = match is_grpc {
            true => self.send_http2(request).await,
            false => self.send_http1(request).await,
        };
        let (head, body) = reply.into_parts();
        let body = body.collect().await.expect("the whole reply");
        Reply {
            status: head.status,
            headers: head.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            body: body.to_bytes(),
        }
    }

    /// Returns the connection if it is still open.
    async fn open_http1(&mut self) -> Option<http1::SendRequest<RequestBody>> {
        let mut sender = self.http1.take()?;
        sender.ready().await.ok().map(|()| sender)
    }

    /// Returns the connection if it is still open.
    async fn open_http2(&mut self) -> Option<http2::SendRequest<RequestBody>> {
        let mut sender = self.http2.take()?;
        sender.ready().await.ok().map(|()| sender)
    }

    async fn send_http1(&mut self, request: Request<RequestBody>) -> Response<Incoming> {
        let mut sender = match self.open_http1().await {
            Some(sender) => sender,
            None => {
                let io = TokioIo::new(connect(self.address).await);
                let (sender, connection) = http1::handshake(io).await.expect("a connection");
                tokio::spawn(connection);
                sender
            }
        };
        let reply = sender.send_request(request).await.expect("a reply");
        self.http1 = Some(sender);
        reply
    }

    async fn send_http2(&mut self, request: Request<RequestBody>) -> Response<Incoming> {
        let mut sender = match self.open_http2().await {
            Some(sender) => sender,
            None => {
                let io = TokioIo::new(connect(self.address).await);
                let handshake = http2::handshake(TokioExecutor::new(), io).await;
                let (sender, connection) = handshake.expect("a connection");
                tokio::spawn(connection);
                sender
            }
        };
        let reply = sender.send_request(request).await.expect("a reply");
        self.http2 = Some(sender);
        reply
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a socket");
    stream.set_nodelay(true).expect("a socket option");
    stream
}

/// Writes pieces to a connection and returns all that comes back.
pub(super) async fn exchange(address: SocketAddr, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut reader, mut writer) = connect(address).await.into_split();
    let write = async {
        for piece in pieces {
            // The server may have closed the connection.
            if writer.write_all(piece).await.is_err() {
                return;
            }
            yield_now().await;
        }
        drop(writer.shutdown().await);
    };
    let mut reply = Vec::new();
    let read = async {
        drop(reader.read_to_end(&mut reply).await);
    };
    tokio::join!(write, read);
    reply
}

/// Returns the statuses of replies of HTTP/1.1 with a length; whatever else follows ends the list.
pub(super) fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(rest) = bytes.strip_prefix(b"HTTP/1.") {
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            break;
        };
        let head = text(&rest[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1);
        let status = status.and_then(|word| word.parse::<u16>().ok());
        statuses.extend(status);
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|text| text.split("\r\n").next()?.parse::<usize>().ok());
        let Some(next) = length.and_then(|length| rest.get(end + 4 + length..)) else {
            break;
        };
        bytes = next;
    }
    statuses
}
