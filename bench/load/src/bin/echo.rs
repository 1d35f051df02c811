//! A raw HTTP echo: hyper reads the body and answers a fixed JSON of 250 bytes.
//!
//! Decision: nothing but hyper and tokio, with one worker per core, so that its rate is the most
//! that an HTTP server built on them can reach on this machine with this load generator.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The length of the reply, the same as of a small model with probabilities and time.
const REPLY: [u8; 250] = reply();

/// Answers every request with the same JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port on the loopback interface
    #[arg(long)]
    port: u16,
    /// Number of threads
    #[arg(long)]
    workers: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.workers)
        .enable_all()
        .build()
        .context("cannot start the threads")?
        .block_on(serve(arguments.port))
}

async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))?;
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        tokio::spawn(handle_connection(stream));
    }
}

async fn handle_connection(stream: TcpStream) {
    // A client that disconnects is the usual end of a connection.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(echo))
        .await;
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // An incomplete body ends the connection anyway.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(&REPLY)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Returns the reply, `{"echo":"xxx..."}`.
const fn reply() -> [u8; 250] {
    let mut reply = [b'x'; 250];
    let head = br#"{"echo":""#;
    let mut i = 0;
    while i < head.len() {
        reply[i] = head[i];
        i += 1;
    }
    reply[248] = b'"';
    reply[249] = b'}';
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_is_json() {
        let value: serde_json::Value = serde_json::from_slice(&REPLY).unwrap();
        assert_eq!(value["echo"].as_str().unwrap().len(), 239);
    }
}
