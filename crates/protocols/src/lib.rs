//! Bytes to contract and back: one folder per wire dialect, and the listeners.
