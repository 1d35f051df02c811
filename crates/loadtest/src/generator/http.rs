//! HTTP/1.1: one keep-alive connection with one request in flight.
//!
//! Decision: a request is built once and a reply is read with a bare parser.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::closed_loop;
use super::{Error, Result};

/// A connection with its request.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    request: Arc<[u8]>,
}

impl Client {
    /// Connects; [`post`](crate::post) builds a request.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn connect(address: SocketAddr, request: Arc<[u8]>) -> Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self {
            connection,
            request,
        })
    }
}

impl closed_loop::Client for Client {
    async fn exchange(&mut self) -> Result<()> {
        match self.connection.exchange(&self.request).await? {
            200 => Ok(()),
            status => Err(Error::Status {
                status,
                reply: self.connection.reply(),
            }),
        }
    }
}

/// A keep-alive connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, without delaying small writes.
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(64 * 1024);
        Ok(Self { stream, buffer })
    }

    /// Sends the request and reads the whole reply; returns its status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::Closed);
            }
            if let Some(reply) = parse(&self.buffer)?
                && self.buffer.len() >= reply.n_bytes
            {
                return Ok(reply.status);
            }
        }
    }

    /// Returns whether the connection is still open; servers close idle connections.
    pub(super) fn is_open(&self) -> bool {
        let result = self.stream.try_read(&mut [0]);
        result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Returns the last reply as text.
    fn reply(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

/// Parsed head of a reply.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    /// Length of head and body.
    n_bytes: usize,
}

/// Parses the head of a reply; `None` while it is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<Reply>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(n_head_bytes) = response.parse(bytes)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .ok_or(Error::UnknownLength)?;
    let length = str::from_utf8(length.value).ok();
    let n_body_bytes: usize = length
        .and_then(|text| text.trim().parse().ok())
        .ok_or(Error::UnknownLength)?;
    Ok(Some(Reply {
        status: response.code.unwrap_or_default(),
        n_bytes: n_head_bytes + n_body_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_as_long_as_its_head_and_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\n";
        let expected = Reply {
            status: 200,
            n_bytes: head.len() + 5,
        };
        assert_eq!(parse(head.as_bytes()).unwrap(), Some(expected));
        assert_eq!(parse(&head.as_bytes()[..20]).unwrap(), None);
    }

    #[test]
    fn a_reply_of_unknown_length_is_an_error() {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(parse(head).is_err());
    }
}
