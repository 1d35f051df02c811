//! The version that answers a request, or fails to.

use bytes::Bytes;

/// The model, version and arm that answer, as bytes for replies: made once for a version and an
/// arm, and shared by all their replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedBy {
    /// The model.
    pub model: Bytes,
    /// The version.
    pub version: Bytes,
    /// The arm of the split that the request was assigned to, or forced into.
    pub arm: Option<Bytes>,
    /// The probability that the arm had for the request, as a decimal number, when the weights of
    /// the split follow its rewards and the arm was not forced.
    pub propensity: Option<Bytes>,
}
