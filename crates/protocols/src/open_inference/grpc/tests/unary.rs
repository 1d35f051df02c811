//! The way around the generated service answers every body as the service does.

use axum::body::Body;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tower::ServiceExt;

use super::*;
use crate::open_inference::grpc::GrpcInference;
use crate::open_inference::grpc::generated::inference::InferParameter;
use crate::open_inference::grpc::generated::inference::infer_parameter::ParameterChoice;
use crate::recorded_log::RecordedLog;
use crate::testing::framed;

const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";

/// A kind of body and how it is made.
type Case = (&'static str, fn() -> Vec<Piece>);

/// One frame of a body, or the error that ends it.
type Piece = std::result::Result<Frame<Bytes>, std::io::Error>;

fn data(bytes: &[u8]) -> Piece {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

fn trailers() -> Piece {
    let mut trailers = HeaderMap::new();
    trailers.insert("unit", "late".parse().unwrap());
    Ok(Frame::trailers(trailers))
}

fn broken() -> Piece {
    Err(std::io::Error::other("the peer is gone"))
}

fn good() -> Vec<u8> {
    framed(0, &good_request().encode_to_vec())
}

fn request(pieces: Vec<Piece>, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::post(METHOD).header("x-request-id", "same");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = StreamBody::new(stream::iter(pieces));
    request.body(Body::new(body)).unwrap()
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap()
}

/// All that a caller sees of a reply.
async fn shown(response: Response<Body>) -> String {
    let (parts, body) = response.into_parts();
    let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", text(value));
    let mut headers: Vec<_> = parts.headers.iter().map(line).collect();
    headers.sort();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    let bytes = body.to_bytes();
    format!("{} {headers:?} {bytes:?} {trailers:?}", parts.status)
}

/// Returns the answers of both paths, and how often each counted the call.
async fn both(make: impl Fn() -> Request<Body>) -> [(String, usize); 2] {
    let limits = Limits {
        body_bytes: 1000,
        ..Limits::default()
    };
    let fixture = || Fixture::with_limits(Double::new(echo()), limits.clone());
    let (short, routed) = (fixture(), fixture());
    let answer = GrpcInference::new(&short.ctx).model_infer(make()).await;
    let router = server::router(&routed.ctx, Dialects::ALL);
    let service_answer = router.oneshot(make()).await.unwrap();
    [
        (shown(answer).await, short.calls().len()),
        (shown(service_answer).await, routed.calls().len()),
    ]
}

fn cases() -> Vec<Case> {
    vec![
        ("one frame", || vec![data(&good())]),
        ("empty frames", || vec![data(b""), data(&good()), data(b"")]),
        ("single bytes", || good().chunks(1).map(data).collect()),
        ("cut in the prefix", || {
            vec![data(&good()[..3]), data(&good()[3..])]
        }),
        ("cut behind the prefix", || {
            vec![data(&good()[..5]), data(&good()[5..])]
        }),
        ("nothing", Vec::new),
        ("a part of the prefix", || vec![data(&good()[..4])]),
        ("the prefix alone", || vec![data(&good()[..5])]),
        ("a part of the message", || vec![data(&good()[..9])]),
        ("one byte too many", || {
            vec![data(&[good(), vec![0]].concat())]
        }),
        ("two messages", || vec![data(&good()), data(&good())]),
        ("two messages in one frame", || {
            vec![data(&[good(), good()].concat())]
        }),
        ("an empty message", || vec![data(&framed(0, b""))]),
        ("no message of ours", || vec![data(&framed(0, &[0xff; 9]))]),
        ("too many fields", || {
            vec![data(&framed(0, &[0x2a, 0].repeat(400)))]
        }),
        ("over the limit", || vec![data(&framed(0, &[0; 1001]))]),
        ("over the limit by its prefix", || {
            vec![data(&[0, 0xff, 0xff, 0xff, 0xff])]
        }),
        ("at the limit", || vec![data(&framed(0, &[0; 1000]))]),
        ("compressed without saying how", || {
            vec![data(&framed(1, b"x"))]
        }),
        ("no flag of gRPC", || vec![data(&framed(7, b"x"))]),
        ("trailers", || vec![data(&good()), trailers()]),
        ("trailers without a message", || vec![trailers()]),
        ("trailers in a message", || {
            vec![data(&good()[..9]), trailers()]
        }),
        ("an error", || vec![broken()]),
        ("an error in a message", || {
            vec![data(&good()[..9]), broken()]
        }),
        ("an error behind a message", || {
            vec![data(&good()), broken()]
        }),
    ]
}

#[tokio::test]
async fn every_body_is_answered_as_by_the_service() {
    for (name, pieces) in cases() {
        let [short, routed] = both(|| request(pieces(), &[])).await;
        assert_eq!(short, routed, "{name}");
    }
}

#[tokio::test]
async fn every_head_is_answered_as_by_the_service() {
    let heads: [&[(&str, &str)]; 7] = [
        &[("grpc-encoding", "identity")],
        &[("grpc-encoding", "gzip")],
        &[("grpc-encoding", "snappy")],
        &[("grpc-accept-encoding", "identity, deflate, gzip")],
        &[("grpc-timeout", "1H")],
        &[("grpc-timeout", "soon")],
        &[("content-type", "text/plain")],
    ];
    for head in heads {
        let [short, routed] = both(|| request(vec![data(&good())], head)).await;
        assert_eq!(short, routed, "{head:?}");
    }
}

#[tokio::test]
async fn both_ways_log_the_model_and_the_version_that_answered() {
    let log = RecordedLog::start();
    both(|| request(vec![data(&good())], &[])).await;
    let log = log.text();
    let lines: Vec<_> = log.lines().collect();
    let [short, routed] = lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(short, routed);
    for words in ["code=\"ok\"", "model=\"UINT8\"", "version=\"3\""] {
        assert!(short.contains(words), "{short}");
    }
}

#[tokio::test]
async fn a_plain_call_has_one_message_and_the_status_behind_it() {
    let [(short, n_calls), _] = both(|| request(vec![data(&good())], &[])).await;
    assert!(short.starts_with("200 OK"), "{short}");
    for words in [
        r#""grpc-status": "0""#,
        r#""x-lockgate-version: 3""#,
        r#""x-request-id: same""#,
    ] {
        assert!(short.contains(words), "{short}");
    }
    assert_eq!(n_calls, 1);
}

/// A message whose only tensor is wrong, with the parameter `priority` or without.
fn wrong(priority: Option<i64>) -> Vec<u8> {
    let mut request = good_request();
    request.inputs[0].shape = vec![1, 3];
    let parameters = priority.map(|priority| {
        let choice = Some(ParameterChoice::Int64Param(priority));
        let value = InferParameter {
            parameter_choice: choice,
        };
        ("priority".to_owned(), value)
    });
    request.parameters.extend(parameters);
    framed(0, &request.encode_to_vec())
}

#[tokio::test]
async fn a_message_that_would_be_too_late_is_refused_before_it_is_decoded() {
    let timeout: &[(&str, &str)] = &[("grpc-timeout", "1H")];
    let cases = [
        (wrong(None), timeout, Some(0), "Some(Overloaded)"),
        (wrong(None), timeout, None, "Some(InvalidRequest)"),
        (wrong(None), &[], Some(0), "Some(InvalidRequest)"),
        (wrong(Some(1)), timeout, None, "Some(Overloaded)"),
        (wrong(Some(1)), timeout, Some(0), "Some(InvalidRequest)"),
        (framed(0, b""), timeout, Some(0), "Some(InvalidRequest)"),
        (
            framed(0, &[0xff; 9]),
            timeout,
            Some(0),
            "Some(InvalidRequest)",
        ),
    ];
    for (index, (message, headers, refused, expected)) in cases.into_iter().enumerate() {
        let double = Double {
            behaviour: Behaviour::Busy(refused),
            ..Double::new(echo())
        };
        let fixture = Fixture::start(double);
        let request = request(vec![data(&message)], headers);
        let response = GrpcInference::new(&fixture.ctx).model_infer(request).await;
        let status = &response.headers()["grpc-status"];
        let is_refused = expected == "Some(Overloaded)";
        assert_eq!(status == "8", is_refused, "case {index}: {status:?}");
        assert_eq!(fixture.calls(), [expected], "case {index}");
    }
}
