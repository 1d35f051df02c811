//! Closed-loop load over gRPC: each connection sends the next unary `ModelInfer` when it has the
//! reply.
//!
//! Decision: the message is encoded once and replies are not decoded, so that the client takes
//! less of the cores that it shares with the server; the status of each call is checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_load::inference::ModelInferRequest;
use bench_load::inference::model_infer_request::InferInputTensor;
use bench_load::tally::Tally;
use bench_load::threads;
use bytes::{Buf, BufMut, Bytes};
use clap::Parser;
use prost::Message;
use tokio::time::Instant;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Sends one inference repeatedly, and prints the figures as one line of JSON.
#[derive(Debug, Clone, Parser)]
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
    /// Number of connections, each with one request in flight
    #[arg(long)]
    connections: usize,
    /// Number of threads that share the connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Time to send; 0 sends one request
    #[arg(long)]
    seconds: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let message = message(&arguments)?;
    let address = arguments.address;
    let tally = threads::run_threads(
        arguments.threads,
        arguments.connections,
        Duration::from_secs_f64(arguments.seconds),
        move |end| send(address, message.clone(), end),
    )?;
    println!("{}", tally.json());
    Ok(())
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

/// Sends requests on one connection, at least one, until the end; a failure ends the connection.
async fn send(address: SocketAddr, message: Bytes, end: Instant) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .connect()
        .await?;
    let mut client = tonic::client::Grpc::new(channel);
    let mut now = Instant::now();
    loop {
        client.ready().await?;
        let request = Request::new(message.clone());
        let method = PathAndQuery::from_static(METHOD);
        let result = client.unary(request, method, RawCodec).await;
        now = tally.record(now)?;
        if let Err(status) = result {
            tally.fail(&status.into());
            return Ok(tally);
        }
        if now >= end {
            return Ok(tally);
        }
    }
}

/// Codec that passes encoded messages through.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
