//! `grpc.health.v1`: the readiness of the server for load balancers that speak gRPC.
//!
//! Decision: every service is as ready as the server, so the state is read on each request and not
//! stored. A watcher sees a change within [`WATCH_PERIOD`].

use std::sync::Arc;
use std::time::Duration;

use contract::{Code, Error};
use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::generated::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::InferenceService;
use super::status::status;
use crate::context::Context;

/// Short compared with the seconds in which load balancers react.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// The health service, which reports the readiness of the server.
#[derive(Clone, Debug)]
pub(super) struct ReadinessHealth {
    ctx: Arc<Context>,
}

impl ReadinessHealth {
    pub(super) fn new(ctx: &Arc<Context>) -> Self {
        Self {
            ctx: Arc::clone(ctx),
        }
    }

    /// Returns the status of `service`; the empty name stands for the server.
    fn serving_status(&self, service: &str) -> ServingStatus {
        let known = <GrpcInferenceServiceServer<InferenceService> as NamedService>::NAME;
        if !service.is_empty() && service != known {
            return ServingStatus::ServiceUnknown;
        }
        match self.ctx.catalog.readiness().is_ready {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        }
    }
}

#[tonic::async_trait]
impl Health for ReadinessHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        match self.serving_status(service) {
            ServingStatus::ServiceUnknown => Err(status(&unknown_service(service))),
            known @ (ServingStatus::Unknown
            | ServingStatus::Serving
            | ServingStatus::NotServing) => Ok(Response::new(reply(known))),
        }
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watch = Watch {
            health: self.clone(),
            service: request.into_inner().service,
            ticks: tokio::time::interval(WATCH_PERIOD),
            last: None,
        };
        Ok(Response::new(stream::unfold(watch, Watch::next).boxed()))
    }
}

struct Watch {
    health: ReadinessHealth,
    service: String,
    ticks: tokio::time::Interval,
    last: Option<ServingStatus>,
}

impl Watch {
    /// Waits for a status other than the last one; the first tick comes at once.
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        loop {
            self.ticks.tick().await;
            let status = self.health.serving_status(&self.service);
            if self.last.replace(status) != Some(status) {
                return Some((Ok(reply(status)), self));
            }
        }
    }
}

fn reply(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

fn unknown_service(service: &str) -> Error {
    Error::new(
        Code::ModelNotFound,
        format!("service `{service}` is unknown; leave it empty for the whole server"),
    )
}
