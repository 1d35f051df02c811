//! Rollouts: which share of the traffic a new version gets, decided from exact counts.
//!
//! Decision: everything here is a function over plain data, with time and randomness passed in, so
//! that the simulator and the server run the very same code. Nothing here sends, waits or reads a
//! clock but the driver (`driver`), which feeds counts and applies actions.

pub mod config;
pub(crate) mod driver;
pub mod evidence;
pub mod simulate;
pub mod state;
pub mod statistics;
pub mod timestamp;
