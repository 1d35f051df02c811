//! Returns the memory of closed models to the system.
//!
//! Decision: the C allocator is configured, because by default it keeps freed blocks for the next
//! caller, and keeps more of them the larger a freed block was; a model of 48 MB left up to 120 MB
//! behind. While a model is opened, large blocks are mapped one by one, so that each is returned
//! when it is freed, whatever thread allocated it; after that large blocks come from the heap
//! again, since mapping the buffers of every request would cost a page fault for every 4 kB. Free
//! memory of the heap is returned when a model has been opened or closed, and after runs whose
//! memory is not worth keeping, also at the end of the heap of a worker thread.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use glibc as allocator;

/// Stand-in for other C libraries, which cannot be configured.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    pub(super) fn map_blocks_from(_n_bytes: i32) {}
    pub(super) fn trim() {}
}

/// The smallest block that is mapped while a model is opened; smaller blocks are many, but a small
/// part of the size of a model.
const MAPPED_WHILE_OPENING_BYTES: i32 = 128 * 1024;

/// The largest value that the allocator would reach by itself.
const MAPPED_WHILE_SERVING_BYTES: i32 = 32 * 1024 * 1024;

/// Guard while which large blocks are mapped one by one. There is one at a time, because sessions
/// are created one after another.
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
        // Frees the parsed file, and model weights as they were before they were rearranged.
        allocator::trim();
    }
}

/// Returns free memory of the heap to the system. Takes milliseconds.
pub(super) fn trim() {
    allocator::trim();
}

/// Releases memory when it is dropped, which must happen after the objects that hold much of it.
pub(super) struct TrimOnDrop;

impl Drop for TrimOnDrop {
    fn drop(&mut self) {
        allocator::trim();
    }
}

/// The settings of the C library of most Linux systems.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "calls the C library")]
mod glibc {
    use std::ffi::{c_int, c_void};
    use std::hint::black_box;

    use super::MAPPED_WHILE_SERVING_BYTES;

    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;

    /// A block of this size makes the allocator look at the end of the heap when it is freed
    /// (`FASTBIN_CONSOLIDATION_THRESHOLD`).
    const CONSOLIDATED_BYTES: usize = 64 * 1024;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
        fn malloc(n_bytes: usize) -> *mut c_void;
        fn free(block: *mut c_void);
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

    /// Returns free memory to the system. Takes milliseconds, during which other threads may wait
    /// for memory.
    pub(super) fn trim() {
        // SAFETY: the function takes a number, keeps the allocator consistent by its own locks, and
        // touches only memory that is free.
        unsafe { malloc_trim(0) };
        trim_end_of_heap();
    }

    /// Returns the free end of the heap of this thread, which `malloc_trim` leaves alone in every
    /// heap but that of the main thread: a freed block shrinks it when the limit is low.
    fn trim_end_of_heap() {
        // SAFETY: the numbers change when free memory is returned and nothing else. The block is
        // freed once, and nothing reads or writes it; the allocator accepts a null pointer, too.
        unsafe {
            mallopt(M_TRIM_THRESHOLD, 0);
            free(black_box(malloc(CONSOLIDATED_BYTES)));
            mallopt(M_TRIM_THRESHOLD, MAPPED_WHILE_SERVING_BYTES * 2);
        }
    }
}
