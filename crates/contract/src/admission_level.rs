//! The admission level of a version, which refusals and metrics show.

/// The lowest priority that is still admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionLevel {
    /// Requests of this priority and of every more urgent one; 0 is the least urgent of all.
    Priority(u32),
    /// No requests, not even those of priority 1.
    Closed,
}

impl AdmissionLevel {
    /// Returns the number for callers and metrics: the priority, or -1 when nothing is admitted.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Priority(priority) => i64::from(priority),
            Self::Closed => -1,
        }
    }
}
