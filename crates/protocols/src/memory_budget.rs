//! Budgets for the memory of request bodies and of replies.
//!
//! Input: the bytes of a body as they arrive, and of a reply before and after it is encoded. Rule: a
//! body counts while its bytes are in memory, to the last tensor or send buffer that shares them.
//! A body that would exceed the budget is refused; one alone is allowed, however large. Those of up
//! to [`UNCOUNTED_BYTES`] count only while they arrive in parts, so a small request pays nothing.
//! Cold start: nothing is counted. Recovery: dropping the bytes frees their part of the budget.
//! Rejected: counting the announced length of a body, which costs the sender nothing; that only
//! decides whether to begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use contract::{Code, Error, Result};

use crate::offload::offload;

/// Whole bodies up to this size are not counted.
pub(crate) const UNCOUNTED_BYTES: usize = 64 << 10;

/// The bytes that are released in the time in which one is converted.
const RELEASED_PER_CONVERTED: usize = 64;

/// The budgets of a server, shared by all its listeners.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudgets {
    /// The budget of request bodies.
    pub(crate) bodies: MemoryBudget,
    /// The budget of replies.
    pub(crate) replies: MemoryBudget,
}

impl MemoryBudgets {
    /// Returns budgets of so many bytes.
    pub(crate) fn new(body_bytes: usize, reply_bytes: usize) -> Self {
        let budget = |setting, limit| {
            MemoryBudget(Arc::new(Account {
                setting,
                limit,
                n_bytes: AtomicUsize::new(0),
            }))
        };
        Self {
            bodies: budget("max_body_memory_bytes", body_bytes),
            replies: budget("max_reply_memory_bytes", reply_bytes),
        }
    }
}

/// A budget of bytes.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    /// The name of the setting.
    setting: &'static str,
    limit: usize,
    /// The bytes that are counted now.
    n_bytes: AtomicUsize,
}

impl MemoryBudget {
    /// Checks that `n_bytes` more would be allowed now.
    ///
    /// # Errors
    /// `buffer_full`.
    pub(crate) fn check(&self, n_bytes: usize) -> Result<()> {
        let n_counted = self.0.n_bytes.load(Ordering::Relaxed);
        let is_allowed = n_bytes <= UNCOUNTED_BYTES
            || n_counted == 0
            || n_counted.saturating_add(n_bytes) <= self.0.limit;
        match is_allowed {
            true => Ok(()),
            false => Err(self.0.full()),
        }
    }

    /// Counts whole bytes until the last slice of them is dropped, unless they are few.
    ///
    /// # Errors
    /// `buffer_full`.
    pub(crate) fn count(&self, bytes: Bytes) -> Result<Bytes> {
        Ok(match self.reserve(bytes.len())? {
            Some(reservation) => reservation.attach(bytes),
            None => bytes,
        })
    }

    /// Counts `n_bytes` until the reservation is dropped, unless they are few.
    ///
    /// # Errors
    /// `buffer_full`.
    pub(crate) fn reserve(&self, n_bytes: usize) -> Result<Option<Reservation>> {
        if n_bytes <= UNCOUNTED_BYTES {
            return Ok(None);
        }
        let mut reservation = self.reservation();
        reservation.resize(n_bytes)?;
        Ok(Some(reservation))
    }

    /// Returns a reservation of no bytes.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            n_bytes: 0,
        }
    }
}

impl Account {
    fn full(&self) -> Error {
        let Self { setting, limit, .. } = self;
        Error::new(
            Code::BufferFull,
            format!(
                "the {limit} bytes of memory for bodies of this kind are in use (`{setting}`); \
                 try again later"
            ),
        )
    }
}

/// A part of a budget, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: MemoryBudget,
    n_bytes: usize,
}

impl Reservation {
    /// Changes the size.
    ///
    /// # Errors
    /// `buffer_full` when it grows and others leave no room; it then has its old size.
    pub(crate) fn resize(&mut self, n_bytes: usize) -> Result<()> {
        let account = &self.budget.0;
        if n_bytes <= self.n_bytes {
            account
                .n_bytes
                .fetch_sub(self.n_bytes - n_bytes, Ordering::Relaxed);
            self.n_bytes = n_bytes;
            return Ok(());
        }
        let n_more = n_bytes - self.n_bytes;
        let n_before = account.n_bytes.fetch_add(n_more, Ordering::Relaxed);
        let is_alone = n_before <= self.n_bytes;
        if !is_alone && n_before.saturating_add(n_more) > account.limit {
            account.n_bytes.fetch_sub(n_more, Ordering::Relaxed);
            return Err(account.full());
        }
        self.n_bytes = n_bytes;
        Ok(())
    }

    /// Returns `bytes`, which keep the reservation until their last slice is dropped.
    pub(crate) fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(CountedBytes {
            bytes,
            _reservation: self,
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let account = &self.budget.0;
        account.n_bytes.fetch_sub(self.n_bytes, Ordering::Relaxed);
    }
}

/// Bytes with their part of the budget.
#[derive(Debug)]
struct CountedBytes {
    bytes: Bytes,
    _reservation: Reservation,
}

impl Drop for CountedBytes {
    /// Hands over the release of very large bytes, which gives back each of their pages.
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        offload(bytes.len() / RELEASED_PER_CONVERTED, || drop(bytes));
    }
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = UNCOUNTED_BYTES + 1;

    /// A budget with room for two large bodies.
    fn budget() -> MemoryBudget {
        MemoryBudgets::new(2 * LARGE, 2 * LARGE).bodies
    }

    fn bytes(n_bytes: usize) -> Bytes {
        vec![7; n_bytes].into()
    }

    #[test]
    fn bytes_count_until_their_last_slice_is_dropped() {
        let budget = budget();
        let first = budget.count(bytes(LARGE)).unwrap();
        let slice = first.slice(1..2);
        drop(first);
        let _second = budget.count(bytes(LARGE)).unwrap();
        let refused = budget.count(bytes(LARGE)).unwrap_err();
        assert_eq!(refused.code(), Code::BufferFull);
        assert!(
            refused.message().contains("`max_body_memory_bytes`"),
            "{refused}"
        );
        assert_eq!(slice, [7_u8][..]);
        drop(slice);
        budget.count(bytes(LARGE)).unwrap();
    }

    #[test]
    fn few_bytes_are_not_counted() {
        let budget = budget();
        let _few: Vec<_> = (0..9)
            .map(|_| budget.count(bytes(UNCOUNTED_BYTES)))
            .collect();
        assert!(budget.check(2 * LARGE).is_ok());
    }

    #[test]
    fn one_alone_may_exceed_the_budget() {
        let budget = budget();
        let mut alone = budget.reservation();
        alone.resize(LARGE).unwrap();
        alone.resize(10 * LARGE).unwrap();
        assert!(budget.check(LARGE).is_err());
        let mut other = budget.reservation();
        assert!(other.resize(1).is_err());
        alone.resize(LARGE).unwrap();
        other.resize(LARGE).unwrap();
        assert!(alone.resize(LARGE + 1).is_err());
        drop(other);
        alone.resize(3 * LARGE).unwrap();
    }
}
