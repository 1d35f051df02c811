//! Failures over the wire: status, stable code and text.

use std::time::Duration;

use contract::{AdmissionLevel, Code, Error};
use tonic::codec::CompressionEncoding;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::*;
use crate::open_inference::grpc::generated::inference::infer_parameter::ParameterChoice;
use crate::open_inference::grpc::generated::inference::model_infer_request::InferRequestedOutputTensor;
use crate::open_inference::grpc::generated::inference::{
    InferParameter, ModelInferResponse, ServerLiveResponse,
};
use crate::status::status as statuses;

fn code_of(status: &Status) -> &str {
    let code = status.metadata().get("x-lockgate-code");
    code.map_or("", |code| code.to_str().unwrap())
}

/// Returns the mistake in a `status` that should be `code` with a text that contains `words`.
fn complaint(status: &Status, code: Code, words: &str) -> Option<String> {
    let is_right = code_of(status) == code.as_str()
        && status.code() == statuses(code).grpc
        && status.message().contains(words);
    (!is_right).then(|| format!("expected {code} and {words:?}, got {status:?}"))
}

fn changed(change: impl FnOnce(&mut ModelInferRequest)) -> ModelInferRequest {
    let mut request = good_request();
    change(&mut request);
    request
}

fn with_parameter(name: &str, choice: Option<ParameterChoice>) -> ModelInferRequest {
    let value = InferParameter {
        parameter_choice: choice,
    };
    changed(|request| {
        request.parameters.insert(name.to_owned(), value);
    })
}

fn with_output(names: &[&str]) -> ModelInferRequest {
    let output = |name: &&str| InferRequestedOutputTensor {
        name: (*name).to_owned(),
        ..InferRequestedOutputTensor::default()
    };
    changed(|request| request.outputs = names.iter().map(output).collect())
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn wrong_requests() -> Vec<(ModelInferRequest, Code, &'static str)> {
    use Code::{InvalidRequest as Invalid, ModelNotFound, Unsupported, VersionNotFound};
    let region = InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam("r".to_owned())),
    };
    vec![
        (
            changed(|r| r.model_name = "no".to_owned()),
            ModelNotFound,
            "unknown model",
        ),
        (
            changed(|r| r.model_name.clear()),
            Invalid,
            "a model name has 1 to 255 bytes",
        ),
        (
            changed(|r| r.model_version = "9".to_owned()),
            VersionNotFound,
            "is not found",
        ),
        (
            changed(|r| r.inputs.clear()),
            Invalid,
            "one buffer per input: expected 0, got 1",
        ),
        (
            changed(|r| r.raw_input_contents.push(Bytes::new())),
            Invalid,
            "one buffer per input: expected 1, got 2",
        ),
        (
            changed(|r| r.raw_input_contents.clear()),
            Invalid,
            "input `x`: shape [1, 2] has 2 elements, got 0 in `uint_contents`",
        ),
        (
            changed(|r| r.inputs[0].contents = Some(InferTensorContents::default())),
            Invalid,
            "input `x`: `contents` must be left out",
        ),
        (
            changed(|r| r.inputs[0].datatype = "FLOAT".to_owned()),
            Invalid,
            "`FLOAT` is unknown",
        ),
        (
            changed(|r| r.inputs[0].datatype = "INT8".to_owned()),
            Invalid,
            "but the model expects UINT8",
        ),
        (
            changed(|r| r.inputs[0].shape = vec![1, -2]),
            Invalid,
            "Unable to parse 'shape'",
        ),
        (
            changed(|r| r.inputs[0].shape = vec![1, 3]),
            Invalid,
            "needs 3 bytes, got 2",
        ),
        (
            changed(|r| r.inputs[0].shape = vec![2]),
            Invalid,
            "expected shape [-1, -1], got [2]",
        ),
        (
            changed(|r| r.inputs[0].name = "z".to_owned()),
            Invalid,
            "unexpected inference input `z`",
        ),
        (
            changed(|r| {
                r.inputs.push(r.inputs[0].clone());
                r.raw_input_contents.push(r.raw_input_contents[0].clone());
            }),
            Invalid,
            "input `x` already exists in request",
        ),
        (
            changed(|r| {
                r.inputs[0]
                    .parameters
                    .insert("shared_memory_region".to_owned(), region);
            }),
            Unsupported,
            "shared memory",
        ),
        (
            with_output(&["z"]),
            Invalid,
            "unexpected inference output `z`",
        ),
        (
            with_output(&["y", "y"]),
            Invalid,
            "already exists in request",
        ),
        (
            with_parameter("p", None),
            Invalid,
            "parameter `p` has no value",
        ),
        (
            with_parameter("timeout", Some(ParameterChoice::BoolParam(true))),
            Invalid,
            "`timeout`",
        ),
        (
            with_parameter("triton_x", Some(ParameterChoice::BoolParam(true))),
            Invalid,
            "reserved",
        ),
        (
            with_parameter(
                "triton_enable_empty_final_response",
                Some(ParameterChoice::Int64Param(1)),
            ),
            Invalid,
            "expected `true` or `false`",
        ),
    ]
}

#[tokio::test]
async fn mistakes_have_a_status_code_and_a_message() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    let mut wrong = Vec::new();
    for (request, code, words) in wrong_requests() {
        match client.model_infer(request).await {
            Ok(response) => wrong.push(format!("expected {code}, got {response:?}")),
            Err(status) => wrong.extend(complaint(&status, code, words)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(fixture.calls().len(), wrong_requests().len());
    assert_eq!(fixture.calls()[0], "Some(ModelNotFound)");
}

#[tokio::test]
async fn failures_of_the_server_have_the_statuses_of_the_table() {
    for code in Code::ALL {
        let error = Error::new(code, "why")
            .with_retry_after(Duration::from_secs(2))
            .with_admission_level(AdmissionLevel::Closed);
        let fixture = Fixture::start(Double::new(echo().failing(error)));
        let status = fixture
            .client()
            .await
            .model_infer(good_request())
            .await
            .unwrap_err();
        assert_eq!(complaint(&status, code, "why"), None);
        assert_eq!(
            status.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "2000"
        );
        let level = status.metadata().get("x-lockgate-admission-level");
        assert_eq!(level.unwrap(), "-1");
        assert!(status.metadata().contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_the_limit() {
    let fixture = Fixture::with_body_bytes(1000);
    let zeros = raw_request(ElementType::U8, &[1, 2000], vec![0; 2000].into());
    let plain = fixture.client().await;
    let compressed = fixture
        .client()
        .await
        .send_compressed(CompressionEncoding::Gzip);
    for mut client in [plain, compressed] {
        let status = client.model_infer(zeros.clone()).await.unwrap_err();
        assert_eq!(
            complaint(
                &status,
                Code::PayloadTooLarge,
                "over the limit of 1000 bytes (`max_body_bytes`)"
            ),
            None
        );
        assert!(client.model_infer(good_request()).await.is_ok());
    }
    assert_eq!(fixture.calls()[0], "Some(PayloadTooLarge)");
}

#[tokio::test]
async fn a_message_that_is_none_is_a_mistake_of_the_caller() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut grpc = tonic::client::Grpc::new(fixture.channel().await);
    grpc.ready().await.unwrap();
    // Field 1 is a boolean here and the name of the model there.
    let message = Request::new(ServerLiveResponse { live: true });
    let path = "/inference.GRPCInferenceService/ModelInfer"
        .parse()
        .unwrap();
    let codec = ProstCodec::<ServerLiveResponse, ModelInferResponse>::default();
    let status = grpc.unary(message, path, codec).await.unwrap_err();
    assert_eq!(
        complaint(
            &status,
            Code::InvalidRequest,
            "ModelInferRequest.model_name"
        ),
        None
    );
}

#[tokio::test]
async fn a_message_that_does_not_arrive_in_time_is_given_up() {
    let limits = Limits {
        body_timeout: Duration::from_millis(20),
        ..Limits::default()
    };
    let fixture = Fixture::with_limits(Double::new(echo()), limits);
    let mut grpc = tonic::client::Grpc::new(fixture.channel().await);
    grpc.ready().await.unwrap();
    let never = Request::new(tokio_stream::pending::<ModelInferRequest>());
    let path = "/inference.GRPCInferenceService/ModelInfer"
        .parse()
        .unwrap();
    let codec = ProstCodec::<ModelInferRequest, ModelInferResponse>::default();
    let status = grpc.client_streaming(never, path, codec).await.unwrap_err();
    let words = "did not arrive within 0.02 seconds";
    assert_eq!(complaint(&status, Code::RequestTimeout, words), None);
    assert_eq!(fixture.calls(), ["Some(RequestTimeout)"]);
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_not_offered() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut grpc = tonic::client::Grpc::new(fixture.channel().await);
    grpc.ready().await.unwrap();
    let message = Request::new(ServerLiveResponse { live: true });
    let path = "/inference.GRPCInferenceService/Nothing".parse().unwrap();
    let codec = ProstCodec::<ServerLiveResponse, ModelInferResponse>::default();
    let status = grpc.unary(message, path, codec).await.unwrap_err();
    let words = "no route has the path `/inference.GRPCInferenceService/Nothing`";
    assert_eq!(complaint(&status, Code::RouteNotFound, words), None);
}

#[tokio::test]
async fn an_unknown_compression_is_refused_with_those_that_are_read() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut request = Request::new(good_request());
    let metadata = request.metadata_mut();
    metadata.insert("grpc-encoding", "snappy".parse().unwrap());
    let status = fixture
        .client()
        .await
        .model_infer(request)
        .await
        .unwrap_err();
    assert_eq!(complaint(&status, Code::Unsupported, "snappy"), None);
    let known = status.metadata().get("grpc-accept-encoding").unwrap();
    assert_eq!(known, "gzip,deflate,identity");
}

#[tokio::test]
async fn a_malformed_deadline_is_refused() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut request = Request::new(good_request());
    request
        .metadata_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    let status = fixture
        .client()
        .await
        .model_infer(request)
        .await
        .unwrap_err();
    assert_eq!(
        complaint(&status, Code::InvalidRequest, "`grpc-timeout`"),
        None
    );
}

#[tokio::test]
async fn a_panic_fails_one_call_and_not_the_connection() {
    let double = Double {
        behaviour: Behaviour::Panic,
        ..Double::new(echo())
    };
    let fixture = Fixture::start(double);
    let mut client = fixture.client().await;
    let panics = with_parameter("p", Some(ParameterChoice::BoolParam(true)));
    let status = client.model_infer(panics).await.unwrap_err();
    assert_eq!(complaint(&status, Code::Internal, "its log says why"), None);
    assert!(client.model_infer(good_request()).await.is_ok());
    assert_eq!(fixture.calls(), ["Some(Internal)", "None"]);
}
