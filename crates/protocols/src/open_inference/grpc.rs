//! The gRPC side of the Open Inference Protocol: `inference.GRPCInferenceService` and related
//! services.
//!
//! Decision: gRPC services are routes like any other, so one port can serve them beside REST. One
//! [`frame`] surrounds all services; a method decodes, calls the same code as REST, and encodes.

mod attributes;
mod codec;
mod config;
mod contents;
mod decode;
mod early_admission;
mod encode;
mod frame;
mod framing;
pub(crate) mod generated;
mod health;
mod infer;
mod message_body;
mod parameter;
mod reflection;
mod repository;
mod service;
mod settings;
mod statistics;
mod status;
mod stream;
mod timeout_body;
mod unary;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use contract::Error;
use futures_util::future::BoxFuture;
use http::{Request, Uri};
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tower::{Service, ServiceExt};

use self::generated::DESCRIPTORS;
use self::generated::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use self::generated::inference::model_repository::model_repository_service_server::ModelRepositoryServiceServer;
use self::health::ReadinessHealth;
use self::reflection::Reflection;
use self::service::InferenceService;
use crate::context::{Context, Limits};
use crate::rest::RequestBody;

/// The name of this dialect in metrics.
const DIALECT: &str = "grpc";

/// The methods of reflection, which take the same messages.
const REFLECTION_V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const REFLECTION_V1ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// Returns the routes of all gRPC services. They have no fallback: other paths are left to others.
pub(crate) fn routes(ctx: &Arc<Context>) -> Router {
    let inference = inference_service(ctx);
    let service = InferenceService::new(Arc::clone(ctx));
    let repository = ModelRepositoryServiceServer::new(service)
        .max_decoding_message_size(ctx.limits.body_bytes)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate);
    let health = tonic_health::pb::health_server::HealthServer::new(ReadinessHealth::new(ctx));
    let router = mount(Router::new(), inference);
    let router = mount(router, repository);
    let router = mount(router, health);
    with_reflection(router, &ctx.limits)
        .route_layer(from_fn_with_state(Arc::clone(ctx), frame::layer))
}

fn inference_service(ctx: &Arc<Context>) -> GrpcInferenceServiceServer<InferenceService> {
    GrpcInferenceServiceServer::new(InferenceService::new(Arc::clone(ctx)))
        .max_decoding_message_size(ctx.limits.body_bytes)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
}

/// The inference service for calls that bypass the router.
#[derive(Clone, Debug)]
pub(crate) struct GrpcInference {
    ctx: Arc<Context>,
    service: GrpcInferenceServiceServer<InferenceService>,
}

impl GrpcInference {
    pub(crate) fn new(ctx: &Arc<Context>) -> Self {
        Self {
            ctx: Arc::clone(ctx),
            service: inference_service(ctx),
        }
    }

    /// Handles `ModelInfer`.
    pub(crate) fn model_infer<B>(&self, request: Request<B>) -> BoxFuture<'static, Response>
    where
        B: RequestBody,
        B::Error: Into<BoxError>,
    {
        let (ctx, service) = (Arc::clone(&self.ctx), self.service.clone());
        let run = move |call_info, request| unary::run(ctx, service, call_info, request);
        Box::pin(frame::with_frame(Arc::clone(&self.ctx), request, run))
    }
}

/// Replies with an error without reading a message.
pub(crate) async fn refuse<B>(
    ctx: Arc<Context>,
    mut request: Request<B>,
    error: Error,
) -> Response {
    // A malformed one would be an error of its own.
    request.headers_mut().remove(frame::TIMEOUT_KEY);
    let run = |call_info, _| async move { status::failure(&call_info, &error).into_http() };
    frame::with_frame(ctx, request, run).await
}

fn mount<S>(router: Router, service: S) -> Router
where
    S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    router.route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

fn with_reflection(router: Router, limits: &Limits) -> Router {
    let descriptor_sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    match Reflection::new(&descriptor_sets, limits) {
        Ok(reflection) => {
            let v1 = ServerReflectionServer::new(reflection)
                .max_decoding_message_size(limits.body_bytes);
            let v1alpha = v1.clone().map_request(|mut request: Request<Body>| {
                *request.uri_mut() = Uri::from_static(REFLECTION_V1);
                request
            });
            mount(router, v1).route_service(REFLECTION_V1ALPHA, v1alpha)
        }
        Err(error) => {
            unreachable!("the descriptors are constants that every test decodes: {error}")
        }
    }
}

#[cfg(test)]
mod tests;
