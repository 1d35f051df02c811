//! Inference in JSON.

use std::time::Instant;

use contract::{BoxFuture, InferRequest, InferResponse, Route, Target};

use super::*;

fn scores(data: &str, shape: &str, rest: &str) -> TestRequest {
    let json = format!(
        r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"FP32","data":{data}}}]{rest}}}"#
    );
    post("/v2/models/scores/infer", json)
}

#[test]
fn tensors_come_flat_or_nested_and_leave_flat() {
    let asks = [
        scores("[1,2,3,4]", "[2,2]", r#","id":"42","model_name":"scores""#),
        scores(
            "[[1.5,2],[3,4e2]]",
            "[2,2]",
            r#","id":null,"outputs":[],"parameters":{}"#,
        ),
        scores(
            "[[1],2,[[3],4]]",
            "[1,4]",
            r#","parameters":null,"outputs":null"#,
        ),
        scores("[]", "[0,7]", r#","unknown":{"a":[1]}"#),
        scores("[NaN,Infinity,-Infinity,null]", "[1,4]", ""),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn strict_json_has_null_for_what_is_no_number() {
    let mut ctx = context_of(EchoServer::new(models()));
    ctx.server.is_strict_json = true;
    let router = served(ctx);
    let answer = scores("[NaN,1,-Infinity]", "[1,3]", "").answer(&router);
    assert_eq!(
        answer.json()["outputs"][0]["data"],
        json!([null, 1.0, null])
    );
}

#[test]
fn a_request_chooses_between_strict_json_and_literals() {
    let reply = |is_strict_json: bool, path: &str| {
        let mut ctx = context_of(EchoServer::new(models()));
        ctx.server.is_strict_json = is_strict_json;
        let mut request = scores("[NaN,1,-Infinity]", "[1,3]", "");
        request.path = path.to_owned();
        let answer = request.answer(&served(ctx));
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let literal = reply(true, "/v2/models/scores/infer?strict_json=false");
    assert!(
        literal.contains("\"data\":[NaN,1.0,-Infinity]"),
        "{literal}"
    );
    let null = reply(false, "/v2/models/scores/infer?strict_json=true");
    assert!(null.contains("\"data\":[null,1.0,null]"), "{null}");
}

#[test]
fn bytes_that_are_no_text_are_refused_in_unused_members() {
    let router = echo();
    for path in ["/v2/models/scores/infer", "/v2/repository/index"] {
        let body = b"{\"inputs\":[],\"unknown\":{\"a\":\"\xff\"}}";
        let answer = post(path, body.to_vec()).answer(&router);
        let message = answer.json()["error"].to_string();
        let expected = "malformed JSON at byte 29: expected UTF-8 text";
        assert!(message.contains(expected), "{path}: {message}");
    }
}

#[test]
fn outputs_come_in_the_order_of_the_request() {
    let json = |outputs: &str| {
        format!(
            r#"{{"inputs":[{{"name":"INPUT0","shape":[1,2],"datatype":"FP32","data":[1,2]}},{{"name":"INPUT1","shape":[1],"datatype":"BYTES","data":["\u00e9\u0000"]}}],"outputs":{outputs}}}"#
        )
    };
    let asks = [
        post("/v2/models/m/infer", json("[]")),
        post(
            "/v2/models/m/versions/1/infer",
            json(r#"[{"name":"OUTPUT1"},{"name":"OUTPUT0"}]"#),
        ),
        post(
            "/v2/models/m/versions/3/infer",
            json(r#"[{"name":"OUTPUT1"}]"#),
        ),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn every_datatype_is_read_and_written() {
    let value = |element_type: ElementType| match element_type {
        ElementType::Bool => "true,0",
        ElementType::U8 => "0,255",
        ElementType::U16 => "0,65535",
        ElementType::U32 => "0,4294967295",
        ElementType::U64 => "0,18446744073709551615",
        ElementType::I8 => "-128,127",
        ElementType::I16 => "-32768,32767",
        ElementType::I32 => "-2147483648,2147483647",
        ElementType::I64 => "-9223372036854775808,9223372036854775807",
        ElementType::F16 => "0.1,65504",
        ElementType::BF16 => "3.14159274,NaN",
        ElementType::F32 => "0.1,-Infinity",
        ElementType::F64 => "0.1,1e308",
        ElementType::Bytes => r#""","a\"b""#,
    };
    let asks = ElementType::ALL.map(|element_type| {
        let data = value(element_type);
        let json = format!(
            r#"{{"inputs":[{{"name":"in-{element_type}","shape":[2],"datatype":"{element_type}","data":[{data}]}}],"outputs":[{{"name":"out-{element_type}"}}]}}"#
        );
        post("/v2/models/types/infer", json)
    });
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn classes_take_the_place_of_scores() {
    let classes = |count: &str| {
        format!(r#","outputs":[{{"name":"y","parameters":{{"classification":{count}}}}}]"#)
    };
    let asks = [
        scores("[0.05,0.9,0.05,3,2,1]", "[2,3]", &classes("2")),
        scores("[0.05,0.9]", "[1,2]", &classes("18446744073709551615")),
        scores("[1,2]", "[1,2]", &classes("0")),
        scores("[1,2]", "[1,2]", &classes("\"1\"")),
        scores(
            "[1,2]",
            "[1,2]",
            r#","parameters":{"binary_data_output":true},"outputs":[{"name":"y","parameters":{"classification":1}}]"#,
        ),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn bytes_that_are_no_text_leave_only_as_binary_data() {
    let json = |is_binary: bool| {
        format!(
            r#"{{"inputs":[{{"name":"in-BYTES","shape":[1],"datatype":"BYTES","parameters":{{"binary_data_size":5}}}}],"outputs":[{{"name":"out-BYTES","parameters":{{"binary_data":{is_binary}}}}}]}}"#
        )
    };
    let blob = unhex("01 00 00 00 ff");
    let ask = |is_binary| post_binary("/v2/models/types/infer", &json(is_binary), &blob);
    let answer = ask(false).answer(&echo());
    assert_eq!(answer.status, 400);
    let error = answer.json();
    let message = error["error"].as_str().unwrap();
    assert!(message.starts_with("output `out-BYTES`: "), "{message}");
    assert!(message.contains("binary data"), "{message}");
    assert_eq!(ask(true).answer(&echo()).status, 200);
}

/// Takes note of what it is asked, and of nothing else.
#[derive(Debug)]
struct Recorder {
    echo: EchoServer,
    requests: std::sync::Mutex<Vec<InferRequest>>,
}

impl Infer for Recorder {
    fn route(&self, target: &Target) -> Result<Route> {
        self.echo.route(target)
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        self.requests.lock().unwrap().push(request.clone());
        self.echo.infer(route, request)
    }
}

fn request_of(ask: &TestRequest) -> (InferRequest, Instant) {
    let recorder = Arc::new(Recorder {
        echo: EchoServer::new(models()),
        requests: std::sync::Mutex::default(),
    });
    let ctx = Context {
        infer: Arc::clone(&recorder) as _,
        ..context_of(EchoServer::new(models()))
    };
    let before = tokio::time::Instant::now().into_std();
    let answer = ask.answer(&served(ctx));
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = recorder.requests.lock().unwrap().pop().unwrap();
    (request, before)
}

#[test]
fn parameters_reach_the_request() {
    let parameters = r#","parameters":{"priority":2,"sequence_id":7,"sequence_start":true,"a":1,"b":"t","c":false,"d":0.5,"e":18446744073709551615}"#;
    let (request, _) = request_of(&scores("[1,2]", "[1,2]", parameters));
    assert_eq!(request.priority, 2);
    assert_eq!(request.deadline, None);
    insta::assert_snapshot!(format!("{:#?}", request.parameters));
}

#[test]
fn the_earlier_one_of_header_and_parameter_is_the_deadline() {
    let hour = std::time::Duration::from_secs(3600);
    let timeout = |micros: u128| format!(r#","parameters":{{"timeout":{micros}}}"#);
    let later = timeout(2 * hour.as_micros());
    for (rest, header, expected) in [
        (timeout(hour.as_micros()), None, hour),
        (timeout(hour.as_micros()), Some(2 * hour), hour),
        (later, Some(hour), hour),
        (String::new(), Some(hour), hour),
    ] {
        let mut ask = scores("[1,2]", "[1,2]", &rest);
        if let Some(header) = header {
            ask = ask.with("x-request-timeout-ms", &header.as_millis().to_string());
        }
        let (request, before) = request_of(&ask);
        let budget = request.deadline.unwrap() - before;
        // The head of the request is read after `before` was taken, within the test.
        assert!(
            (expected..expected + hour).contains(&budget),
            "{rest} {header:?}"
        );
    }
}

#[test]
fn large_tensors_go_the_same_way_as_small_ones() {
    let n_values = 300_000;
    let data = vec!["1.5"; n_values].join(",");
    let ask = scores(&format!("[{data}]"), &format!("[1,{n_values}]"), "");
    assert!(ask.body.len() > 1 << 20);
    let answer = ask.answer(&echo());
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with(&format!(r#""data":[{data}]}}]}}"#)));
}

/// Answers without any outputs.
#[derive(Debug)]
struct OutputDroppingServer(EchoServer);

impl Infer for OutputDroppingServer {
    fn route(&self, target: &Target) -> Result<Route> {
        self.0.route(target)
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        Box::pin(async {
            let mut response = self.0.infer(route, request).await?;
            response.outputs.clear();
            Ok(response)
        })
    }
}

#[test]
fn a_lost_output_is_an_error_and_no_shorter_answer() {
    let router = served(Context {
        infer: Arc::new(OutputDroppingServer(EchoServer::new(models()))),
        ..context_of(EchoServer::new(models()))
    });
    for rest in ["", r#","outputs":[{"name":"y"}]"#] {
        let answer = scores("[1]", "[1,1]", rest).answer(&router);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (500, &json!("internal"))
        );
    }
}
