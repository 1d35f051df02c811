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
use crate::memory_budget::{MemoryBudget, Reservation, UNCOUNTED_BYTES};
use crate::offload::offload;

/// More chunks than this are an attack: 64 MiB in chunks of 1 KiB stay below it.
const MAX_CHUNKS: usize = 65_536;

/// The first allocation for a body in several pieces; room for the announced rest follows once as
/// much has arrived.
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
    budget: &MemoryBudget,
    headers: &HeaderMap,
    mut body: B,
) -> Result<Bytes> {
    let announced = announced_bytes(headers);
    let checked = check_size(announced.unwrap_or_default(), limits.body_bytes)
        .and_then(|()| budget.check(announced.unwrap_or_default()));
    if let Err(error) = checked {
        discard(headers, body);
        return Err(error);
    }
    let collected = collect(&mut body, announced, limits.body_bytes, budget);
    match timeout(limits.body_timeout, collected).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            if [Code::PayloadTooLarge, Code::BufferFull].contains(&error.code()) {
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
    budget: &MemoryBudget,
) -> Result<Bytes> {
    let mut buffer = BodyBuffer::default();
    let mut n_chunks = 0;
    while let Some(chunk) = next_chunk(body).await? {
        check_size(buffer.as_slice().len() + chunk.len(), limit)?;
        n_chunks += 1;
        // With an announced length the chunks only reflect the reads of the socket; they cost
        // nothing.
        if announced.is_none() && n_chunks > MAX_CHUNKS {
            return Err(Error::invalid(format!(
                "the body has more than {MAX_CHUNKS} chunks; send larger ones"
            )));
        }
        buffer.push(chunk, announced.unwrap_or_default(), budget)?;
        if body.is_end_stream() {
            break;
        }
    }
    Ok(buffer.finish())
}

/// A body or a message as it arrives, in its budget; a single piece is not copied.
#[derive(Debug, Default)]
pub(crate) struct BodyBuffer {
    single: Bytes,
    joined: BytesMut,
    reservation: Option<Reservation>,
}

impl BodyBuffer {
    /// Returns the bytes so far.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self.joined.is_empty() {
            true => &self.single,
            false => &self.joined,
        }
    }

    /// Appends a piece of a body that will have `n_expected` bytes.
    ///
    /// # Errors
    /// `buffer_full`.
    pub(crate) fn push(
        &mut self,
        piece: Bytes,
        n_expected: usize,
        budget: &MemoryBudget,
    ) -> Result<()> {
        let n_before = self.as_slice().len();
        let n_bytes = n_before.saturating_add(piece.len());
        if n_before > 0 || n_bytes > UNCOUNTED_BYTES {
            let reservation = self.reservation.get_or_insert_with(|| budget.reservation());
            reservation.resize(n_bytes)?;
        }
        if n_before == 0 {
            self.single = piece;
            return Ok(());
        }
        if n_bytes > self.joined.capacity() {
            let capacity = match n_bytes > FIRST_RESERVATION_BYTES {
                true => n_bytes.max(n_expected),
                false => n_bytes.max(n_expected.min(FIRST_RESERVATION_BYTES)),
            };
            let n_more = capacity - self.joined.len();
            offload(self.joined.len(), || self.joined.reserve(n_more));
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&self.single);
        }
        self.joined.extend_from_slice(&piece);
        Ok(())
    }

    /// Returns the bytes, counted as long as they are in memory.
    pub(crate) fn finish(self) -> Bytes {
        let bytes = match self.joined.is_empty() {
            true => self.single,
            false => self.joined.freeze(),
        };
        match self.reservation {
            Some(reservation) if bytes.len() > UNCOUNTED_BYTES => reservation.attach(bytes),
            Some(_) | None => bytes,
        }
    }
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

    fn budget() -> MemoryBudget {
        Limits::default().memory_budgets().bodies
    }

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
        let error = read(&limits, &budget(), &headers, body).await.unwrap_err();
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
        let bytes = read(&Limits::default(), &budget(), &HeaderMap::new(), body)
            .await
            .unwrap();
        assert_eq!(bytes, "abcdef");
    }
}
