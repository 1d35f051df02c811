//! The threads on which pictures are decoded: at most one picture per core at a time.
//!
//! Decision: a picture is admitted before it is decoded, and dropped as soon as its deadline passes
//! or its caller leaves, as long as it waits. A decoder that has begun runs to its end, which the
//! limit of pixels bounds, and keeps its place until then; the caller gets its refusal in time.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use contract::{Code, Error, Result};
use tokio::sync::Semaphore;

use super::decode_queue::{DecodeQueue, DecodeWork, Refusal};
use super::picture::{Picture, PictureFile};

/// The shortest value of the `Retry-After` header, whose unit is seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limiter of the pictures that are decoded at once.
#[derive(Clone, Debug)]
pub(in super::super) struct DecodeLimiter {
    workers: Arc<Semaphore>,
    queue: Arc<Mutex<DecodeQueue>>,
}

impl Default for DecodeLimiter {
    fn default() -> Self {
        Self::new(available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

impl DecodeLimiter {
    fn new(n_workers: usize) -> Self {
        let queue = DecodeQueue::new(u32::try_from(n_workers).unwrap_or(u32::MAX));
        Self {
            workers: Arc::new(Semaphore::new(n_workers)),
            queue: Arc::new(Mutex::new(queue)),
        }
    }

    /// Decodes a picture and converts it.
    ///
    /// # Errors
    /// Those of decoder and conversion, `overloaded`, and `deadline_exceeded`.
    pub(super) async fn decode<T: Send + 'static>(
        &self,
        file: PictureFile,
        deadline: Option<Instant>,
        convert: impl FnOnce(Picture) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let admitted = self.admit(file.work(), deadline)?;
        let permit = before(deadline, Arc::clone(&self.workers).acquire_owned()).await?;
        let work = move || {
            let _permit = permit;
            let start = now();
            let converted = convert(file.decode()?)?;
            admitted.record(now().saturating_duration_since(start));
            Ok(converted)
        };
        before(deadline, tokio::task::spawn_blocking(work))
            .await?
            .map_err(|error| Error::internal(format!("decoding a picture: {error}")))?
    }

    fn admit(&self, work: DecodeWork, deadline: Option<Instant>) -> Result<AdmittedPicture> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(deadline_exceeded());
        }
        lock(&self.queue).admit(work, left).map_err(refused)?;
        Ok(AdmittedPicture {
            queue: Arc::clone(&self.queue),
            work,
        })
    }
}

/// A picture in the queue; dropping it removes the picture.
#[derive(Debug)]
struct AdmittedPicture {
    queue: Arc<Mutex<DecodeQueue>>,
    work: DecodeWork,
}

impl AdmittedPicture {
    fn record(&self, time: Duration) {
        lock(&self.queue).record(self.work, time);
    }
}

impl Drop for AdmittedPicture {
    fn drop(&mut self) {
        lock(&self.queue).remove(self.work);
    }
}

fn lock(queue: &Mutex<DecodeQueue>) -> MutexGuard<'_, DecodeQueue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a future until the deadline.
async fn before<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Result<T> {
    match deadline {
        None => Ok(future.await),
        Some(deadline) => tokio::time::timeout_at(deadline.into(), future)
            .await
            .map_err(|_| deadline_exceeded()),
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn deadline_exceeded() -> Error {
    Error::new(
        Code::DeadlineExceeded,
        "Request timeout expired before the picture was decoded",
    )
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::TooLarge { own } => Error::new(
            Code::DeadlineExceeded,
            format!(
                "decoding this picture takes about {} ms, which is after the deadline of the \
                 request; send a smaller picture or allow more time",
                own.as_millis()
            ),
        ),
        Refusal::Overloaded { wait, excess } => Error::new(
            Code::Overloaded,
            format!(
                "too many pictures wait to be decoded: this one would be decoded in {} ms, which \
                 is {} ms too late; try again later or allow more time",
                wait.as_millis(),
                excess.as_millis()
            ),
        )
        .with_retry_after(excess.max(RETRY_AFTER)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn file() -> PictureFile {
        let mut png = std::io::Cursor::new(Vec::new());
        let image = ::image::GrayImage::new(300, 300);
        image.write_to(&mut png, ::image::ImageFormat::Png).unwrap();
        PictureFile::read(Bytes::from(png.into_inner()), 1 << 20).unwrap()
    }

    #[tokio::test]
    async fn a_picture_that_waits_is_refused_at_its_deadline_without_being_decoded() {
        let limiter = DecodeLimiter::new(1);
        let busy = Arc::clone(&limiter.workers).acquire_owned().await.unwrap();
        let deadline = Some(now() + Duration::from_millis(20));
        let decoded = limiter.decode(file(), deadline, |_| -> Result<()> { unreachable!() });
        let error = decoded.await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        drop(busy);
        let size = limiter.decode(file(), None, |picture| Ok((picture.width, picture.height)));
        assert_eq!(size.await.unwrap(), (300, 300));
    }

    #[tokio::test]
    async fn pictures_that_would_be_late_are_refused_at_once() {
        let limiter = DecodeLimiter::new(1);
        let work = file().work();
        lock(&limiter.queue).record(work, Duration::from_secs(60));
        let soon = || Some(now() + Duration::from_secs(30));
        let decode = |deadline| limiter.decode(file(), deadline, |_| Ok(()));
        let error = decode(soon()).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        let _first = limiter.admit(work, None).unwrap();
        let error = decode(None).await.unwrap_err();
        assert_eq!(error.code(), Code::Overloaded);
        assert!(error.retry_after().unwrap() > Duration::from_secs(50));
        let error = decode(Some(now())).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_picture_leaves_the_queue_with_its_caller() {
        let limiter = DecodeLimiter::new(1);
        let work = file().work();
        lock(&limiter.queue).record(work, Duration::from_secs(60));
        drop(limiter.admit(work, None).unwrap());
        assert!(limiter.admit(work, None).is_ok());
    }
}
