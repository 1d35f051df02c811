//! Exposures: the arm that answered each recent request, kept for later feedback.
//!
//! Rule: a direct-mapped table of one word per slot: 40 bits of the fingerprint of the request id,
//! the number of the arm, and the answered class. A later request in the same slot overwrites an
//! earlier one, so about the last quarter of a million requests are known; one id in 2^40 is taken
//! for another. Writing is one store. Cold start: an empty table. Rejected: a map with a lock,
//! which every request would take for the few that get feedback.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::Class;

/// Number of bits of a slot index: a table of 2 MiB.
const INDEX_BITS: u32 = 18;

/// Bits of a word that the arm and the class leave free.
const TAG_BITS: u32 = 40;

/// The most recently answered requests.
pub(crate) struct Exposures(Box<[AtomicU64]>);

/// Fingerprint of a request id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFingerprint(u64);

/// The record of one answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// The number of the arm.
    pub(crate) arm: u8,
    /// The answered class, when there was one.
    pub(crate) class: Option<Class>,
}

impl std::fmt::Debug for Exposures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exposures").finish_non_exhaustive()
    }
}

impl Default for Exposures {
    fn default() -> Self {
        let slots = std::iter::repeat_with(|| AtomicU64::new(0));
        Self(slots.take(1 << INDEX_BITS).collect())
    }
}

impl RequestFingerprint {
    /// Computes the fingerprint of a request id.
    pub(crate) fn new(request_id: &str) -> Self {
        Self(xxh3_64(request_id.as_bytes()))
    }

    /// Returns the tag; never 0, which marks an empty slot.
    fn tag(self) -> u64 {
        (self.0 >> (u64::BITS - TAG_BITS)).max(1)
    }
}

impl Exposures {
    /// Records the exposure of a request.
    pub(crate) fn record(&self, request: RequestFingerprint, exposure: Exposure) {
        let class = exposure.class.map_or(0, Class::number);
        let word = request.tag() << 24 | u64::from(exposure.arm) << 16 | u64::from(class);
        if let Some(slot) = self.slot(request) {
            slot.store(word, Ordering::Relaxed);
        }
    }

    /// Returns the exposure of a request, while it is known.
    pub(crate) fn find(&self, request: RequestFingerprint) -> Option<Exposure> {
        let word = self.slot(request)?.load(Ordering::Relaxed);
        let [.., arm, high, low] = word.to_be_bytes();
        (word >> 24 == request.tag()).then(|| Exposure {
            arm,
            class: Class::from_number(u16::from_be_bytes([high, low])),
        })
    }

    fn slot(&self, request: RequestFingerprint) -> Option<&AtomicU64> {
        let index = request.0 & ((1 << INDEX_BITS) - 1);
        self.0.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_found_until_another_takes_its_slot() {
        let exposures = Exposures::default();
        let first = RequestFingerprint::new("first");
        assert_eq!(exposures.find(first), None);
        let with_class = Exposure {
            arm: 63,
            class: Some(Class::of_integer(-7)),
        };
        exposures.record(first, with_class);
        assert_eq!(exposures.find(first), Some(with_class));
        assert_eq!(exposures.find(RequestFingerprint::new("second")), None);
        let same_slot = RequestFingerprint(first.0 ^ (1 << 63));
        let without_class = Exposure {
            arm: 0,
            class: None,
        };
        exposures.record(same_slot, without_class);
        assert_eq!(exposures.find(first), None);
        assert_eq!(exposures.find(same_slot), Some(without_class));
    }
}
