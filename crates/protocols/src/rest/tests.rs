use axum::Router;
use axum::routing::{get, post};
use contract::testing::EchoServer;
use contract::{AdmissionLevel, Code, ServedBy};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::context::ServerInfo;
use crate::native::Native;
use crate::recorded_log::RecordedLog;

fn context() -> Arc<Context> {
    let echo = Arc::new(EchoServer::new([]));
    Arc::new(Context {
        server: ServerInfo {
            version: "0.0.0".to_owned(),
            is_gpu_available: false,
            is_control_enabled: false,
            is_strict_json: false,
        },
        ..Context::of(&echo)
    })
}

fn routes() -> Router {
    let ctx = context();
    let describe = handler::<Native, _, _>(&ctx, |_, call| async move {
        let deadline = call.deadline.map(|deadline| deadline - call.received);
        let text = format!(
            "{:?} {} {:?} {deadline:?}",
            call.model()?,
            call.version(),
            call.query_parameter("q")
        );
        Ok(Reply::json(text))
    });
    let overloaded = handler::<Native, _, _>(&ctx, |_, _| async {
        let wait = std::time::Duration::from_millis(1200);
        let error = Error::new(Code::Overloaded, "too busy").with_retry_after(wait);
        Err(error.with_admission_level(AdmissionLevel::Priority(2)))
    });
    let large = handler::<Native, _, _>(&ctx, |_, call| async move {
        let body = "[1.5,2.5]".repeat(10_000);
        Ok(match call.query.as_str() {
            "binary" => Reply::new(HeaderValue::from_static("application/octet-stream"), body),
            _ => Reply::json(body),
        })
    });
    let small = handler::<Native, _, _>(&ctx, |_, _| async { Ok(Reply::json("{}")) });
    let answered = handler::<Native, _, _>(&ctx, |_, _| async {
        Ok(Reply::json("{}").with_served_by(ServedBy {
            model: Bytes::from_static(b"digits"),
            version: Bytes::from_static(b"2"),
            arm: Some(Bytes::from_static(b"treatment")),
            propensity: None,
        }))
    });
    let boom = handler::<Native, _, _>(&ctx, |_, call| async move {
        assert!(call.body.len() > 9, "the secret of the handler");
        Ok(Reply::json("{}"))
    });
    Router::new()
        .route("/answered", get(answered))
        .route("/boom", get(boom))
        .route("/models/{model}/{version}", post(describe))
        .route("/overloaded", get(overloaded))
        .route("/large", get(large))
        .route("/small", get(small))
}

async fn call(request: http::request::Builder) -> (http::response::Parts, Bytes) {
    let request = request.body(Body::empty()).unwrap();
    let (parts, body) = routes().oneshot(request).await.unwrap().into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_handler_sees_path_query_and_deadline() {
    let request =
        Request::post("/models/a%20b/3?q=x%2By&q=z").header("x-request-timeout-ms", "250");
    let (parts, _) = call(request).await;
    assert_eq!(parts.status, StatusCode::BAD_REQUEST);
    let request =
        Request::post("/models/digits/3?q=x%2By&q=z").header("x-request-timeout-ms", "250");
    let (_, body) = call(request).await;
    assert_eq!(
        body,
        "Some(ModelName(\"digits\")) 3 Some(\"x+y\") Some(250ms)"
    );
}

#[tokio::test]
async fn a_deadline_that_is_no_number_is_refused() {
    for text in ["", "-1", "1.5", "soon"] {
        let request = Request::post("/models/m/1").header("x-request-timeout-ms", text);
        let (parts, _) = call(request).await;
        assert_eq!(parts.status, StatusCode::BAD_REQUEST, "{text}");
    }
}

#[tokio::test]
async fn an_error_carries_code_message_id_and_retry_hint() {
    let (parts, body) = call(Request::get("/overloaded").header("x-request-id", "abc")).await;
    assert_eq!(parts.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(parts.headers[header::RETRY_AFTER], "2");
    assert_eq!(parts.headers["x-lockgate-admission-level"], "2");
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(parts.headers["x-request-id"], "abc");
    let expected = r#"{"error":{"code":"overloaded","message":"too busy","request_id":"abc"}}"#;
    assert_eq!(body, expected);
}

#[test]
fn open_inference_errors_are_text_under_error() {
    let error = Error::invalid("input `x` is missing");
    let body = open_inference_error(&error, &RequestId::new("7"));
    let expected = r#"{"error":"input `x` is missing","code":"invalid_request","request_id":"7"}"#;
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[tokio::test]
async fn large_json_is_compressed_as_offered_and_nothing_else() {
    let cases = [
        ("/large", "gzip", Some("gzip"), true),
        ("/large", "deflate", Some("deflate"), true),
        ("/large", "gzip;q=0.1, zstd", Some("zstd"), true),
        ("/large", "br", None, true),
        ("/large?binary", "gzip", None, false),
        ("/small", "gzip", None, false),
    ];
    let mut failed = Vec::new();
    for (path, offer, coding, varies) in cases {
        let (parts, body) = call(Request::get(path).header("accept-encoding", offer)).await;
        let sent = parts.headers.get(header::CONTENT_ENCODING);
        let is_right = sent.map(|value| value.to_str().unwrap()) == coding
            && parts.headers.contains_key(header::VARY) == varies
            && (body.len() < 10_000) == (coding.is_some() || path == "/small");
        if !is_right {
            failed.push((path, offer, parts, body.len()));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn what_was_compressed_inflates_to_what_it_was() {
    use super::decompress::{Coding, inflate};
    for (offer, coding) in [
        ("gzip", Coding::Gzip),
        ("deflate", Coding::Deflate),
        ("zstd", Coding::Zstd),
    ] {
        let (_, body) = call(Request::get("/large").header("accept-encoding", offer)).await;
        let inflated = inflate(coding, body, 1 << 20).unwrap();
        assert_eq!(inflated, "[1.5,2.5]".repeat(10_000));
    }
}

#[tokio::test]
async fn every_call_is_one_access_line_and_our_failures_are_errors() {
    let log = RecordedLog::start();
    for path in ["/small?q=1", "/answered", "/overloaded", "/boom"] {
        call(Request::get(path).header("x-request-id", "t1")).await;
    }
    insta::assert_snapshot!(log.text(), @r#"
    INFO access message=call answered id=t1 method=GET path="/small" status=200 bytes=2
    INFO access message=call answered id=t1 method=GET path="/answered" status=200 model="digits" version="2" arm="treatment" bytes=2
    INFO access message=call answered id=t1 method=GET path="/overloaded" status=429 bytes=70
    ERROR protocols::rest::frame message=call failed id=t1 code="internal" error=the server failed to answer this request; its log says why diagnostic="handler panicked: the secret of the handler"
    INFO access message=call answered id=t1 method=GET path="/boom" status=500 bytes=118
    "#);
}

mod foreign_bytes {
    use proptest::prelude::*;

    use super::super::decompress::{Coding, inflate};
    use super::*;

    proptest! {
        #[test]
        fn no_compressed_bytes_panic_or_pass_the_limit(
            data in prop::collection::vec(any::<u8>(), 0..200),
            coding in prop::sample::select(vec![Coding::Gzip, Coding::Deflate, Coding::Zstd]),
        ) {
            if let Ok(inflated) = inflate(coding, data.into(), 100) {
                prop_assert!(inflated.len() <= 100);
            }
        }

        #[test]
        fn any_header_value_gives_a_legal_id(value in prop::collection::vec(32_u8..=255, 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(id::REQUEST_ID, value)]);
                prop_assert!(HeaderValue::from_str(request_id(&headers).as_str()).is_ok());
            }
        }
    }
}
