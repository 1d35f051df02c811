//! What the load generators share.
//!
//! Decision: one thread of a generator is one `current_thread` runtime with its own connections
//! and its own counts, which are added up at the end, so that nothing is shared while it measures.

pub mod http;
pub mod inference;
pub mod tally;
pub mod threads;
