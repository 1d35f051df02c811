//! The short way finds what the router finds, and answers the same.

use contract::testing::RecordingObserver;
use contract::{
    BoxFuture as Later, Code, Error, Infer, InferRequest, InferResponse, Result, Route, Urgency,
};
use http::{StatusCode, header};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::context::Limits;
use crate::server::router;
use crate::server::tests::context;

fn call(path: &str) -> Request<Body> {
    let data = r#"{"data": [[1.5, 2.5]]}"#;
    let inputs =
        r#"{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2.5]}]}"#;
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-request-id", "same")
        .body(Body::from(if path.contains("v2") { inputs } else { data }))
        .unwrap()
}

/// A reply without what differs between any two.
async fn shown(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    for time in ["timestamp", "inference_time_ms"] {
        body.as_object_mut().unwrap().remove(time);
    }
    (status, body)
}

/// The replies of both ways; `None` where the short way does not take the path.
async fn both(path: &str) -> Option<[(StatusCode, Value); 2]> {
    let ctx = context(Limits::default(), &Arc::new(RecordingObserver::default()));
    let fast_path = FastPath::new(&ctx, Dialects::ALL)?;
    let target = fast_path.find(&Method::POST, path)?;
    let short = fast_path.call(target, call(path)).await;
    let routed = router(&ctx, Dialects::ALL).oneshot(call(path));
    Some([shown(short).await, shown(routed.await.unwrap()).await])
}

#[tokio::test]
async fn every_path_of_inference_is_answered_as_the_router_does() {
    let cases = [
        ("/predict", StatusCode::OK),
        ("/v1/predict", StatusCode::OK),
        ("/models/a/predict", StatusCode::OK),
        ("/models/ghost/predict", StatusCode::NOT_FOUND),
        ("/models/a/versions/1/predict", StatusCode::OK),
        ("/models/a/versions/7/predict", StatusCode::NOT_FOUND),
        ("/v2/models/a/infer", StatusCode::OK),
        ("/v2/models/ghost/infer", StatusCode::NOT_FOUND),
        ("/v2/models/a/versions/1/infer", StatusCode::OK),
        ("/v2/models/a/versions/7/infer", StatusCode::NOT_FOUND),
    ];
    for (path, status) in cases {
        let [short, routed] = both(path).await.expect(path);
        assert_eq!(short, routed, "{path}");
        assert_eq!(short.0, status, "{path}: {}", short.1);
    }
}

/// Refuses early what has this priority.
#[derive(Debug)]
struct Busy {
    inner: Arc<dyn Infer>,
    refused: Option<u32>,
}

impl Infer for Busy {
    fn route(&self, target: &contract::Target) -> Result<Route> {
        self.inner.route(target)
    }

    fn refuse_early(&self, _: &contract::Target, urgency: Urgency) -> Result<()> {
        match urgency.priority == self.refused {
            true => Err(Error::new(Code::Overloaded, "too busy")),
            false => Ok(()),
        }
    }

    fn infer(&self, route: Route, request: InferRequest) -> Later<'_, Result<InferResponse>> {
        self.inner.infer(route, request)
    }
}

/// Returns a fast path of a server that refuses this priority early.
fn busy(refused: Option<u32>) -> FastPath {
    let ctx = context(Limits::default(), &Arc::new(RecordingObserver::default()));
    let ctx = Arc::new(Context {
        infer: Arc::new(Busy {
            inner: Arc::clone(&ctx.infer),
            refused,
        }),
        ..Context::clone(&ctx)
    });
    FastPath::new(&ctx, Dialects::ALL).unwrap()
}

const TIMEOUT: (&str, &str) = ("x-request-timeout-ms", "100");

async fn status_of(
    fast_path: &FastPath,
    path: &str,
    headers: &[(&'static str, &'static str)],
    body: Body,
) -> StatusCode {
    let mut request = call(path);
    for (name, value) in headers {
        let value = http::HeaderValue::from_static(value);
        request.headers_mut().insert(*name, value);
    }
    let target = fast_path.find(&Method::POST, request.uri().path()).unwrap();
    let (parts, _) = request.into_parts();
    fast_path
        .call(target, Request::from_parts(parts, body))
        .await
        .status()
}

#[tokio::test]
async fn an_inference_is_refused_before_its_body_when_its_head_is_sufficient() {
    let raw = ("inference-header-content-length", "0");
    let binary = ("inference-header-content-length", "90");
    let (plain, open) = (Some(0), None);
    let cases = [
        ("/predict", vec![TIMEOUT], plain, true),
        ("/models/a/predict", vec![TIMEOUT], plain, true),
        ("/models/a/predict", vec![], plain, false),
        ("/models/a/predict?version=1", vec![TIMEOUT], plain, false),
        ("/v2/models/a/infer", vec![TIMEOUT, raw], plain, true),
        ("/v2/models/a/infer", vec![TIMEOUT, binary], open, true),
        ("/v2/models/a/infer", vec![TIMEOUT], open, true),
        ("/v2/models/a/infer", vec![], open, false),
    ];
    for (path, headers, refused, is_refused) in cases {
        // A body that breaks off as soon as it is read.
        let broken = futures_util::stream::once(async { Err::<&[u8], _>(std::fmt::Error) });
        let body = Body::from_stream(broken);
        let status = status_of(&busy(refused), path, &headers, body).await;
        let expected = match is_refused {
            true => StatusCode::TOO_MANY_REQUESTS,
            false => StatusCode::BAD_REQUEST,
        };
        assert_eq!(status, expected, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn an_inference_in_json_is_refused_before_its_tensors_are_read() {
    let infer = |parameters: &str| {
        format!(r#"{{"parameters": {{{parameters}}}, "inputs": [{{"name": 7}}]}}"#)
    };
    let cases = [
        (infer(""), vec![TIMEOUT], Some(0), true),
        (infer(r#""priority": 2"#), vec![TIMEOUT], Some(2), true),
        (infer(r#""priority": 2"#), vec![TIMEOUT], Some(0), false),
        (infer(r#""timeout": 1000"#), vec![], Some(0), true),
        (infer(""), vec![], Some(0), false),
        (infer(r#""timeout": "soon""#), vec![TIMEOUT], Some(0), false),
    ];
    for (json, headers, refused, is_refused) in cases {
        let (fast_path, body) = (busy(refused), Body::from(json.clone()));
        let status = status_of(&fast_path, "/v2/models/a/infer", &headers, body).await;
        let expected = match is_refused {
            true => StatusCode::TOO_MANY_REQUESTS,
            false => StatusCode::BAD_REQUEST,
        };
        assert_eq!(status, expected, "{json} {headers:?}");
    }
}

#[test]
fn each_listener_answers_its_own_dialects() {
    let ctx = context(Limits::default(), &Arc::new(RecordingObserver::default()));
    let takes = |dialects, path| {
        Some(
            FastPath::new(&ctx, dialects)?
                .find(&Method::POST, path)
                .is_some(),
        )
    };
    let cases = [
        (Dialects::ALL, Some(true), Some(true)),
        (Dialects::GRPC, Some(false), Some(true)),
        (Dialects::METRICS, None, None),
        (Dialects::new(&[DialectId::Native]), Some(true), Some(false)),
    ];
    for (dialects, rest, grpc) in cases {
        assert_eq!(takes(dialects, "/predict"), rest, "{dialects:?}");
        assert_eq!(takes(dialects, MODEL_INFER), grpc, "{dialects:?}");
    }
}

#[test]
fn other_paths_and_methods_are_left_to_the_router() {
    let others = [
        "/",
        "/predict/",
        "//predict",
        "/predict/batch",
        "/models//predict",
        "/models/a%62/predict",
        "/models/a/versions//predict",
        "/v2/models/a/infer/more",
        "/v2/models/a/versions/1/infer/more/and/more",
        "/v2/models/a/generate",
    ];
    let taken: Vec<_> = others
        .into_iter()
        .filter(|path| find(&Method::POST, path).is_some())
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
    assert_eq!(find(&Method::GET, "/predict"), None);
}

proptest! {
    #[test]
    fn what_is_found_is_what_the_router_finds(
        segments in prop::collection::vec(
            prop::sample::select(vec!["predict", "v1", "v2", "models", "versions", "infer", "a", ""]),
            1..7,
        ),
    ) {
        let path = format!("/{}", segments.join("/"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        if let Some([short, routed]) = runtime.block_on(both(&path)) {
            prop_assert_eq!(short, routed);
        }
    }
}
