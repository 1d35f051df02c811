//! Memory of models that goes back to the system when they go.
//!
//! Decision: the C allocator is told, because by itself it keeps freed blocks for the next caller,
//! and the larger a block that was freed the more of them; a model of 48 MB left up to 120 MB
//! behind. While a model is opened large blocks are mapped one by one, so that each goes back when it
//! is freed, whatever thread asked for it; after that large blocks come from the heap again, since
//! mapping the buffers of every request would cost a page fault for every 4 kB. What was freed in
//! the heap is given back when a model has been opened or closed.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use glibc as allocator;

/// Other C libraries take no orders.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    pub(super) fn map_blocks_from(_n_bytes: i32) {}
    pub(super) fn trim() {}
}

/// Smaller blocks than this are most of the number and little of the size of a model.
const MAPPED_WHILE_OPENING_BYTES: i32 = 128 * 1024;

/// The most that the allocator would come to by itself.
const MAPPED_WHILE_SERVING_BYTES: i32 = 32 * 1024 * 1024;

/// While it lives, large blocks are mapped one by one. There is one at a time: sessions are created
/// in turn.
pub(super) struct LoadGuard;

impl LoadGuard {
    pub(super) fn start() -> Self {
        allocator::map_blocks_from(MAPPED_WHILE_OPENING_BYTES);
        Self
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        allocator::map_blocks_from(MAPPED_WHILE_SERVING_BYTES);
        // The file as it was parsed, and weights as they were before they were rearranged.
        allocator::trim();
    }
}

/// Gives memory back when it is dropped, which is to be after what holds much of it.
pub(super) struct TrimOnDrop;

impl Drop for TrimOnDrop {
    fn drop(&mut self) {
        allocator::trim();
    }
}

/// What the C library of most Linux systems is told.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "calls the C library")]
mod glibc {
    use std::ffi::c_int;

    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    /// Maps blocks from this size on, and lets the end of a heap grow to twice of it.
    pub(super) fn map_blocks_from(n_bytes: i32) {
        // SAFETY: the function takes two numbers, which change where later blocks come from and
        // nothing about those that are there.
        unsafe {
            mallopt(M_MMAP_THRESHOLD, n_bytes);
            mallopt(M_TRIM_THRESHOLD, n_bytes.saturating_mul(2));
        }
    }

    /// Takes milliseconds, in which other threads may have to wait for memory.
    pub(super) fn trim() {
        // SAFETY: the function takes a number, keeps the allocator consistent by its own locks, and
        // touches only memory that is free.
        unsafe { malloc_trim(0) };
    }
}
