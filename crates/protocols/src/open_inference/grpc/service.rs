//! The methods of the gRPC services: decode the message, call the same code as REST, encode the
//! answer.
//!
//! Decision: one type implements both services, which share their messages.

use std::future::Future;
use std::sync::Arc;

use contract::{Code, Error, Result, VersionSelector};
use http::{Extensions, HeaderMap};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::early_admission::target;
use super::frame::{CountedPerMessage, keep_for_log};
use super::generated::inference as wire;
use super::generated::inference::grpc_inference_service_server::GrpcInferenceService;
use super::generated::inference::model_repository::model_repository_service_server::ModelRepositoryService;
use super::infer::{InferenceResult, infer};
use super::repository::{ControlRequest, apply, list};
use super::status::{failure, status};
use super::stream::{Requests, ResponseStream, STATUS_KEY, infer_stream};
use super::{config, settings, statistics};
use crate::attributes::insert_served_by;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::open_inference::inference::CallInfo;
use crate::open_inference::metadata::{
    EXTENSIONS, SERVER_NAME, TensorMetadata, model_metadata, not_ready_reason,
};
use crate::open_inference::model_config::model_config;
use crate::open_inference::parameters::shared_memory;
use crate::open_inference::repository::Action;
use crate::open_inference::statistics::statistics as version_statistics;
use crate::phase::ListenerPhase;

/// Codes of models and versions that do not exist, which are not ready.
const UNKNOWN: [Code; 2] = [Code::ModelNotFound, Code::VersionNotFound];

type RpcResult<T> = std::result::Result<Response<T>, Status>;

/// The service with the methods of all inference services.
#[derive(Clone, Debug)]
pub(super) struct InferenceService {
    ctx: Arc<Context>,
}

impl InferenceService {
    pub(super) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    fn metadata(
        &self,
        request: &wire::ModelMetadataRequest,
    ) -> Result<wire::ModelMetadataResponse> {
        let (name, version) = target(&request.name, &request.version)?;
        let metadata = model_metadata(&self.ctx, &name, &version)?;
        let tensor = |tensor: TensorMetadata| wire::model_metadata_response::TensorMetadata {
            name: tensor.name,
            datatype: tensor.datatype.to_owned(),
            shape: tensor.shape,
        };
        Ok(wire::ModelMetadataResponse {
            name: metadata.name,
            versions: metadata.versions,
            platform: metadata.platform,
            inputs: metadata.inputs.into_iter().map(tensor).collect(),
            outputs: metadata.outputs.into_iter().map(tensor).collect(),
            ..wire::ModelMetadataResponse::default()
        })
    }

    fn statistics(
        &self,
        request: &wire::ModelStatisticsRequest,
    ) -> Result<wire::ModelStatisticsResponse> {
        let list = match request.name.as_str() {
            "" => version_statistics(&self.ctx, None, &VersionSelector::Latest)?,
            name => {
                let (name, version) = target(name, &request.version)?;
                version_statistics(&self.ctx, Some(&name), &version)?
            }
        };
        Ok(wire::ModelStatisticsResponse {
            model_stats: list.iter().map(statistics::model_statistics).collect(),
        })
    }
}

/// Returns the answer with the version and arm that answered in its metadata.
fn into_response(mut inference_result: InferenceResult) -> Response<wire::ModelInferResponse> {
    let served_by = std::mem::take(&mut inference_result.served_by);
    let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::default());
    keep_for_log(&served_by, &mut extensions);
    insert_served_by(served_by, &mut headers);
    let metadata = MetadataMap::from_headers(headers);
    let n_bytes = output_bytes(&inference_result.response);
    let message = offload(n_bytes, || inference_result.into_message());
    Response::from_parts(metadata, message, extensions)
}

/// Returns the call information from the frame.
fn call_info<M>(request: &Request<M>) -> std::result::Result<CallInfo, Status> {
    let call_info = request.extensions().get::<CallInfo>().cloned();
    call_info.ok_or_else(|| status(&Error::internal("call bypassed the frame")))
}

fn run_handler<M, R>(request: Request<M>, work: impl FnOnce(M) -> Result<R>) -> RpcResult<R> {
    let call_info = call_info(&request)?;
    work(request.into_inner())
        .map(Response::new)
        .map_err(|error| failure(&call_info, &error))
}

async fn run_async<M, R, F>(
    request: Request<M>,
    work: impl FnOnce(CallInfo, M) -> F,
) -> RpcResult<R>
where
    F: Future<Output = Result<R>>,
{
    let call_info = call_info(&request)?;
    work(call_info.clone(), request.into_inner())
        .await
        .map(Response::new)
        .map_err(|error| failure(&call_info, &error))
}

fn no_shared_memory<M, R>(request: Request<M>) -> RpcResult<R> {
    run_handler(request, |_| Err(shared_memory()))
}

#[tonic::async_trait]
impl GrpcInferenceService for InferenceService {
    async fn server_live(
        &self,
        request: Request<wire::ServerLiveRequest>,
    ) -> RpcResult<wire::ServerLiveResponse> {
        run_handler(request, |_| Ok(wire::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        request: Request<wire::ServerReadyRequest>,
    ) -> RpcResult<wire::ServerReadyResponse> {
        let ready = self.ctx.catalog.readiness().is_ready;
        run_handler(request, |_| Ok(wire::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<wire::ModelReadyRequest>,
    ) -> RpcResult<wire::ModelReadyResponse> {
        run_handler(request, |request| {
            let (name, version) = target(&request.name, &request.version)?;
            let ready = match not_ready_reason(&self.ctx, &name, &version) {
                Ok(reason) => reason.is_none(),
                Err(error) if UNKNOWN.contains(&error.code()) => false,
                Err(error) => return Err(error),
            };
            Ok(wire::ModelReadyResponse { ready })
        })
    }

    async fn server_metadata(
        &self,
        request: Request<wire::ServerMetadataRequest>,
    ) -> RpcResult<wire::ServerMetadataResponse> {
        run_handler(request, |_| {
            Ok(wire::ServerMetadataResponse {
                name: SERVER_NAME.to_owned(),
                version: self.ctx.server.version.clone(),
                extensions: EXTENSIONS.map(str::to_owned).to_vec(),
            })
        })
    }

    async fn model_metadata(
        &self,
        request: Request<wire::ModelMetadataRequest>,
    ) -> RpcResult<wire::ModelMetadataResponse> {
        run_handler(request, |request| self.metadata(&request))
    }

    async fn model_infer(
        &self,
        request: Request<wire::ModelInferRequest>,
    ) -> RpcResult<wire::ModelInferResponse> {
        let call_info = call_info(&request)?;
        let (metadata, _, message) = request.into_parts();
        infer(&self.ctx, metadata.as_ref(), call_info.clone(), message)
            .await
            .map(into_response)
            .map_err(|error| failure(&call_info, &error))
    }

    type ModelStreamInferStream = ResponseStream;

    async fn model_stream_infer(
        &self,
        request: Request<tonic::Streaming<wire::ModelInferRequest>>,
    ) -> RpcResult<ResponseStream> {
        let requested_status = request.metadata().get(STATUS_KEY);
        let requests = Requests {
            is_status_wanted: requested_status.is_some_and(|value| value.as_bytes() == b"true"),
            call_info: call_info(&request)?,
            metadata: Arc::new(request.metadata().clone()),
            phase: request.extensions().get::<ListenerPhase>().cloned(),
            messages: request.into_inner(),
        };
        let mut response = Response::new(infer_stream(Arc::clone(&self.ctx), requests));
        response.extensions_mut().insert(CountedPerMessage);
        Ok(response)
    }

    async fn model_config(
        &self,
        request: Request<wire::ModelConfigRequest>,
    ) -> RpcResult<wire::ModelConfigResponse> {
        run_handler(request, |request| {
            let (name, version) = target(&request.name, &request.version)?;
            let config = model_config(&self.ctx, &name, &version)?;
            Ok(wire::ModelConfigResponse {
                config: Some(config::model_config(config)),
            })
        })
    }

    async fn model_statistics(
        &self,
        request: Request<wire::ModelStatisticsRequest>,
    ) -> RpcResult<wire::ModelStatisticsResponse> {
        run_handler(request, |request| self.statistics(&request))
    }

    async fn repository_index(
        &self,
        request: Request<wire::RepositoryIndexRequest>,
    ) -> RpcResult<wire::RepositoryIndexResponse> {
        run_handler(request, |request| Ok(list(&self.ctx, &request)))
    }

    async fn repository_model_load(
        &self,
        request: Request<wire::RepositoryModelLoadRequest>,
    ) -> RpcResult<wire::RepositoryModelLoadResponse> {
        run_async(request, async |_, request| {
            let order = ControlRequest {
                action: Action::Load,
                repository_name: request.repository_name,
                model_name: request.model_name,
                parameters: request.parameters,
            };
            Ok(wire::RepositoryModelLoadResponse {
                model_name: apply(&self.ctx, order).await?,
                is_loaded: true,
            })
        })
        .await
    }

    async fn repository_model_unload(
        &self,
        request: Request<wire::RepositoryModelUnloadRequest>,
    ) -> RpcResult<wire::RepositoryModelUnloadResponse> {
        run_async(request, async |_, request| {
            let order = ControlRequest {
                action: Action::Unload,
                repository_name: request.repository_name,
                model_name: request.model_name,
                parameters: request.parameters,
            };
            Ok(wire::RepositoryModelUnloadResponse {
                model_name: apply(&self.ctx, order).await?,
                is_unloaded: true,
            })
        })
        .await
    }

    async fn system_shared_memory_status(
        &self,
        request: Request<wire::SystemSharedMemoryStatusRequest>,
    ) -> RpcResult<wire::SystemSharedMemoryStatusResponse> {
        run_handler(request, |_| {
            Ok(wire::SystemSharedMemoryStatusResponse::default())
        })
    }

    async fn system_shared_memory_register(
        &self,
        request: Request<wire::SystemSharedMemoryRegisterRequest>,
    ) -> RpcResult<wire::SystemSharedMemoryRegisterResponse> {
        no_shared_memory(request)
    }

    async fn system_shared_memory_unregister(
        &self,
        request: Request<wire::SystemSharedMemoryUnregisterRequest>,
    ) -> RpcResult<wire::SystemSharedMemoryUnregisterResponse> {
        no_shared_memory(request)
    }

    async fn cuda_shared_memory_status(
        &self,
        request: Request<wire::CudaSharedMemoryStatusRequest>,
    ) -> RpcResult<wire::CudaSharedMemoryStatusResponse> {
        run_handler(request, |_| {
            Ok(wire::CudaSharedMemoryStatusResponse::default())
        })
    }

    async fn cuda_shared_memory_register(
        &self,
        request: Request<wire::CudaSharedMemoryRegisterRequest>,
    ) -> RpcResult<wire::CudaSharedMemoryRegisterResponse> {
        no_shared_memory(request)
    }

    async fn cuda_shared_memory_unregister(
        &self,
        request: Request<wire::CudaSharedMemoryUnregisterRequest>,
    ) -> RpcResult<wire::CudaSharedMemoryUnregisterResponse> {
        no_shared_memory(request)
    }

    async fn trace_setting(
        &self,
        request: Request<wire::TraceSettingRequest>,
    ) -> RpcResult<wire::TraceSettingResponse> {
        run_handler(request, |request| settings::trace(&self.ctx, request))
    }

    async fn log_settings(
        &self,
        request: Request<wire::LogSettingsRequest>,
    ) -> RpcResult<wire::LogSettingsResponse> {
        run_handler(request, settings::log)
    }
}

#[tonic::async_trait]
impl ModelRepositoryService for InferenceService {
    async fn repository_index(
        &self,
        request: Request<wire::RepositoryIndexRequest>,
    ) -> RpcResult<wire::RepositoryIndexResponse> {
        GrpcInferenceService::repository_index(self, request).await
    }

    async fn repository_model_load(
        &self,
        request: Request<wire::RepositoryModelLoadRequest>,
    ) -> RpcResult<wire::RepositoryModelLoadResponse> {
        GrpcInferenceService::repository_model_load(self, request).await
    }

    async fn repository_model_unload(
        &self,
        request: Request<wire::RepositoryModelUnloadRequest>,
    ) -> RpcResult<wire::RepositoryModelUnloadResponse> {
        GrpcInferenceService::repository_model_unload(self, request).await
    }
}
