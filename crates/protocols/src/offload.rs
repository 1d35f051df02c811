//! Conversions of large bodies and replies: decoding, decompression, encoding, compression.
//!
//! Rule: a conversion of at most [`INLINE_BYTES`] runs on the I/O thread of its connection, because
//! handing it over would cost more. Before a larger one, the other connections of that thread go to
//! another thread, so one request delays no other one. Every conversion of every protocol goes
//! through [`offload`].
//! Rejected: a pool of threads, whose work must own what it reads, and in which short conversions
//! would wait behind long ones.

use contract::InferResponse;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The size up to which an I/O thread converts: a millisecond for numbers, and about 20 for objects
/// with very many short keys, which take longest for their size.
pub(crate) const INLINE_BYTES: usize = 256 << 10;

/// Runs `work`, a conversion of `n_bytes`; a large one while other connections are served.
pub(crate) fn offload<T>(n_bytes: usize, work: impl FnOnce() -> T) -> T {
    if n_bytes <= INLINE_BYTES {
        return work();
    }
    #[cfg(test)]
    testing::record();
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // There is no other thread.
        Ok(_) | Err(_) => work(),
    }
}

/// Returns the size of the outputs of a reply.
pub(crate) fn output_bytes(response: &InferResponse) -> usize {
    let outputs = response.outputs.iter();
    outputs.map(|output| output.tensor.data().len()).sum()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::cell::Cell;
    use std::future::Future;

    tokio::task_local! {
        static LARGE: Cell<usize>;
    }

    pub(super) fn record() {
        // Most tests do not count.
        let _is_counted = LARGE.try_with(|large| large.set(large.get() + 1));
    }

    /// Runs a future and returns the number of its large conversions.
    pub(crate) async fn large_conversions<T>(run: impl Future<Output = T>) -> (T, usize) {
        let count = async {
            let output = run.await;
            (output, LARGE.with(Cell::get))
        };
        LARGE.scope(Cell::new(0), count).await
    }
}

#[cfg(test)]
mod tests;
