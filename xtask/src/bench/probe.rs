//! One request by hand: whether a server is there and answers the case.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::case::Case;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the request of the case once; an answer other than 200 is an error that quotes it.
pub(super) fn check(port: u16, case: Case, body: &Path) -> Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&request(case, body)?)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let reply = String::from_utf8_lossy(&reply);
    if !reply.starts_with("HTTP/1.1 200 ") {
        bail!("it answered {reply}");
    }
    Ok(())
}

fn request(case: Case, path: &Path) -> Result<Vec<u8>> {
    let body = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\n", case.path());
    for (name, value) in case.headers(path)? {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Ok([head.into_bytes(), body].concat())
}
