//! The Open Inference Protocol v2 with the Triton extensions, over REST and gRPC.
//!
//! Decision: everything that both transports must agree on is written once, independent of both,
//! and a transport only reads and writes its own bytes. An inference takes this path: [`datatype`]
//! and [`parameters`] check the decoded request, [`inference::run`] runs it and ranks classes, then
//! the transport encodes the answer. [`binary`] is the layout of tensors behind JSON. [`metadata`],
//! [`model_config`], [`statistics`], [`repository`] and [`settings`] serve the other calls.

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
