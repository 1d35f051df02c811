//! Rollouts: the traffic weight of a new version, decided from exact counts.
//!
//! Decision: every decision is a function over plain data, with time and randomness passed in, so
//! that the simulator and the server run the very same code. Only the driver has a clock and tasks:
//! it feeds counts to the state machine and applies its actions through the trait
//! [`driver::TrafficControl`], which a server implements.

pub mod config;
pub mod driver;
pub mod evidence;
mod numbers;
pub mod prometheus;
pub mod simulate;
pub mod state;
pub mod timestamp;
