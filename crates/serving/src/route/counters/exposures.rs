//! Exposures: which arm answered a request, remembered for the feedback that comes later.
//!
//! Rule: a direct-mapped table of one word per place: 40 bits of the fingerprint of the request id,
//! the number of the arm, and the class that was answered. A later request at the same place
//! overwrites an earlier one, so about the last quarter of a million requests are known; one id in
//! 2^40 is taken for another. Writing is one store. Cold start: nothing is known. Rejected: a map
//! with a lock, which every request would take for the few that get feedback.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::Class;

/// 2 MiB of table.
const INDEX_BITS: u32 = 18;

/// What is left of a word beside the arm and the class.
const TAG_BITS: u32 = 40;

/// The requests that were answered last.
pub(crate) struct Exposures(Box<[AtomicU64]>);

/// What is left of a request id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFingerprint(u64);

/// What is remembered of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// The number of the arm.
    pub(crate) arm: u8,
    /// The class that was answered, when there was one.
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
    /// The fingerprint of a request id.
    pub(crate) fn new(request_id: &str) -> Self {
        Self(xxh3_64(request_id.as_bytes()))
    }

    /// Never 0, which is an empty place.
    fn tag(self) -> u64 {
        (self.0 >> (u64::BITS - TAG_BITS)).max(1)
    }
}

impl Exposures {
    /// Remembers who answered a request.
    pub(crate) fn record(&self, request: RequestFingerprint, exposure: Exposure) {
        let class = exposure.class.map_or(0, Class::number);
        let word = request.tag() << 24 | u64::from(exposure.arm) << 16 | u64::from(class);
        if let Some(slot) = self.slot(request) {
            slot.store(word, Ordering::Relaxed);
        }
    }

    /// Who answered a request.
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
