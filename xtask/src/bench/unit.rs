//! The units of figures.

/// The unit in which a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A share of one.
    Share,
    /// A multiple.
    Times,
    Percent,
    Microseconds,
    Milliseconds,
    Seconds,
    /// Multiples of the deadline of a request.
    Deadlines,
    Count,
}
