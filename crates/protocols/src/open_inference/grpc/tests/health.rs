//! Health checks and reflection over the wire.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tokio_stream::StreamExt;
use tonic::Code as Grpc;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb;
use tower::ServiceExt;

use super::*;
use crate::open_inference::grpc::routes;

const SERVICE: &str = "inference.GRPCInferenceService";

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn the_health_of_every_known_service_is_the_readiness_of_the_server() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = HealthClient::new(fixture.channel().await);
    for (is_ready, expected) in [
        (true, ServingStatus::Serving),
        (false, ServingStatus::NotServing),
    ] {
        fixture.double.is_ready.store(is_ready, Ordering::SeqCst);
        for service in ["", SERVICE] {
            let response = client.check(of(service)).await.unwrap().into_inner();
            assert_eq!(response.status(), expected, "{service:?}");
        }
    }
    let status = client.check(of("other")).await.unwrap_err();
    assert_eq!(status.code(), Grpc::NotFound);
}

#[tokio::test]
async fn a_watcher_gets_the_status_at_once_and_every_change() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = HealthClient::new(fixture.channel().await);
    let mut watch = client.watch(of("")).await.unwrap().into_inner();
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    fixture.double.is_ready.store(false, Ordering::SeqCst);
    let second = watch.next().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
    let mut unknown = client.watch(of("other")).await.unwrap().into_inner();
    let first = unknown.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn both_versions_of_reflection_list_the_services() {
    let fixture = Fixture::start(Double::new(echo()));
    let expected = [
        SERVICE,
        "inference.model_repository.ModelRepositoryService",
        "grpc.health.v1.Health",
    ];
    let (v1, v1alpha) = (
        services_v1(&fixture).await,
        services_v1alpha(&fixture).await,
    );
    for service in expected {
        assert!(
            v1.iter().any(|known| known == service),
            "{service} in {v1:?}"
        );
        assert!(
            v1alpha.iter().any(|known| known == service),
            "{service} in {v1alpha:?}"
        );
    }
}

async fn services_v1(fixture: &Fixture) -> Vec<String> {
    use pb::v1::server_reflection_client::ServerReflectionClient;
    use pb::v1::server_reflection_request::MessageRequest;
    use pb::v1::server_reflection_response::MessageResponse;
    let request = pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(fixture.channel().await);
    let requests = tokio_stream::iter([request]);
    let response = client.server_reflection_info(requests).await.unwrap();
    let message = response.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message.message_response else {
        panic!("no list of services");
    };
    list.service
        .into_iter()
        .map(|service| service.name)
        .collect()
}

async fn services_v1alpha(fixture: &Fixture) -> Vec<String> {
    use pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use pb::v1alpha::server_reflection_request::MessageRequest;
    use pb::v1alpha::server_reflection_response::MessageResponse;
    let request = pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(fixture.channel().await);
    let requests = tokio_stream::iter([request]);
    let response = client.server_reflection_info(requests).await.unwrap();
    let message = response.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message.message_response else {
        panic!("no list of services");
    };
    list.service
        .into_iter()
        .map(|service| service.name)
        .collect()
}

#[tokio::test]
async fn reflection_of_unknown_names_keeps_the_stream() {
    use pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use pb::v1alpha::server_reflection_request::MessageRequest;
    use pb::v1alpha::server_reflection_response::MessageResponse;
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.to_owned());
    let asked = [
        Some(symbol(&"none.Such".repeat(10_000))),
        Some(MessageRequest::FileByFilename("none.proto".to_owned())),
        None,
        Some(symbol("inference.GRPCInferenceService.ModelInfer")),
        Some(symbol("inference.ModelInferRequest.InferInputTensor")),
    ];
    let requests = asked.map(|message_request| pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request,
    });
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = ServerReflectionClient::new(fixture.channel().await);
    let response = client.server_reflection_info(tokio_stream::iter(requests));
    let replies: Vec<_> = response.await.unwrap().into_inner().collect().await;
    let shown: Vec<_> = replies
        .into_iter()
        .map(|reply| match reply.unwrap().message_response.unwrap() {
            MessageResponse::ErrorResponse(error) => {
                assert!(error.error_message.len() < 400, "{}", error.error_message);
                error.error_code
            }
            MessageResponse::FileDescriptorResponse(file) => {
                assert_eq!(file.file_descriptor_proto.len(), 1);
                0
            }
            other @ (MessageResponse::AllExtensionNumbersResponse(_)
            | MessageResponse::ListServicesResponse(_)) => panic!("{other:?}"),
        })
        .collect();
    let (not_found, invalid) = (tonic::Code::NotFound, tonic::Code::InvalidArgument);
    let expected = [not_found.into(), not_found.into(), invalid.into(), 0, 0];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_malformed_message_is_a_mistake_of_the_client_for_every_service() {
    let fixture = Fixture::start(Double::new(echo()));
    let methods = [
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "grpc.health.v1.Health/Check",
        "inference.GRPCInferenceService/ModelStreamInfer",
        "inference.GRPCInferenceService/RepositoryIndex",
        "inference.model_repository.ModelRepositoryService/RepositoryIndex",
    ];
    for method in methods {
        // A field that claims more bytes than follow.
        let body = Body::from(&b"\0\0\0\0\x02\x0a\x05"[..]);
        let request = Request::post(format!("/{method}"))
            .header("content-type", "application/grpc")
            .body(body);
        let reply = routes(&fixture.ctx)
            .oneshot(request.unwrap())
            .await
            .unwrap();
        let headers = reply.headers().clone();
        let body = reply.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = trailers.get("grpc-status").or(headers.get("grpc-status"));
        assert_eq!(status.unwrap(), "3", "{method}: {headers:?} {trailers:?}");
    }
}
