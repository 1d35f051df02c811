//! `ModelStreamInfer` over the wire.

use std::time::Duration;

use async_compression::tokio::bufread::GzipEncoder;
use axum::body::Body;
use contract::Code;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body_util::BodyExt;
use prost::Message;
use tokio::io::AsyncReadExt;
use tonic::{Request, Status};
use tower::ServiceExt;

use super::*;
use crate::open_inference::grpc::generated::inference::infer_parameter::ParameterChoice;
use crate::open_inference::grpc::generated::inference::{InferParameter, ModelStreamInferResponse};
use crate::status::status as statuses;
use crate::testing;

fn numbered(id: usize) -> ModelInferRequest {
    ModelInferRequest {
        id: id.to_string(),
        ..good_request()
    }
}

fn wrong(id: usize) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "no".to_owned(),
        ..numbered(id)
    }
}

/// The answers by id, and how the stream ended.
async fn all(
    fixture: &Fixture,
    requests: Vec<ModelInferRequest>,
    metadata: &[(&'static str, &'static str)],
) -> (Vec<ModelStreamInferResponse>, Option<Status>) {
    let mut request = Request::new(tokio_stream::iter(requests));
    for (key, value) in metadata {
        request.metadata_mut().insert(*key, value.parse().unwrap());
    }
    let mut client = fixture.client().await;
    let mut stream = client
        .model_stream_infer(request)
        .await
        .unwrap()
        .into_inner();
    let mut answers = Vec::new();
    let mut end = None;
    while let Some(answer) = stream.next().await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(status) => end = Some(status),
        }
    }
    answers.sort_by_key(|answer| id(answer).parse::<usize>().unwrap());
    (answers, end)
}

fn id(answer: &ModelStreamInferResponse) -> &str {
    &answer.infer_response.as_ref().unwrap().id
}

#[tokio::test]
async fn every_request_is_answered_before_the_stream_ends() {
    let fixture = Fixture::start(Double::new(echo()));
    let requests = (0..200).map(numbered).collect();
    let (answers, end) = all(&fixture, requests, &[]).await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(answers.len(), 200);
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer.error_message, "");
        assert_eq!(id(answer), index.to_string());
        let response = answer.infer_response.as_ref().unwrap();
        assert_eq!(response.raw_output_contents[0].as_ref(), [1, 2]);
        let is_final = &response.parameters["triton_final_response"].parameter_choice;
        assert_eq!(is_final, &Some(ParameterChoice::BoolParam(true)));
    }
    assert_eq!(fixture.calls(), vec!["None"; 200]);
}

#[tokio::test]
async fn an_idle_stream_ends_when_the_listener_closes() {
    let fixture = Fixture::start(Double::new(echo()));
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    let open = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut client = fixture.client().await;
    requests.send(numbered(0)).await.unwrap();
    let mut stream = client.model_stream_infer(open).await.unwrap().into_inner();
    assert_eq!(id(&stream.next().await.unwrap().unwrap()), "0");
    let Fixture { listener, .. } = fixture;
    let close = tokio::spawn(listener.close(Duration::from_secs(600)));
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.message(), "the server is shutting down");
    assert!(stream.next().await.is_none());
    assert_eq!(close.await.unwrap(), 0, "nothing was dropped");
}

#[tokio::test]
async fn a_failed_request_leaves_the_stream_open() {
    let fixture = Fixture::start(Double::new(echo()));
    let requests = vec![numbered(0), wrong(1), numbered(2)];
    let (answers, end) = all(&fixture, requests, &[]).await;
    assert!(end.is_none(), "{end:?}");
    let messages: Vec<_> = answers
        .iter()
        .map(|answer| !answer.error_message.is_empty())
        .collect();
    assert_eq!(messages, [false, true, false]);
    assert!(answers[1].error_message.contains("is not found"));
    assert_eq!(id(&answers[1]), "1");
    let response = answers[1].infer_response.as_ref().unwrap();
    assert!(response.parameters.contains_key("triton_final_response"));
}

#[tokio::test]
async fn a_caller_that_wants_statuses_gets_the_first_one() {
    let fixture = Fixture::start(Double::new(echo()));
    let metadata = [("triton_grpc_error", "true")];
    let (answers, end) = all(&fixture, vec![wrong(0)], &metadata).await;
    assert!(answers.is_empty(), "{answers:?}");
    let end = end.unwrap();
    assert_eq!(end.code(), statuses(Code::ModelNotFound).grpc);
    assert_eq!(
        end.metadata().get("x-lockgate-code").unwrap(),
        "model_not_found"
    );
}

#[tokio::test]
async fn what_was_sent_before_a_message_over_the_limit_is_answered() {
    let fixture = Fixture::with_body_bytes(1000);
    let zeros = raw_request(ElementType::U8, &[1, 2000], vec![0; 2000].into());
    let (answers, end) = all(&fixture, vec![numbered(0), numbered(1), zeros], &[]).await;
    assert_eq!(answers.len(), 2);
    let end = end.unwrap();
    assert_eq!(end.code(), statuses(Code::PayloadTooLarge).grpc);
    assert!(
        end.message()
            .contains("over the limit of 1000 bytes (`max_body_bytes`)"),
        "{end}"
    );
}

#[tokio::test]
async fn a_panic_fails_one_request_and_not_the_stream() {
    let double = Double {
        behaviour: Behaviour::Panic,
        ..Double::new(echo())
    };
    let fixture = Fixture::start(double);
    let mut panics = numbered(0);
    let value = crate::open_inference::grpc::generated::inference::InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(true)),
    };
    panics.parameters.insert("p".to_owned(), value);
    let (answers, end) = all(&fixture, vec![panics, numbered(1)], &[]).await;
    assert!(end.is_none(), "{end:?}");
    assert!(answers[0].error_message.contains("its log says why"));
    assert_eq!(answers[1].error_message, "");
}

#[tokio::test]
async fn a_stream_without_requests_ends_well() {
    let fixture = Fixture::start(Double::new(echo()));
    let (answers, end) = all(&fixture, Vec::new(), &[]).await;
    assert!(answers.is_empty() && end.is_none());
}

#[tokio::test]
async fn each_answer_of_a_stream_names_its_arm_and_how_likely_it_was() {
    let source = contract::UnitSource::Field("user_id".to_owned());
    let echo = echo().with_unit(source).with_propensity(0.25);
    let fixture = Fixture::start(Double::new(echo));
    let unit = ParameterChoice::StringParam("a".to_owned());
    let mut with_unit = numbered(0);
    let parameter = InferParameter {
        parameter_choice: Some(unit.clone()),
    };
    with_unit.parameters = [("user_id".to_owned(), parameter)].into();
    let (answers, _) = all(&fixture, vec![with_unit, numbered(1)], &[]).await;
    let arms: Vec<_> = answers
        .iter()
        .map(|answer| {
            let parameters = &answer.infer_response.as_ref().unwrap().parameters;
            ["arm", "propensity"].map(|key| {
                let parameter = parameters.get(key)?;
                parameter.parameter_choice.clone()
            })
        })
        .collect();
    let propensity = ParameterChoice::DoubleParam(0.25);
    assert_eq!(arms, [[Some(unit), Some(propensity)], [None, None]]);
}

/// A stream over the router whose request is sent in pieces, and its status at the end.
async fn ended_by(ctx: &Arc<Context>, pieces: BoxStream<'static, Bytes>) -> (String, String) {
    let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
    let request = http::Request::post("/inference.GRPCInferenceService/ModelStreamInfer")
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "gzip")
        .body(body)
        .unwrap();
    let router = server::router(ctx, Dialects::ALL);
    let response = router.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    let text = |key: &str| {
        trailers
            .get(key)
            .map_or("", |value| value.to_str().unwrap())
    };
    (
        text("grpc-status").to_owned(),
        text("x-lockgate-code").to_owned(),
    )
}

fn framed(flag: u8, message: &[u8]) -> Bytes {
    testing::framed(flag, message).into()
}

fn ok_ends() -> (String, String) {
    ("0".to_owned(), String::new())
}

#[tokio::test(start_paused = true)]
async fn a_message_that_has_begun_must_arrive_in_time_and_an_idle_stream_need_not() {
    let fixture = Fixture::start(Double::new(echo()));
    let message = framed(0, &good_request().encode_to_vec());
    let late = |piece: Bytes| {
        futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_secs(61)).await;
            piece
        })
    };
    let (head, rest) = (message.slice(..9), message.slice(9..));
    let idle = late(message.clone()).chain(late(message.clone())).boxed();
    assert_eq!(ended_by(&fixture.ctx, idle).await, ok_ends());
    let first = futures_util::stream::iter([message, head]);
    let stuck = first.chain(late(rest)).boxed();
    let (status, code) = ended_by(&fixture.ctx, stuck).await;
    assert_eq!((status.as_str(), code.as_str()), ("10", "request_timeout"));
}

#[tokio::test]
async fn messages_of_a_stream_count_in_the_memory_for_bodies() {
    let limits = Limits {
        body_memory_bytes: 100_000,
        ..Limits::default()
    };
    let fixture = Fixture::with_limits(Double::new(echo()), limits);
    let _others = fixture
        .ctx
        .memory
        .bodies
        .count(vec![0; 90_000].into())
        .unwrap();
    let request = raw_request(ElementType::U8, &[1, 80_000], vec![0; 80_000].into());
    let message = framed(0, &request.encode_to_vec());
    let pieces = [message.slice(..70_000), message.slice(70_000..)];
    let stream = futures_util::stream::iter(pieces).boxed();
    let (status, code) = ended_by(&fixture.ctx, stream).await;
    assert_eq!((status.as_str(), code.as_str()), ("8", "buffer_full"));
}

#[tokio::test]
async fn compressed_messages_of_a_stream_are_inflated_in_any_cut() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut compressed = Vec::new();
    let plain = good_request().encode_to_vec();
    GzipEncoder::new(&plain[..])
        .read_to_end(&mut compressed)
        .await
        .unwrap();
    let bytes = [
        framed(1, &compressed),
        framed(0, &plain),
        framed(1, &compressed),
    ]
    .concat();
    let large: Vec<_> = bytes
        .chunks(bytes.len())
        .map(Bytes::copy_from_slice)
        .collect();
    let small: Vec<_> = bytes.chunks(7).map(Bytes::copy_from_slice).collect();
    for pieces in [large, small] {
        let stream = futures_util::stream::iter(pieces).boxed();
        assert_eq!(ended_by(&fixture.ctx, stream).await, ok_ends());
    }
    assert_eq!(fixture.calls(), ["None"; 6]);
    let broken = futures_util::stream::iter([framed(1, b"no gzip")]).boxed();
    let (status, code) = ended_by(&fixture.ctx, broken).await;
    assert_eq!((status.as_str(), code.as_str()), ("3", "invalid_request"));
}
