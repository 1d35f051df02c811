//! Compression of replies, as negotiated with the caller.
//!
//! Rule: the highest weight wins, the first on a tie, `identity` counts like the others. Small
//! replies and binary tensors stay as they are: common clients offer compression by default, and
//! floats hardly shrink.

use async_compression::Level;
use async_compression::tokio::bufread::{GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::ReplyBody;
use super::decompress::Coding;
use super::write::EncodedReply;
use crate::offload::offload;

/// Below this a reply fits into a few packets, and compressing takes longer than sending.
const MIN_BYTES: usize = 16 << 10;

/// The bytes that are deflated in one step.
const CHUNK_BYTES: usize = 64 << 10;

/// Returns the coding that the caller prefers; `Identity` without a header.
pub(super) fn accepted_coding(headers: &HeaderMap) -> Coding {
    let mut best = (Coding::Identity, 0);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for offer in value.to_str().unwrap_or_default().split(',') {
            if let Some((coding, weight)) = parse_offer(offer)
                && weight > best.1
            {
                best = (coding, weight);
            }
        }
    }
    best.0
}

/// Parses one offer such as `gzip;q=0.5`, with its weight in thousandths; `None` if unknown.
fn parse_offer(offer: &str) -> Option<(Coding, u32)> {
    let (name, parameters) = offer.split_once(';').unwrap_or((offer, ""));
    let coding = Coding::from_name(name.trim())?;
    let weight = parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    match weight {
        None => Some((coding, 1000)),
        Some(text) => Some((coding, thousandths(text)?)),
    }
}

/// Parses a weight of 0 to 1 with at most three decimals.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u32 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" if is_number => Some(fraction),
        "1" if is_number && fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Returns the name of `coding` when compressing the answer pays, and adds `vary` to the answer,
/// which then depends on the offer.
pub(super) fn negotiate(reply: &mut EncodedReply, coding: Coding) -> Option<&'static str> {
    let n_bytes = reply.body.whole().map_or(0, Bytes::len);
    if n_bytes < MIN_BYTES || !reply.may_be_compressed || !is_compressible(reply) {
        return None;
    }
    let vary = HeaderValue::from_static("accept-encoding");
    reply.headers.push((header::VARY, vary));
    match coding {
        Coding::Identity => None,
        Coding::Gzip => Some("gzip"),
        Coding::Deflate => Some("deflate"),
        Coding::Zstd => Some("zstd"),
    }
}

/// Compresses an answer with `coding`, which is called `name`.
pub(super) fn compress(reply: &mut EncodedReply, coding: Coding, name: &'static str) {
    let Some(body) = reply.body.whole() else {
        return;
    };
    if let Some(body) = offload(body.len(), || deflate(coding, body)) {
        reply.body = ReplyBody::Whole(body);
        let name = HeaderValue::from_static(name);
        reply.headers.push((header::CONTENT_ENCODING, name));
    }
}

fn is_compressible(reply: &EncodedReply) -> bool {
    let is_encoded = reply
        .headers
        .iter()
        .any(|(name, _)| name == header::CONTENT_ENCODING);
    let media_type = reply.content_type.as_bytes();
    let kinds: [&[u8]; 4] = [
        b"application/json",
        b"text/",
        b"application/javascript",
        b"application/openmetrics-text",
    ];
    !is_encoded && kinds.iter().any(|kind| media_type.starts_with(kind))
}

fn deflate(coding: Coding, body: &[u8]) -> Option<Bytes> {
    match coding {
        Coding::Identity => None,
        Coding::Gzip => read_encoded(GzipEncoder::with_quality(body, Level::Fastest)),
        Coding::Deflate => read_encoded(ZlibEncoder::with_quality(body, Level::Fastest)),
        Coding::Zstd => read_encoded(ZstdEncoder::with_quality(body, Level::Fastest)),
    }
}

/// Reads all output of the encoder; `None` when it fails, which leaves the reply as it was.
fn read_encoded(mut encoder: impl AsyncRead + Unpin) -> Option<Bytes> {
    let mut deflated = BytesMut::new();
    loop {
        deflated.reserve(CHUNK_BYTES);
        // A body in memory is never waited for.
        if encoder.read_buf(&mut deflated).now_or_never()?.ok()? == 0 {
            return Some(deflated.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_weight_wins_and_the_first_on_a_tie() {
        let cases = [
            ("", Coding::Identity),
            ("gzip, deflate", Coding::Gzip),
            ("deflate, gzip", Coding::Deflate),
            ("gzip;q=0.5, zstd;q=0.8, deflate;q=0.7", Coding::Zstd),
            ("identity, gzip", Coding::Identity),
            ("identity;q=0.1, gzip;q=0.2", Coding::Gzip),
            ("br, *", Coding::Identity),
            ("gzip;q=0", Coding::Identity),
            ("gzip;q=1.5, deflate;q=0.001", Coding::Deflate),
            ("GZIP ; Q=1.000", Coding::Gzip),
            ("gzip;q=nan", Coding::Identity),
        ];
        let failed: Vec<_> = cases
            .iter()
            .filter(|(header, expected)| {
                let value = HeaderValue::from_static(header);
                let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
                accepted_coding(&headers) != *expected
            })
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
