//! Single requests that check whether a server answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::request::Request;

const TIMEOUT: Duration = Duration::from_secs(10);

const CLOSE: &str = "Connection: close";

/// Sends the request once; a reply other than 200 is an error that quotes it.
pub(super) fn check(port: u16, request: &Request) -> Result<()> {
    let reply = exchange(port, &bytes_of(request)?)?;
    if !reply.starts_with("HTTP/1.1 200 ") {
        bail!("the server answered {reply}");
    }
    Ok(())
}

/// Returns the status line and the rest of the reply to a `GET`.
pub(super) fn get(port: u16, path: &str) -> Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{CLOSE}\r\n\r\n");
    exchange(port, head.as_bytes())
}

/// Returns the status line and the rest of the reply to a `POST` of JSON.
pub(super) fn post(port: u16, path: &str, body: &str) -> Result<String> {
    let headers = ["Content-Type: application/json", CLOSE].map(str::to_owned);
    exchange(
        port,
        &loadtest::post("localhost", path, &headers, body.as_bytes()),
    )
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
    let mut headers = request.header_lines();
    headers.push(CLOSE.to_owned());
    Ok(loadtest::post("localhost", &request.path, &headers, &body))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

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

    /// Returns the result of a query to a server with this reply, and the request it received.
    fn serve_once<T>(reply: &str, query: impl FnOnce(u16) -> T) -> (T, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::scope(|scope| {
            let server = scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut received = vec![0; 4096];
                let mut n_received = 0;
                let is_whole = |received: &[u8]| match received.starts_with(b"GET ") {
                    true => received.ends_with(b"\r\n\r\n"),
                    // The bodies of these tests end in a bang.
                    false => received.ends_with(b"!"),
                };
                while !is_whole(&received[..n_received]) {
                    n_received += stream.read(&mut received[n_received..]).unwrap();
                }
                stream.write_all(reply.as_bytes()).unwrap();
                String::from_utf8_lossy(&received[..n_received]).into_owned()
            });
            (query(port), server.join().unwrap())
        })
    }

    #[test]
    fn only_200_is_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request::predict(folder.path(), "x", b"hey!").unwrap();
        let table = [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nlater", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("", false),
        ];
        for (reply, is_good) in table {
            let (answer, received) = serve_once(reply, |port| check(port, &request));
            assert_eq!(answer.is_ok(), is_good, "{reply:?}");
            assert!(received.starts_with("POST /predict "), "{received}");
        }
        let (answer, _) = serve_once("HTTP/1.1 503 x\r\n\r\nlater", |port| check(port, &request));
        let error = answer.unwrap_err();
        assert!(error.to_string().ends_with("later"), "{error}");
    }

    #[test]
    fn a_get_names_its_path_and_a_post_sends_its_text() {
        let (reply, received) = serve_once("HTTP/1.1 200 OK\r\n\r\nhi", |port| get(port, "/v2/x"));
        assert!(reply.unwrap().ends_with("hi"));
        assert!(received.starts_with("GET /v2/x HTTP/1.1\r\n"), "{received}");
        let (reply, received) =
            serve_once("HTTP/1.1 201 Made\r\n\r\n", |port| post(port, "/a", "hey!"));
        assert!(reply.unwrap().starts_with("HTTP/1.1 201"));
        assert!(received.contains("Content-Length: 4\r\n"), "{received}");
        assert!(received.ends_with("\r\n\r\nhey!"), "{received}");
    }

    #[test]
    fn a_closed_port_is_an_error() {
        // No server can listen on port 0.
        assert!(get(0, "/").is_err());
    }
}
