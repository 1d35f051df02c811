//! Client side of server-sent events.
//!
//! Rule: a stream without data for [`IDLE_TIMEOUT`] counts as broken, because a server that lost
//! its power does not close the connection; the caller reconnects.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::{Error, Result};

/// Far above the interval of one second at which a running rollout sends its evidence.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Far above any event; a longer one does not come from Lockgate.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The name.
    pub name: String,
    /// The data.
    pub data: Value,
}

/// The events of one connection.
#[derive(Debug)]
pub struct Events {
    /// Closed when this is dropped.
    _connection: Connection,
    body: Incoming,
    decoder: Decoder,
}

impl Events {
    pub(crate) fn new(connection: Connection, body: Incoming) -> Self {
        Self {
            _connection: connection,
            body,
            decoder: Decoder::default(),
        }
    }

    /// Returns the next event; `None` when the server has ended the stream.
    ///
    /// # Errors
    /// When the connection breaks, or the data is not an event.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.decoder.next()? {
                return Ok(Some(event));
            }
            let frame = timeout(IDLE_TIMEOUT, self.body.frame()).await;
            match frame.map_err(|_| Error::Idle(IDLE_TIMEOUT))? {
                Some(frame) => self.decoder.push(&frame?.into_data().unwrap_or_default()),
                None => return Ok(None),
            }
        }
    }
}

/// Parses events from chunks of bytes.
#[derive(Debug, Default)]
struct Decoder {
    bytes: Vec<u8>,
    name: String,
    data: String,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Result<Option<Event>> {
        while let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8(line)?;
            if let Some(event) = self.take_line(line.trim_end_matches(['\r', '\n']))? {
                return Ok(Some(event));
            }
        }
        if self.bytes.len() + self.data.len() > MAX_EVENT_BYTES {
            return Err(Error::LongEvent(MAX_EVENT_BYTES));
        }
        Ok(None)
    }

    /// Parses one line. An empty line ends an event; unknown fields are ignored.
    fn take_line(&mut self, line: &str) -> Result<Option<Event>> {
        if line.is_empty() {
            let (name, data) = (
                std::mem::take(&mut self.name),
                std::mem::take(&mut self.data),
            );
            if data.is_empty() {
                return Ok(None);
            }
            let data = serde_json::from_str(&data)?;
            return Ok(Some(Event { name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_found_in_any_cut() {
        let text = ": hello\n\nevent: evidence\r\ndata: {\"a\":\ndata: 1}\n\nid: 7\n\nevent: transition\ndata:{}\n\ndata: 1";
        let expected = [
            Event {
                name: "evidence".to_owned(),
                data: json!({"a": 1}),
            },
            Event {
                name: "transition".to_owned(),
                data: json!({}),
            },
        ];
        for cut in 0..text.len() {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                decoder.push(piece);
                while let Some(event) = decoder.next().unwrap() {
                    found.push(event);
                }
            }
            assert_eq!(found, expected, "{cut}");
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for bytes in [&b"data: {\n\n"[..], b"data: \xff\n\n"] {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            assert!(decoder.next().is_err(), "{bytes:?}");
        }
    }
}
