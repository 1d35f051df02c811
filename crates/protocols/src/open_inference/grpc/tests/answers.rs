//! Everything but inference over the wire: metadata, configuration, repository, settings.

use contract::Code;
use tonic::Request;
use tonic_prost::ProstCodec;

use super::*;
use crate::open_inference::grpc::generated::inference as wire;
use crate::open_inference::grpc::generated::inference::model_repository::model_repository_service_client::ModelRepositoryServiceClient;
use crate::open_inference::metadata::EXTENSIONS;
use crate::status::status as statuses;

/// A client, and its server, which stops when it is dropped.
async fn connected() -> (Fixture, Client) {
    let fixture = Fixture::start(Double::new(echo()));
    let client = fixture.client().await;
    (fixture, client)
}

#[tokio::test]
async fn the_server_is_live_and_as_ready_as_it_says() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    for is_ready in [true, false] {
        fixture.double.is_ready.store(is_ready, Ordering::SeqCst);
        let live = client
            .server_live(wire::ServerLiveRequest {})
            .await
            .unwrap();
        assert!(live.into_inner().live);
        let ready = client
            .server_ready(wire::ServerReadyRequest {})
            .await
            .unwrap();
        assert_eq!(ready.into_inner().ready, is_ready);
    }
}

#[tokio::test]
async fn a_known_model_is_ready_and_an_unknown_one_is_not() {
    let (_fixture, mut client) = connected().await;
    let request = |name: &str, version: &str| wire::ModelReadyRequest {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    for version in ["", "3"] {
        let response = client.model_ready(request("FP32", version)).await.unwrap();
        assert!(response.into_inner().ready, "{version:?}");
    }
    for (name, version) in [("no", ""), ("FP32", "9")] {
        let response = client.model_ready(request(name, version)).await.unwrap();
        assert!(!response.into_inner().ready, "{name} {version}");
    }
}

#[tokio::test]
async fn server_and_models_describe_themselves() {
    let (_fixture, mut client) = connected().await;
    let server = client
        .server_metadata(wire::ServerMetadataRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (server.name.as_str(), server.version.as_str()),
        ("lockgate", "1.2.3")
    );
    assert_eq!(server.extensions, EXTENSIONS);
    let request = wire::ModelMetadataRequest {
        name: "FP32".to_owned(),
        version: String::new(),
    };
    let model = client.model_metadata(request).await.unwrap().into_inner();
    assert_eq!(model.versions, ["3"]);
    assert_eq!(model.platform, "onnxruntime_onnx");
    assert_eq!(model.inputs[0].datatype, "FP32");
    assert_eq!(model.inputs[0].shape, [-1, -1]);
    assert_eq!(model.outputs[0].name, "y");
    assert!(model.properties.is_empty());
}

#[tokio::test]
async fn the_configuration_shows_how_a_model_is_batched() {
    let request = wire::ModelConfigRequest {
        name: "BYTES".to_owned(),
        version: "3".to_owned(),
    };
    let (_fixture, mut client) = connected().await;
    let response = client.model_config(request).await.unwrap().into_inner();
    let config = response.config.unwrap();
    assert_eq!(config.name, "BYTES");
    assert_eq!(config.max_batch_size, 8);
    assert_eq!(config.backend, "onnxruntime");
    assert_eq!(config.input[0].data_type(), wire::DataType::TypeString);
    assert_eq!(config.input[0].dims, [-1]);
    assert_eq!(config.output[0].name, "y");
    assert_eq!(config.instance_group[0].name, "BYTES_0");
    let Some(wire::model_config::SchedulingChoice::DynamicBatching(batching)) =
        config.scheduling_choice
    else {
        panic!("{config:?}");
    };
    assert_eq!(batching.preferred_batch_size, [4]);
}

#[tokio::test]
async fn statistics_are_of_one_model_or_of_all() {
    let (_fixture, mut client) = connected().await;
    let request = |name: &str| wire::ModelStatisticsRequest {
        name: name.to_owned(),
        version: String::new(),
    };
    let all = client
        .model_statistics(request(""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(all.model_stats.len(), ElementType::ALL.len());
    let one = client
        .model_statistics(request("FP32"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(one.model_stats[0].name, "FP32");
    assert_eq!(one.model_stats[0].version, "3");
    let stats = one.model_stats[0].inference_stats.as_ref().unwrap();
    assert_eq!(stats.cache_hit, Some(wire::StatisticDuration::default()));
    let status = client.model_statistics(request("no")).await.unwrap_err();
    assert_eq!(status.code(), statuses(Code::ModelNotFound).grpc);
}

#[tokio::test]
async fn the_index_has_a_row_for_every_version() {
    let (_fixture, mut client) = connected().await;
    let request = wire::RepositoryIndexRequest {
        ready: true,
        ..wire::RepositoryIndexRequest::default()
    };
    let index = client.repository_index(request).await.unwrap().into_inner();
    assert_eq!(index.models.len(), ElementType::ALL.len());
    let row = index.models.iter().find(|row| row.name == "FP64").unwrap();
    assert_eq!((row.version.as_str(), row.state.as_str()), ("3", "READY"));
}

#[tokio::test]
async fn models_are_loaded_by_either_field_and_either_service() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    let mut repository = ModelRepositoryServiceClient::new(fixture.channel().await);
    for (repository_name, model_name) in [("", "FP32"), ("FP32", "")] {
        let load = wire::RepositoryModelLoadRequest {
            repository_name: repository_name.to_owned(),
            model_name: model_name.to_owned(),
            ..wire::RepositoryModelLoadRequest::default()
        };
        let first = client
            .repository_model_load(load.clone())
            .await
            .unwrap()
            .into_inner();
        let second = repository
            .repository_model_load(load)
            .await
            .unwrap()
            .into_inner();
        for loaded in [first, second] {
            assert_eq!(
                (loaded.model_name.as_str(), loaded.is_loaded),
                ("FP32", true)
            );
        }
        let unload = wire::RepositoryModelUnloadRequest {
            repository_name: repository_name.to_owned(),
            model_name: model_name.to_owned(),
            ..wire::RepositoryModelUnloadRequest::default()
        };
        let unloaded = client
            .repository_model_unload(unload)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (unloaded.model_name.as_str(), unloaded.is_unloaded),
            ("FP32", true)
        );
    }
    let index = wire::RepositoryIndexRequest::default();
    let index = repository
        .repository_index(index)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(index.models.len(), ElementType::ALL.len());
}

#[tokio::test]
async fn loads_that_are_not_offered_are_refused() {
    use wire::model_repository_parameter::ParameterChoice;
    let (_fixture, mut client) = connected().await;
    let load = |repository: &str, model: &str, parameter: Option<(&str, ParameterChoice)>| {
        let parameter = parameter.map(|(name, choice)| {
            let value = wire::ModelRepositoryParameter {
                parameter_choice: Some(choice),
            };
            (name.to_owned(), value)
        });
        wire::RepositoryModelLoadRequest {
            repository_name: repository.to_owned(),
            model_name: model.to_owned(),
            parameters: parameter.into_iter().collect(),
        }
    };
    let file = (
        "file:1/model.onnx",
        ParameterChoice::BytesParam(Bytes::from_static(b"x")),
    );
    let config = ("config", ParameterChoice::StringParam("{}".to_owned()));
    let cases = [
        (load("", "no", None), Code::ModelNotFound),
        (load("", "", None), Code::InvalidRequest),
        (load("", "../x", None), Code::InvalidRequest),
        (load("other", "FP32", None), Code::Unsupported),
        (load("", "FP32", Some(file)), Code::Unsupported),
        (load("", "FP32", Some(config)), Code::Unsupported),
    ];
    let mut wrong = Vec::new();
    for (request, code) in cases {
        let result = client.repository_model_load(request.clone()).await;
        let got = result.err().map(|status| status.code());
        if got != Some(statuses(code).grpc) {
            wrong.push((request, code, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn settings_are_shown_and_only_harmless_changes_accepted() {
    use wire::log_settings_request::setting_value::ParameterChoice;
    let (_fixture, mut client) = connected().await;
    let trace = |level: &str| wire::TraceSettingRequest {
        settings: [(
            "trace_level".to_owned(),
            wire::trace_setting_request::SettingValue {
                value: vec![level.to_owned()],
            },
        )]
        .into(),
        ..wire::TraceSettingRequest::default()
    };
    let shown = client
        .trace_setting(trace("OFF"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.settings["trace_level"].value, ["OFF"]);
    assert_eq!(shown.settings["trace_rate"].value, ["1000"]);
    let status = client.trace_setting(trace("TIMESTAMPS")).await.unwrap_err();
    assert_eq!(status.code(), statuses(Code::Unsupported).grpc);
    let log = |value: bool| wire::LogSettingsRequest {
        settings: [(
            "log_info".to_owned(),
            wire::log_settings_request::SettingValue {
                parameter_choice: Some(ParameterChoice::BoolParam(value)),
            },
        )]
        .into(),
    };
    let shown = client.log_settings(log(true)).await.unwrap().into_inner();
    assert_eq!(shown.settings.len(), 6);
    let status = client.log_settings(log(false)).await.unwrap_err();
    assert_eq!(status.code(), statuses(Code::Unsupported).grpc);
}

#[tokio::test]
async fn shared_memory_has_an_empty_status_and_cannot_be_registered() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    let status =
        client.system_shared_memory_status(wire::SystemSharedMemoryStatusRequest::default());
    assert!(status.await.unwrap().into_inner().regions.is_empty());
    let status = client.cuda_shared_memory_status(wire::CudaSharedMemoryStatusRequest::default());
    assert!(status.await.unwrap().into_inner().regions.is_empty());
    for method in [
        "SystemSharedMemoryRegister",
        "SystemSharedMemoryUnregister",
        "CudaSharedMemoryRegister",
        "CudaSharedMemoryUnregister",
    ] {
        let mut grpc = tonic::client::Grpc::new(fixture.channel().await);
        grpc.ready().await.unwrap();
        let path = format!("/inference.GRPCInferenceService/{method}")
            .parse()
            .unwrap();
        let codec = ProstCodec::<wire::ServerLiveRequest, wire::ServerLiveResponse>::default();
        let message = Request::new(wire::ServerLiveRequest {});
        let status = grpc.unary(message, path, codec).await.unwrap_err();
        assert_eq!(status.code(), statuses(Code::Unsupported).grpc, "{method}");
        assert!(
            status.message().contains("shared memory"),
            "{method}: {status}"
        );
    }
}
