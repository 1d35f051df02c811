//! The content encoding of a request.
//!
//! Rule: the inflated size is limited while inflating, so that a bomb costs no more than a body of
//! the allowed size. So is the number of members, because each has a cost of its own, however short
//! it is.

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use contract::{Code, Error, Result};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::body::too_large;
use super::refusal::Refusal;
use crate::offload::{INLINE_BYTES, offload};

/// The bytes that are inflated in one step.
const CHUNK_BYTES: usize = 64 << 10;

/// The members of a body: as many as 64 MiB in blocks of 16 KiB, and a tenth of a second when all
/// of them are empty.
const MAX_MEMBERS: usize = 4096;

/// The largest window that the content encoding `zstd` may use, 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
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
pub(crate) fn inflate(coding: Coding, body: Bytes, limit: usize) -> Result<Bytes> {
    if body.is_empty() {
        return Ok(body);
    }
    match coding {
        Coding::Identity => Ok(body),
        Coding::Gzip => Inflater::<GzipDecoder<_>>::new("gzip", &body, limit).run(),
        Coding::Deflate => Inflater::<ZlibDecoder<_>>::new("deflate", &body, limit).run(),
        Coding::Zstd => Inflater::<ZstdDecoder<_>>::new("zstd", &body, limit).run(),
    }
}

/// The decoder of one member: a body may be several compressed texts, one after the other.
trait MemberDecoder<'a>: AsyncRead + Unpin {
    fn new(compressed: &'a [u8]) -> Self;
    /// Returns the bytes behind the member.
    fn into_rest(self) -> &'a [u8];
}

macro_rules! member_decoders {
    ($($decoder:ident: $new:expr),*) => {
        $(impl<'a> MemberDecoder<'a> for $decoder<&'a [u8]> {
            fn new(compressed: &'a [u8]) -> Self {
                $new(compressed)
            }

            fn into_rest(self) -> &'a [u8] {
                self.into_inner()
            }
        })*
    };
}

member_decoders! {
    GzipDecoder: GzipDecoder::new,
    ZlibDecoder: ZlibDecoder::new,
    ZstdDecoder: |compressed| {
        ZstdDecoder::with_params(compressed, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)])
    }
}

/// Inflation of one body.
struct Inflater<D> {
    name: &'static str,
    limit: usize,
    /// The decoder of the current member.
    decoder: D,
    n_members: usize,
    inflated: BytesMut,
}

impl<'a, D: MemberDecoder<'a>> Inflater<D> {
    fn new(name: &'static str, body: &'a [u8], limit: usize) -> Self {
        Self {
            name,
            limit,
            decoder: D::new(body),
            n_members: 1,
            inflated: BytesMut::new(),
        }
    }

    /// Inflates as much as an I/O thread may, and hands over the rest: the size of a compressed body
    /// does not show how much work it is.
    fn run(self) -> Result<Bytes> {
        match self.inflate(INLINE_BYTES / CHUNK_BYTES)? {
            Progress::Done(inflated) => Ok(inflated),
            Progress::More(rest) => match offload(usize::MAX, || rest.inflate(usize::MAX))? {
                Progress::Done(inflated) => Ok(inflated),
                Progress::More(_) => Err(Error::internal("inflating never ended")),
            },
        }
    }

    /// Takes at most `n_steps` steps, each a chunk or a new member, whose start costs as much.
    fn inflate(mut self, n_steps: usize) -> Result<Progress<Self>> {
        for _ in 0..n_steps {
            if self.read_chunk()? > 0 {
                continue;
            }
            let rest = self.decoder.into_rest();
            if rest.is_empty() {
                return Ok(Progress::Done(self.inflated.freeze()));
            }
            if self.n_members == MAX_MEMBERS {
                return Err(too_many_members(self.name));
            }
            self.n_members += 1;
            self.decoder = D::new(rest);
        }
        Ok(Progress::More(self))
    }

    /// Returns the number of bytes of the next chunk, 0 at the end of a member.
    fn read_chunk(&mut self) -> Result<usize> {
        self.inflated.reserve(CHUNK_BYTES);
        let mut chunk = (&mut self.decoder).take(CHUNK_BYTES as u64);
        let read = chunk.read_buf(&mut self.inflated).now_or_never();
        let read = read.ok_or_else(|| Error::internal("a body in memory is waited for"))?;
        let name = self.name;
        let n_bytes = read
            .map_err(|error| Error::invalid(format!("the body is not valid `{name}`: {error}")))?;
        match self.inflated.len() > self.limit {
            true => Err(too_large("the body after decompression", self.limit)),
            false => Ok(n_bytes),
        }
    }
}

enum Progress<I> {
    Done(Bytes),
    More(I),
}

fn too_many_members(name: &str) -> Error {
    Error::new(
        Code::PayloadTooLarge,
        format!(
            "the body has more than {MAX_MEMBERS} members of `{name}`; compress it as one member"
        ),
    )
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::GzipEncoder;

    use super::*;
    use crate::offload::testing::large_conversions;

    async fn gzip(text: &[u8]) -> Vec<u8> {
        let mut deflated = Vec::new();
        GzipEncoder::new(text)
            .read_to_end(&mut deflated)
            .await
            .unwrap();
        deflated
    }

    async fn inflated(body: Vec<u8>) -> (Result<Bytes>, usize) {
        large_conversions(async { inflate(Coding::Gzip, body.into(), 64 << 20) }).await
    }

    #[tokio::test]
    async fn members_are_joined_and_their_number_is_limited() {
        let (text, _) = inflated([gzip(b"ab").await, gzip(b"cd").await].concat()).await;
        assert_eq!(text.unwrap(), "abcd");
        let empty = gzip(b"").await;
        let (text, _) = inflated(empty.repeat(MAX_MEMBERS)).await;
        assert_eq!(text.unwrap(), "");
        let (refused, _) = inflated(empty.repeat(MAX_MEMBERS + 1)).await;
        assert_eq!(refused.unwrap_err().code(), Code::PayloadTooLarge);
    }

    #[tokio::test]
    async fn many_members_and_many_bytes_are_inflated_off_the_io_threads() {
        let cases = [
            (gzip(&[b'a'; 1000]).await, 0),
            (gzip(&vec![b'a'; INLINE_BYTES * 2]).await, 1),
            (gzip(b"").await.repeat(100), 1),
        ];
        for (body, n_large) in cases {
            let n_bytes = body.len();
            let (inflated, n_handed_over) = inflated(body).await;
            assert!(inflated.is_ok());
            assert_eq!(n_handed_over, n_large, "{n_bytes}");
        }
    }
}
