//! The body of a request, within its limits.
//!
//! Rule: an announced length is checked before the first byte is read. The rest of a refused body
//! is read for a moment in the background, because closing a connection with unread bytes discards
//! the reply with the reason.

use std::fmt::Display;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::{Code, Error, Result};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::context::Limits;

/// More chunks than this are an attack: 64 MiB in chunks of 1 KiB stay below it.
const MAX_CHUNKS: usize = 65_536;

/// The reservation for an announced body; more follows only as it arrives.
const FIRST_RESERVATION_BYTES: usize = 1 << 20;

/// The limits for reading the rest of a refused body.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// The body of a request, from the socket or from a router.
pub(crate) trait RequestBody:
    Body<Data = Bytes, Error: Display> + Unpin + Send + 'static
{
}

impl<B: Body<Data = Bytes, Error: Display> + Unpin + Send + 'static> RequestBody for B {}

/// Reads a whole body.
pub(super) async fn read<B: RequestBody>(
    limits: &Limits,
    headers: &HeaderMap,
    mut body: B,
) -> Result<Bytes> {
    let announced = announced_bytes(headers);
    if announced.is_some_and(|n_bytes| n_bytes > limits.body_bytes) {
        discard(headers, body);
        return Err(too_large("the body", limits.body_bytes));
    }
    let collected = collect(&mut body, announced, limits.body_bytes);
    match timeout(limits.body_timeout, collected).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            if error.code() == Code::PayloadTooLarge {
                discard(headers, body);
            }
            Err(error)
        }
        Err(_) => Err(Error::new(
            Code::RequestTimeout,
            format!(
                "the body did not arrive within {} seconds",
                limits.body_timeout.as_secs_f64()
            ),
        )),
    }
}

async fn collect<B: RequestBody>(
    body: &mut B,
    announced: Option<usize>,
    limit: usize,
) -> Result<Bytes> {
    let Some(first) = next_chunk(body).await? else {
        return Ok(Bytes::new());
    };
    check_size(first.len(), limit)?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let expected = announced.unwrap_or_default().min(FIRST_RESERVATION_BYTES);
    let mut bytes = BytesMut::with_capacity(expected.max(first.len()));
    bytes.extend_from_slice(&first);
    let mut n_chunks = 1;
    while let Some(chunk) = next_chunk(body).await? {
        check_size(bytes.len() + chunk.len(), limit)?;
        n_chunks += 1;
        // With an announced length the chunks only reflect the reads of the socket; they cost
        // nothing.
        if announced.is_none() && n_chunks > MAX_CHUNKS {
            return Err(Error::invalid(format!(
                "the body has more than {MAX_CHUNKS} chunks; send larger ones"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Returns the next bytes that are not empty; trailers are skipped.
async fn next_chunk<B: RequestBody>(body: &mut B) -> Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Error::invalid("the body ended before it was complete")
                .with_diagnostic(error.to_string())
        })?;
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

fn check_size(n_bytes: usize, limit: usize) -> Result<()> {
    match n_bytes > limit {
        true => Err(too_large("the body", limit)),
        false => Ok(()),
    }
}

/// Returns the refusal of `what`, which has more bytes than allowed.
pub(super) fn too_large(what: &str, limit: usize) -> Error {
    Error::new(
        Code::PayloadTooLarge,
        format!("{what} is over the limit of {limit} bytes (`max_body_bytes`)"),
    )
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    // Hyper has refused anything that is not a number; a number above `usize` is over any limit.
    let text = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    Some(text.parse().unwrap_or(usize::MAX))
}

/// Reads the rest in the background, so that the reply survives. A caller that waits for `100
/// Continue` does not get it.
pub(super) fn discard<B: RequestBody>(headers: &HeaderMap, mut body: B) {
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(DISCARD_TIME, async move {
        let mut n_bytes = 0;
        while let Ok(Some(chunk)) = next_chunk(&mut body).await
            && n_bytes <= DISCARD_BYTES
        {
            n_bytes += chunk.len();
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use futures_util::{StreamExt, stream};
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// A body of six bytes in three chunks, and the number of chunks that were taken.
    fn counted_body() -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let chunks = stream::iter(["ab", "cd", "ef"]).map(move |chunk| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(chunk)
        });
        (Body::from_stream(chunks), taken)
    }

    /// Chunks taken of a body that is refused for its announced length.
    async fn taken_of_a_refused_body(headers: &[(HeaderName, &'static str)]) -> usize {
        let limits = Limits {
            body_bytes: 3,
            ..Limits::default()
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        let (body, taken) = counted_body();
        let error = read(&limits, &headers, body).await.unwrap_err();
        assert_eq!(error.code(), Code::PayloadTooLarge);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        taken.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_refused_body_is_read_on_so_that_the_reply_survives() {
        assert_eq!(
            taken_of_a_refused_body(&[(header::CONTENT_LENGTH, "6")]).await,
            3
        );
        assert_eq!(taken_of_a_refused_body(&[]).await, 3);
    }

    #[tokio::test]
    async fn a_caller_that_expects_100_continue_does_not_get_it() {
        let headers = [
            (header::CONTENT_LENGTH, "6"),
            (header::EXPECT, "100-continue"),
        ];
        assert_eq!(taken_of_a_refused_body(&headers).await, 0);
    }

    #[tokio::test]
    async fn chunks_are_joined_in_order() {
        let (body, _) = counted_body();
        let bytes = read(&Limits::default(), &HeaderMap::new(), body)
            .await
            .unwrap();
        assert_eq!(bytes, "abcdef");
    }
}
