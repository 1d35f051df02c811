//! A raw gRPC echo: tonic decodes a `ModelInfer` request and answers a fixed reply.
//!
//! Decision: the plain service that tonic generates, with one worker per core; the reply is that
//! of the network that reads digits, with its two outputs as raw bytes.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bench_load::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use bench_load::inference::model_infer_response::InferOutputTensor;
use bench_load::inference::{ModelInferRequest, ModelInferResponse};
use bytes::Bytes;
use clap::Parser;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// Answers every request with the same message.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port on the loopback interface
    #[arg(long)]
    port: u16,
    /// Number of threads
    #[arg(long)]
    workers: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let service = GrpcInferenceServiceServer::new(Echo);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.workers)
        .enable_all()
        .build()
        .context("cannot start the threads")?
        .block_on(async {
            Server::builder()
                .add_service(service)
                .serve((Ipv4Addr::LOCALHOST, arguments.port).into())
                .await
        })
        .context("cannot serve")
}

struct Echo;

#[tonic::async_trait]
impl GrpcInferenceService for Echo {
    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(ModelInferResponse {
            model_name: request.model_name,
            model_version: "2".to_owned(),
            id: request.id,
            outputs: vec![
                output("label", "INT64", &[1]),
                output("probabilities", "FP32", &[1, 10]),
            ],
            raw_output_contents: vec![Bytes::from_static(&[0; 8]), Bytes::from_static(&[0; 40])],
            ..ModelInferResponse::default()
        }))
    }
}

fn output(name: &str, datatype: &str, shape: &[i64]) -> InferOutputTensor {
    InferOutputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferOutputTensor::default()
    }
}
