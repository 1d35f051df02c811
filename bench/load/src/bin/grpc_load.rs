//! Closed-loop load over gRPC: each connection sends the next `ModelInfer` request when it has the
//! reply.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bench_load::arguments::Load;
use bench_load::inference::ModelInferRequest;
use bench_load::inference::model_infer_request::InferInputTensor;
use bytes::Bytes;
use clap::Parser;
use loadtest::generator::grpc::Client;
use prost::Message;

const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Sends one inference repeatedly, and prints the figures as one line of JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of the server
    #[arg(long)]
    address: SocketAddr,
    /// Name of the model
    #[arg(long)]
    model: String,
    /// Name of the only input, of the element type FP32
    #[arg(long)]
    input: String,
    /// Shape of the input
    #[arg(long, value_delimiter = ',')]
    shape: Vec<i64>,
    /// File with the elements of the input
    #[arg(long)]
    body: PathBuf,
    #[command(flatten)]
    load: Load,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let message = message(&arguments)?;
    let connect = || Client::connect(arguments.address, METHOD, message.clone());
    arguments.load.run(connect)
}

fn message(arguments: &Arguments) -> Result<Bytes> {
    let body = std::fs::read(&arguments.body)
        .with_context(|| format!("cannot read {}", arguments.body.display()))?;
    let request = ModelInferRequest {
        model_name: arguments.model.clone(),
        inputs: vec![InferInputTensor {
            name: arguments.input.clone(),
            datatype: "FP32".to_owned(),
            shape: arguments.shape.clone(),
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![body.into()],
        ..ModelInferRequest::default()
    };
    Ok(request.encode_to_vec().into())
}
