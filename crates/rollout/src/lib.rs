//! Rollouts: the traffic weight of a new version, decided from exact counts.
//!
//! Decision: everything here is a function over plain data, with time and randomness passed in, so
//! that the simulator and the server run the very same code. Nothing here sends, waits or reads a
//! clock; the rollout task in `serving` feeds counts and applies actions.

pub mod config;
pub mod evidence;
pub mod simulate;
pub mod state;
pub mod timestamp;
