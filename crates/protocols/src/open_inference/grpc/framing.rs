//! The prefix and the compression of gRPC messages.

use bytes::Bytes;
use contract::Result;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::memory_budget::MemoryBudget;
use crate::rest::{Coding, inflate};

/// The prefix of a message: a byte for compression, and four for its length.
pub(super) const PREFIX_BYTES: usize = 5;
/// The first byte of a compressed message.
const COMPRESSED: u8 = 1;
/// The metadata key of the compression of incoming messages.
const ENCODING_KEY: HeaderName = HeaderName::from_static("grpc-encoding");

/// Returns the coding of compressed messages; `None` for one that is not supported.
pub(super) fn message_coding(headers: &HeaderMap) -> Option<Coding> {
    let name = headers.get(ENCODING_KEY).map(HeaderValue::as_bytes);
    match name.unwrap_or(b"identity") {
        b"identity" => Some(Coding::Identity),
        b"gzip" => Some(Coding::Gzip),
        b"deflate" => Some(Coding::Deflate),
        _ => None,
    }
}

/// Returns a message without its prefix and its compression.
pub(super) fn unpacked(
    framed: &Bytes,
    coding: Coding,
    limit: usize,
    budget: &MemoryBudget,
) -> Result<Bytes> {
    let message = framed.slice(PREFIX_BYTES.min(framed.len())..);
    match framed.first() {
        Some(&COMPRESSED) => budget.count(inflate(coding, message, limit)?),
        Some(_) | None => Ok(message),
    }
}

/// The information about a message in its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// The prefix has not arrived.
    Missing,
    /// The message has this many bytes with its prefix.
    Known(usize),
    /// The message is compressed without a coding, or over the limit.
    Unsupported,
}

pub(super) fn prefix(bytes: &[u8], coding: Coding, limit: usize) -> Prefix {
    match bytes {
        [flag, ..] if *flag > COMPRESSED => Prefix::Unsupported,
        [COMPRESSED, ..] if coding == Coding::Identity => Prefix::Unsupported,
        [_, a, b, c, d, ..] => match usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])) {
            Ok(n_bytes) if n_bytes <= limit => Prefix::Known(PREFIX_BYTES.saturating_add(n_bytes)),
            Ok(_) | Err(_) => Prefix::Unsupported,
        },
        _ => Prefix::Missing,
    }
}
