//! One request by hand: whether a server is there and answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::request::Request;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the request once; an answer other than 200 is an error that quotes it.
pub(super) fn check(port: u16, request: &Request) -> Result<()> {
    let reply = exchange(port, &bytes_of(request)?)?;
    if !reply.starts_with("HTTP/1.1 200 ") {
        bail!("it answered {reply}");
    }
    Ok(())
}

/// The status line and the rest of what a path answers.
pub(super) fn get(port: u16, path: &str) -> Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(port, head.as_bytes())
}

/// The status line and the rest of what a path answers to a text.
pub(super) fn post(port: u16, path: &str, body: &str) -> Result<String> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    exchange(port, head.as_bytes())
}

fn exchange(port: u16, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn bytes_of(request: &Request) -> Result<Vec<u8>> {
    let path = &request.body;
    let body = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\n", request.path);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let length = body.len();
    head += &format!("Content-Length: {length}\r\nConnection: close\r\n\r\n");
    Ok([head.into_bytes(), body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_has_its_headers_and_its_body() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request::predict(folder.path(), "x", b"[1]").unwrap();
        let text = String::from_utf8(bytes_of(&request).unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "[1]");
        for line in [
            "POST /predict HTTP/1.1",
            "Content-Length: 3",
            "Connection: close",
        ] {
            assert!(head.lines().any(|found| found == line), "{head}");
        }
    }
}
