//! Whole requests and replies of the simple JSON API, as snapshots.

use std::sync::Arc;

use axum::body::Body;
use contract::testing::{EchoServer, model_info};
use contract::{
    Code, Dimension, ElementType, Error, ImageChannels, ImageInput, ImageLayout, ImageResize,
    ModelInfo, Signature, TensorSpec,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::context::Limits;

fn tensor(name: &str, element_type: ElementType, dims: &[Option<usize>]) -> TensorSpec {
    let dim = |size: &Option<usize>| size.map_or(Dimension::Dynamic, Dimension::Fixed);
    TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.iter().map(dim).collect(),
        is_optional: false,
    }
}

fn model(
    name: &str,
    version: &str,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
) -> ModelInfo {
    model_info(name, version, Signature { inputs, outputs })
}

fn digits(version: &str) -> ModelInfo {
    let io = |name| vec![tensor(name, ElementType::F32, &[None, Some(3)])];
    ModelInfo {
        labels: ["zero", "one", "two"].map(str::to_owned).to_vec(),
        description: "three numbers".to_owned(),
        ..model("digits", version, io("x"), io("probabilities"))
    }
}

/// A model of 2x1 grey pixels, whose "scores" are the pixels.
fn picture() -> ModelInfo {
    let io = |name| {
        vec![tensor(
            name,
            ElementType::F32,
            &[None, Some(1), Some(1), Some(2)],
        )]
    };
    ModelInfo {
        labels: vec!["left".to_owned()],
        image: Some(ImageInput {
            resize: ImageResize::None,
            crop: None,
            channels: ImageChannels::Grey,
            layout: ImageLayout::Nchw,
            scale: 1.0 / 255.0,
            mean: vec![0.0],
            std: vec![1.0],
        }),
        ..model("picture", "1", io("image"), io("scores"))
    }
}

fn zoo() -> EchoServer {
    let pair = model(
        "pair",
        "1",
        vec![
            tensor("a", ElementType::F32, &[None, Some(2)]),
            tensor("b", ElementType::I64, &[None]),
        ],
        vec![
            tensor("sum", ElementType::F32, &[None, Some(2)]),
            tensor("count", ElementType::I64, &[None]),
        ],
    );
    let text = |name| vec![tensor(name, ElementType::Bytes, &[None])];
    let words = model("words", "2026-11-01", text("text"), text("echo"));
    EchoServer::new([digits("1"), digits("2"), pair, words, picture()])
}

fn router_of(server: EchoServer, limits: Limits) -> Router {
    let server = Arc::new(server);
    let ctx = Context {
        limits,
        ..Context::of(&server)
    };
    let ctx = Arc::new(ctx);
    routes(&ctx).merge(checks(&ctx))
}

fn router(server: EchoServer) -> Router {
    router_of(server, Limits::default())
}

fn get_request(path: &str) -> Request<Body> {
    Request::get(path)
        .header("x-request-id", "test")
        .body(Body::empty())
        .unwrap()
}

fn post_request(path: &str, media_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("x-request-id", "test")
        .header("content-type", media_type)
        .body(body.into())
        .unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let response: Response<Body> = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, body.to_vec())
}

/// The reply as text, with what differs from run to run replaced.
async fn shown(router: &Router, request: Request<Body>) -> String {
    let (status, body) = send(router, request).await;
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    redact(&mut body);
    format!("{status}\n{}", serde_json::to_string_pretty(&body).unwrap())
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match key.as_str() {
                    "timestamp" => {
                        let text = value.as_str().unwrap();
                        assert!(text.parse::<jiff::Timestamp>().is_ok(), "{text}");
                        *value = "[timestamp]".into();
                    }
                    "inference_time_ms" => {
                        assert!(value.as_f64().unwrap() >= 0.0);
                        *value = "[milliseconds]".into();
                    }
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All replies to `cases` under one another: a name, the request, and what came back.
async fn transcript(router: &Router, cases: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for (path, body) in cases {
        let request = match body.is_empty() {
            true => get_request(path),
            false => post_request(path, "application/json", (*body).to_owned()),
        };
        let reply = shown(router, request).await;
        all.push_str(&format!(">>> {path} {body}\n{reply}\n\n"));
    }
    all
}

#[tokio::test]
async fn predictions_look_like_this() {
    let cases = [
        (
            "/predict",
            r#"{"data": [[1, 2.5, -3e-7], [0.1, 5, 6]], "model": "digits"}"#,
        ),
        (
            "/v1/predict",
            r#"{"input": [[1, 2, 3]], "model": "digits", "model_version": 1, "user_id": "u7"}"#,
        ),
        (
            "/predict",
            r#"{"data": [[1, 2, 3]], "model": "digits", "model_version": "latest", "timeout_ms": 500}"#,
        ),
        ("/models/digits/predict", r#"{"data": [1, 2, 3]}"#),
        (
            "/models/digits/versions/1/predict",
            r#"{"inputs": {"x": [[1, 2, 3]]}}"#,
        ),
        (
            "/predict?model=digits&model_version=1",
            r#"{"data": [[1, 2, 3]]}"#,
        ),
        (
            "/models/pair/predict",
            r#"{"inputs": {"b": [9007199254740993], "a": [[1, 2]]}}"#,
        ),
        (
            "/models/pair/predict",
            r#"{"inputs": {"a": [[1, 2]], "b": [3]}, "outputs": ["count"]}"#,
        ),
        ("/models/words/predict", r#"{"data": ["é\n", "b"]}"#),
        ("/models/words/predict", r#"{"data": "one"}"#),
    ];
    insta::assert_snapshot!(transcript(&router(zoo()), &cases).await);
}

#[tokio::test]
async fn refusals_of_predictions_look_like_this() {
    let cases = [
        ("/predict", "{\"data\": [[1, 2, 3]]}"),
        ("/predict", "nonsense"),
        ("/predict", " "),
        ("/predict", "[[1, 2, 3]]"),
        ("/predict", r#"{"imput": [[1, 2, 3]], "model": "digits"}"#),
        ("/predict", "{}"),
        (
            "/predict",
            r#"{"data": [1], "inputs": {}, "model": "digits"}"#,
        ),
        ("/predict", r#"{"inputs": [[1, 2, 3]], "model": "digits"}"#),
        ("/predict", r#"{"data": [[1, 2, 3]], "model": "unknown"}"#),
        ("/predict", r#"{"data": [[1, 2, 3]], "model": 5}"#),
        ("/predict", r#"{"data": [[1, 2, 3]], "model": "a/b"}"#),
        (
            "/predict",
            r#"{"data": [[1, 2, 3]], "model": "digits", "model_version": 7}"#,
        ),
        (
            "/predict",
            r#"{"data": [[1, 2, 3]], "model": "digits", "model_version": 1.5}"#,
        ),
        (
            "/models/pair/predict",
            r#"{"data": [[1, 2, 3]], "model": "digits"}"#,
        ),
        ("/models/pair/predict", r#"{"data": [[1, 2]]}"#),
        ("/models/pair/predict", r#"{"inputs": {"a": [[1, 2]]}}"#),
        (
            "/models/pair/predict",
            r#"{"inputs": {"a": [[1, 2]], "c": [1]}}"#,
        ),
        (
            "/models/pair/predict",
            r#"{"inputs": {"a": [[1, 2]], "b": [1.5]}}"#,
        ),
        (
            "/models/pair/predict",
            r#"{"inputs": {"a": [[1, 2]], "b": [1]}, "outputs": ["x"]}"#,
        ),
        ("/models/digits/predict", r#"{"data": [[1, 2, 3], [4, 5]]}"#),
        ("/models/digits/predict", r#"{"data": [[1, 2, "three"]]}"#),
        ("/models/digits/predict", r#"{"data": [[1, 2]]}"#),
        ("/models/digits/predict", r#"{"data": [1, 2]}"#),
        (
            "/models/digits/predict",
            r#"{"data": [[1, 2, 3]], "data": [[1, 2, 3]]}"#,
        ),
        (
            "/models/digits/predict",
            r#"{"data": [[1, 2, 3]], "outputs": "probabilities"}"#,
        ),
        (
            "/models/digits/predict",
            r#"{"data": [[1, 2, 3]], "timeout_ms": -1}"#,
        ),
    ];
    insta::assert_snapshot!(transcript(&router(zoo()), &cases).await);
}

#[tokio::test]
async fn batches_look_like_this() {
    let cases = [
        (
            "/predict/batch",
            r#"{"requests": [{"data": [[1, 2, 3]], "model": "digits"}, {"data": [["x"]], "model": "digits"},
                {"model": "nobody", "data": 1}, 5, {"data": ["w"], "model": "words"}]}"#,
        ),
        ("/v1/predict/batch?model=digits", r#"[{"data": [1, 2, 3]}]"#),
        ("/predict/batch", r#"{"requests": []}"#),
        ("/predict/batch", r#"{"request": []}"#),
        ("/predict/batch", r#"{"requests": {}}"#),
        ("/predict/batch", r#"[{}, {}, {}, {}, {}, {}]"#),
    ];
    let limits = Limits {
        batch_requests: 5,
        ..Limits::default()
    };
    insta::assert_snapshot!(transcript(&router_of(zoo(), limits), &cases).await);
}

#[tokio::test]
async fn descriptions_look_like_this() {
    let paths = [
        "/",
        "/models",
        "/models/digits",
        "/models/picture",
        "/models/digits/versions/1",
        "/models/digits/versions/9",
        "/models/nobody",
        "/model/info",
        "/model/info?model=digits",
        "/model/info?model=pair",
    ];
    insta::assert_snapshot!(transcript(&router(zoo()), &paths.map(|path| (path, ""))).await);
}

#[tokio::test]
async fn health_looks_like_this() {
    let paths = [
        "/health",
        "/health/live",
        "/health/ready",
        "/health/ready?model=digits",
        "/models/digits/ready",
        "/models/nobody/ready",
    ]
    .map(|path| (path, ""));
    let one = router(EchoServer::new([digits("1")]));
    let unready = router(zoo().not_ready("model `digits` is loading"));
    let none = router(EchoServer::default().not_ready("no model is loaded"));
    let mut all = String::new();
    for (name, router) in [
        ("one model", one),
        ("not ready", unready),
        ("no model", none),
    ] {
        all.push_str(&format!(
            "##### {name}\n\n{}",
            transcript(&router, &paths).await
        ));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn failures_of_the_engine_look_like_this() {
    let error = Error::new(Code::EngineFailed, "node `Gemm_3` failed").with_diagnostic("secret");
    let router = router(EchoServer::new([digits("1")]).failing(error));
    insta::assert_snapshot!(transcript(&router, &[("/predict", "{\"data\": [1, 2, 3]}")]).await);
}

/// A PNG of two grey pixels: 51 and 204 of 255.
fn two_pixels() -> Vec<u8> {
    let image = ::image::GrayImage::from_raw(2, 1, vec![51, 204]).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, ::image::ImageFormat::Png).unwrap();
    png.into_inner()
}

fn form(field: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--b\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"a.png\"\r\n\
         content-type: image/png\r\n\r\n"
    );
    [head.as_bytes(), file, b"\r\n--b--\r\n"].concat()
}

#[tokio::test]
async fn replies_to_images_look_like_this() {
    let png = two_pixels();
    let multipart = "multipart/form-data; boundary=b";
    let cut = png.get(..png.len() / 2).unwrap().to_vec();
    let cases = [
        (
            "/models/picture/predict/image",
            multipart,
            form("file", &png),
        ),
        (
            "/predict/image?model=picture&top_k=1",
            "image/png",
            png.clone(),
        ),
        (
            "/predict/image?model=picture",
            multipart,
            form("picture", &png),
        ),
        (
            "/predict/image?model=picture",
            multipart,
            b"--b\r\n".to_vec(),
        ),
        (
            "/predict/image?model=picture",
            "multipart/form-data",
            form("file", &png),
        ),
        ("/predict/image?model=picture", "image/png", Vec::new()),
        (
            "/predict/image?model=picture",
            "image/png",
            b"no image at all".to_vec(),
        ),
        ("/predict/image?model=picture", "image/png", cut),
        (
            "/predict/image?model=picture",
            "application/json",
            b"{}".to_vec(),
        ),
        (
            "/predict/image?model=picture&top_k=0",
            "image/png",
            png.clone(),
        ),
        ("/predict/image?model=digits", "image/png", png.clone()),
        ("/predict/image", "image/png", png.clone()),
        ("/models/picture/predict", multipart, form("file", &png)),
    ];
    let router = router(zoo());
    let mut all = String::new();
    for (path, media_type, body) in cases {
        let n_bytes = body.len();
        let reply = shown(&router, post_request(path, media_type, body)).await;
        all.push_str(&format!(
            ">>> {path} {media_type}, {n_bytes} bytes\n{reply}\n\n"
        ));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn an_image_over_the_limit_is_refused_before_it_is_decoded() {
    let limits = Limits {
        image_pixels: 1,
        ..Limits::default()
    };
    let request = post_request("/models/picture/predict/image", "image/png", two_pixels());
    insta::assert_snapshot!(shown(&router_of(zoo(), limits), request).await);
}

#[tokio::test]
async fn media_types_that_hand_written_callers_send_are_read_as_json() {
    let router = router(zoo());
    let accepted = [
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/vnd.acme+json",
    ];
    for media_type in accepted {
        let request = post_request(
            "/models/digits/predict",
            media_type,
            "{\"data\": [1, 2, 3]}",
        );
        assert_eq!(
            send(&router, request).await.0,
            StatusCode::OK,
            "{media_type}"
        );
    }
    let bare = Request::post("/models/digits/predict").body("{\"data\": [1, 2, 3]}".into());
    assert_eq!(send(&router, bare.unwrap()).await.0, StatusCode::OK);
    let binary = post_request("/models/digits/predict", "application/octet-stream", "{}");
    assert_eq!(
        send(&router, binary).await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn numbers_that_are_none_survive_both_ways() {
    let body = "{\"data\": [[NaN, Infinity, -Infinity]]}";
    let request = post_request("/models/digits/predict", "application/json", body);
    let (status, body) = send(&router(zoo()), request).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.starts_with(b"{\"predictions\":[[NaN,Infinity,-Infinity]],"));
}

#[tokio::test]
async fn a_request_chooses_between_strict_json_and_literals() {
    let server = Arc::new(zoo());
    let reply = |is_strict_json: bool, path: &'static str, body: &'static str| {
        let mut ctx = Context::of(&server);
        ctx.server.is_strict_json = is_strict_json;
        let router = routes(&Arc::new(ctx));
        async move {
            let request = post_request(path, "application/json", body);
            let (status, body) = send(&router, request).await;
            (status, String::from_utf8(body).unwrap())
        }
    };
    let body = "{\"data\": [[null, Infinity, -Infinity]]}";
    let (null, literal) = ("[[null,null,null]]", "[[NaN,Infinity,-Infinity]]");
    let path = "/models/digits/predict";
    let cases = [
        (true, path, null),
        (false, path, literal),
        (true, "/models/digits/predict?strict_json=false", literal),
        (false, "/models/digits/predict?strict_json=true", null),
    ];
    for (is_strict_json, path, expected) in cases {
        let (_, text) = reply(is_strict_json, path, body).await;
        let expected = format!("{{\"predictions\":{expected},");
        assert!(
            text.starts_with(&expected),
            "{path} {is_strict_json}: {text}"
        );
    }
    let batch = "{\"requests\": [{\"model\": \"digits\", \"data\": [[null, 1, 2]]}]}";
    let (_, text) = reply(true, "/predict/batch?strict_json=false", batch).await;
    assert!(text.contains("[[NaN,1.0,2.0]]"), "{text}");
    let (status, text) = reply(true, "/models/digits/predict?strict_json=no", body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let expected = "`strict_json` must be `true` or `false`, got `no`";
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused_wherever_they_are() {
    let bodies: [&[u8]; 5] = [
        b"{\"\xff\": 1, \"data\": [1, 2, 3]}",
        b"{\"note\": \"\xff\", \"data\": [1, 2, 3]}",
        b"{\"data\": [1, 2, 3], \"note\": {\"a\": [\"\xc3(\"]}}",
        b"{\"data\": [1, 2, 3], \"note\": {\"\xed\xa0\x80\": 1}}",
        b"{\"data\": [1, 2, 3], \"note\": [\xff]}",
    ];
    let router = router(zoo());
    for body in bodies {
        let batch = [b"{\"requests\": [", body, b"]}"].concat();
        let cases = [
            ("/models/digits/predict", body.to_vec()),
            ("/predict/batch", batch),
            ("/v1/feedback", body.to_vec()),
        ];
        for (path, body) in cases {
            let shown = String::from_utf8_lossy(&body).into_owned();
            let (status, reply) = send(&router, post_request(path, "application/json", body)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {shown}");
            let reply = String::from_utf8(reply).unwrap();
            assert!(reply.contains("malformed JSON at byte "), "{path}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_body_of_megabytes_is_answered_too() {
    let row = "[0.1234567, 0.1234567, 0.1234567]";
    let rows = vec![row; 40_000].join(", ");
    let body = format!("{{\"data\": [{rows}]}}");
    let request = post_request("/models/digits/predict", "application/json", body);
    let (status, body) = send(&router(zoo()), request).await;
    assert_eq!(status, StatusCode::OK);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["predictions"].as_array().unwrap().len(), 40_000);
}

#[tokio::test]
async fn the_model_may_be_left_out_while_there_is_one() {
    let router = router(EchoServer::new([digits("1"), digits("2")]));
    let request = post_request("/predict", "application/json", "{\"data\": [1, 2, 3]}");
    let (status, body) = send(&router, request).await;
    assert_eq!(status, StatusCode::OK);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["model_version"], "2");
}

/// Text that resembles the bodies of this dialect, and anything else.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"data\"",
        "\"inputs\"",
        "\"model\"",
        "\"digits\"",
        "\"x\"",
        "1",
        "-2.5",
        "null",
        "NaN",
        "\"requests\"",
        "\"outputs\"",
        "\"timeout_ms\"",
        " ",
    ];
    let text = proptest::collection::vec(proptest::sample::select(tokens.to_vec()), 0..24);
    prop_oneof![
        text.prop_map(|tokens| tokens.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..64),
        // A picture with some bytes changed.
        (
            any::<u64>(),
            proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)
        )
            .prop_map(|(_, changes)| {
                let mut png = two_pixels();
                for (index, byte) in changes {
                    let index = index % png.len();
                    png[index] = byte;
                }
                png
            }),
    ]
}

proptest! {
    #[test]
    fn no_body_makes_the_server_fail(body in body(), data in "[\\[\\]0-9,.eE-]{0,24}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let router = router(zoo());
        let data = format!("{{\"data\": {data}}}").into_bytes();
        let cases = [
            ("/models/digits/predict", "application/json", body.clone()),
            ("/models/digits/predict", "application/json", data),
            ("/predict/batch", "application/json", body.clone()),
            ("/v1/feedback", "application/json", body.clone()),
            ("/models/picture/predict/image", "image/png", body.clone()),
            ("/models/picture/predict/image", "multipart/form-data; boundary=b", form("file", &body)),
            ("/models/picture/predict/image", "multipart/form-data; boundary=b", body),
        ];
        for (path, media_type, body) in cases {
            let request = post_request(path, media_type, body);
            let (status, _) = runtime.block_on(send(&router, request));
            prop_assert!(!status.is_server_error(), "{} {}", path, status);
        }
    }
}
