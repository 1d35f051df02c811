//! The content encoding of a request.
//!
//! Rule: the inflated size is limited while inflating, so that a bomb costs no more than a body of
//! the allowed size. Inflating yields to other tasks after every piece.

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use contract::{Code, Error, Result};
use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::consume_budget;

use super::body::too_large;
use super::refusal::Refusal;

/// The bytes that are inflated before other tasks may run.
const CHUNK_BYTES: usize = 64 << 10;

/// The largest window that the content encoding `zstd` may use, 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    /// DEFLATE in its zlib wrapper, which is the meaning of `deflate` in HTTP.
    Deflate,
    Zstd,
}

impl Coding {
    /// Returns the coding of that name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let names = [
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("zstd", Self::Zstd),
        ];
        names
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, coding)| coding)
    }

    /// Returns the coding in the headers of a request.
    pub(super) fn of_body(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let coding = match (values.next(), values.next()) {
            (None, _) => Some(Self::Identity),
            (Some(value), None) => value.to_str().ok().map(str::trim).and_then(Self::from_name),
            (Some(_), Some(_)) => None,
        };
        coding.ok_or_else(unsupported)
    }
}

fn unsupported() -> Refusal {
    let error = Error::new(
        Code::UnsupportedMediaType,
        "Unsupported compression type: `content-encoding` must be one of `gzip`, `deflate`, \
         `zstd`, `identity`",
    );
    let codings = HeaderValue::from_static("gzip, deflate, zstd");
    Refusal {
        error,
        header: Some((header::ACCEPT_ENCODING, codings)),
    }
}

/// Decodes `coding`; the result has at most `limit` bytes.
pub(super) async fn inflate(coding: Coding, body: Bytes, limit: usize) -> Result<Bytes> {
    if body.is_empty() {
        return Ok(body);
    }
    match coding {
        Coding::Identity => Ok(body),
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(&*body);
            decoder.multiple_members(true);
            read_limited(decoder, "gzip", limit).await
        }
        Coding::Deflate => {
            let mut decoder = ZlibDecoder::new(&*body);
            decoder.multiple_members(true);
            read_limited(decoder, "deflate", limit).await
        }
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
            let mut decoder = ZstdDecoder::with_params(&*body, &[window]);
            decoder.multiple_members(true);
            read_limited(decoder, "zstd", limit).await
        }
    }
}

async fn read_limited(
    mut decoder: impl AsyncRead + Unpin,
    name: &str,
    limit: usize,
) -> Result<Bytes> {
    let mut inflated = BytesMut::new();
    loop {
        inflated.reserve(CHUNK_BYTES);
        let read = (&mut decoder)
            .take(CHUNK_BYTES as u64)
            .read_buf(&mut inflated)
            .await;
        let n_bytes = read
            .map_err(|error| Error::invalid(format!("the body is not valid `{name}`: {error}")))?;
        if n_bytes == 0 {
            return Ok(inflated.freeze());
        }
        if inflated.len() > limit {
            return Err(too_large("the body after decompression", limit));
        }
        consume_budget().await;
    }
}
