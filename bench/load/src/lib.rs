//! The command line of the load generators, and the gRPC messages of the Open Inference Protocol.
//!
//! Decision: the generators are those of the crate `loadtest`; a program of their own keeps their
//! CPU time apart, and is built with optimizations.

pub mod arguments;

/// The generated messages and services.
pub mod inference {
    tonic::include_proto!("inference");
}
