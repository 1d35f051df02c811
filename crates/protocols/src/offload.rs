//! Long conversions beside the workers.
//!
//! Decision: a worker converts small bodies itself, because a hand-over costs more; large ones go
//! to a thread that may block, so that one request delays no other one.

use contract::{Error, InferResponse, Result};

/// The size up to which a worker converts: a few milliseconds at some hundred megabytes per second.
const INLINE_BYTES: usize = 1 << 20;

/// Runs `work` here when `n_bytes` is small, otherwise on a thread that may block.
pub(crate) async fn offload<T: Send + 'static>(
    n_bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if n_bytes <= INLINE_BYTES {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(error.to_string())),
    }
}

/// Returns the size of the outputs of a reply.
pub(crate) fn output_bytes(response: &InferResponse) -> usize {
    let outputs = response.outputs.iter();
    outputs.map(|output| output.tensor.data().len()).sum()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_large_work_leaves_the_thread() {
        let here = thread::current().id();
        let thread_of = |n_bytes| offload(n_bytes, || Ok(thread::current().id()));
        assert_eq!(thread_of(100).await.unwrap(), here);
        assert_ne!(thread_of(INLINE_BYTES + 1).await.unwrap(), here);
    }
}
