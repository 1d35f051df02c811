//! The Open Inference Protocol v2 with the Triton extensions, over REST and gRPC.
//!
//! Decision: what both transports must agree on is written once, in neutral terms, and a transport
//! only reads and writes its own bytes. The way of an inference is: [`datatype`] and [`parameters`]
//! check what was read, [`inference::run`] runs it and ranks classes, then the transport writes.
//! [`binary`] is the layout of tensors behind JSON.
//! [`metadata`], [`model_config`], [`statistics`], [`repository`] and [`settings`] answer the rest.

mod binary;
mod classification;
mod datatype;
pub(crate) mod grpc;
mod inference;
mod metadata;
mod model_config;
mod parameters;
mod repository;
pub(crate) mod rest;
mod settings;
mod statistics;
