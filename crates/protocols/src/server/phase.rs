//! The phases of a listener, from serving to closing.

/// The phase of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Still accepting, asking clients to reconnect elsewhere.
    Draining,
    /// Answering received requests, accepting nothing.
    Closing,
}
