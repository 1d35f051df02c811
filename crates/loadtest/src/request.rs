//! HTTP requests as bytes.

use std::fmt::Display;

/// Returns the bytes of an HTTP/1.1 POST; headers are `Name: value`.
#[must_use]
pub fn post(host: impl Display, path: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let n_bytes = body.len();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {n_bytes}\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_states_its_length_and_headers_before_the_body() {
        let headers = ["Content-Type: text/plain".to_owned()];
        let expected = "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\
                        Content-Type: text/plain\r\n\r\nabc";
        let request = post("localhost", "/a", &headers, b"abc");
        assert_eq!(String::from_utf8(request).unwrap(), expected);
    }
}
