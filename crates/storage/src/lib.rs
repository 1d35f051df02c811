//! State that several servers share, in Redis.
//!
//! Decision: an existing store instead of a protocol between servers. Redis runs one script at a
//! time, so a script that checks and writes is a transaction; everything that must agree is one
//! script. A failed call is never repeated here: the caller knows whether a repetition is harmless.

mod address;
mod connection;
mod rollouts;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use address::{AddressError, RedisAddress};
pub use rollouts::RedisRollouts;
