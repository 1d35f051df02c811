//! Every error situation, with the words that existing clients search for.

use contract::Code;

use super::*;

/// A request for `scores` with these members beside a sound input.
fn sound(rest: &str) -> TestRequest {
    let input = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;
    post(
        "/v2/models/scores/infer",
        format!(r#"{{"inputs":[{input}]{rest}}}"#),
    )
}

/// A request for `scores` with this input.
fn input(input: &str) -> TestRequest {
    post(
        "/v2/models/scores/infer",
        format!(r#"{{"inputs":[{input}]}}"#),
    )
}

/// Checks status and words of each answer, and that the body is the error of the protocol.
fn check(router: &Router, rows: Vec<(TestRequest, u16, &str)>) {
    let wrong: Vec<_> = rows
        .into_iter()
        .filter_map(|(ask, status, words)| {
            let answer = ask.answer(router);
            let error = answer.json();
            let is_right = answer.status == status
                && answer.header("content-type") == Some("application/json")
                && error["error"]
                    .as_str()
                    .is_some_and(|text| text.contains(words))
                && error["code"].is_string()
                && error["request_id"].is_string();
            let text = String::from_utf8_lossy(&ask.body);
            (!is_right).then(|| format!("{} {text}\n  {} {error}", ask.path, answer.status))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unknown_models_and_versions_are_not_found() {
    let unknown = "Request for unknown model:";
    let rows = vec![
        (post("/v2/models/none/infer", "{}"), 404, unknown),
        (
            post("/v2/models/m/versions/2/infer", "{}"),
            404,
            "is not found",
        ),
        (
            post("/v2/models/m/versions/canary/infer", "{}"),
            404,
            unknown,
        ),
        (get("/v2/models/none"), 404, unknown),
        (get("/v2/models/none/ready"), 404, unknown),
        (get("/v2/models/m/versions/2/config"), 404, unknown),
        (get("/v2/models/a%2Fb"), 400, "a model name has no slash"),
        (post("/v2/models/.hidden/infer", "{}"), 400, "leading dot"),
    ];
    check(&echo(), rows);
}

/// Members beside a sound input, and words of the refusal.
const WRONG_MEMBERS: &[(&str, &str)] = &[
    (r#""id":7"#, "`id` must be a string"),
    (r#""outputs":{}"#, "`outputs`"),
    (r#""outputs":[{}]"#, "`outputs[0]`: `name` is missing"),
    (
        r#""outputs":[{"name":"z"}]"#,
        "unexpected inference output `z`",
    ),
    (
        r#""outputs":[{"name":"y"},{"name":"y"}]"#,
        "already exists in request",
    ),
    (r#""parameters":[]"#, "`parameters`"),
    (r#""parameters":{"a":null}"#, "`a` must be a string"),
    (r#""parameters":{"a":[1]}"#, "`a` must be a string"),
    (r#""parameters":{"a":{}}"#, "`a` must be a string"),
    (r#""parameters":{"a":NaN}"#, "`a` must be a string"),
    (r#""parameters":{"timeout":"1"}"#, "`timeout`"),
    (r#""parameters":{"triton_x":1}"#, "`triton_x` is reserved"),
    (r#""parameters":{"headers":"x"}"#, "`headers` is reserved"),
    (r#""inputs":[]"#, "twice"),
];

#[test]
fn wrong_members_are_named() {
    let row =
        |(members, words): &(&str, &'static str)| (sound(&format!(",{members}")), 400, *words);
    check(&echo(), WRONG_MEMBERS.iter().map(row).collect());
}

#[test]
fn malformed_requests_are_refused() {
    let deep = format!("{{\"inputs\":{}{}}}", "[".repeat(101), "]".repeat(101));
    let too_deep = "JSON nesting depth exceeds maximum allowed limit (100)";
    let cases: [(&[u8], &str); 9] = [
        (b"", "the request"),
        (b"[]", "a JSON object"),
        (b"{", "the request"),
        (b"\xff\xfe", "the request"),
        (deep.as_bytes(), too_deep),
        (b"{}", "`inputs` is missing"),
        (br#"{"inputs":{}}"#, "`inputs`"),
        (br#"{"inputs":[1]}"#, "`inputs[0]`"),
        (br#"{"inputs":[]}"#, "input `x` is missing"),
    ];
    let row = |(body, words): (&[u8], _)| {
        let body = Bytes::copy_from_slice(body);
        (post("/v2/models/scores/infer", body), 400, words)
    };
    check(&echo(), cases.into_iter().map(row).collect());
}

const WRONG_COUNT: &str = "shape does not match true shape of 'data' field";
const WRONG_SHAPE: &str = "Unable to parse 'shape'";

/// Members of the input `x`, and words of the refusal.
const WRONG_INPUTS: &[(&str, &str)] = &[
    (r#""shape":[1,2],"data":[1,2]"#, "`datatype` is missing"),
    (
        r#""shape":[1,2],"datatype":"FP8","data":[1,2]"#,
        "datatype `FP8` is unknown",
    ),
    (r#""datatype":"FP32","data":[1,2]"#, "`shape` is missing"),
    (
        r#""shape":[1,-2],"datatype":"FP32","data":[1,2]"#,
        WRONG_SHAPE,
    ),
    (r#""shape":[1.5],"datatype":"FP32","data":[1]"#, WRONG_SHAPE),
    (r#""shape":2,"datatype":"FP32","data":[1,2]"#, WRONG_SHAPE),
    (
        r#""shape":[9223372036854775807,2],"datatype":"FP32","data":[]"#,
        "exceed maximum size",
    ),
    (
        r#""shape":[9223372036854775807],"datatype":"FP32","data":[]"#,
        "byte size overflow",
    ),
    (r#""shape":[1,2],"datatype":"FP32","data":[1]"#, WRONG_COUNT),
    (
        r#""shape":[1,2],"datatype":"FP32","data":[1,2,3]"#,
        WRONG_COUNT,
    ),
    (
        r#""shape":[1,2],"datatype":"FP32","data":["a","b"]"#,
        "input `x`",
    ),
    (
        r#""shape":[1],"datatype":"UINT8","data":[300]"#,
        "input `x`",
    ),
    (r#""shape":[1,2],"datatype":"FP32""#, "`data` is missing"),
    (
        r#""shape":[1,2],"datatype":"FP32","data":[1,2],"parameters":{"binary_data_size":8}"#,
        "exclude each other",
    ),
    (
        r#""shape":[1,2],"datatype":"INT32","data":[1,2]"#,
        "data-type is INT32, but the model expects FP32",
    ),
    (
        r#""shape":[2],"datatype":"FP32","data":[1,2]"#,
        "expected shape [-1, -1], got [2]",
    ),
    (
        r#""shape":[9,1],"datatype":"FP32","data":[1,2,3,4,5,6,7,8,9]"#,
        "batch-size must be <= 8",
    ),
];

#[test]
fn wrong_inputs_are_named() {
    let row = |(members, words): &(&str, &'static str)| {
        (input(&format!(r#"{{"name":"x",{members}}}"#)), 400, *words)
    };
    let mut rows: Vec<_> = WRONG_INPUTS.iter().map(row).collect();
    let one = r#""shape":[1,1],"datatype":"FP32","data":[1]"#;
    let twice = format!(r#"{{"name":"x",{one}}},{{"name":"x",{one}}}"#);
    let region = r#""shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r"}"#;
    rows.extend([
        (input("{}"), 400, "`inputs[0]`: `name` is missing"),
        (
            input(r#"{"name":1}"#),
            400,
            "`inputs[0]`: `name` must be a string",
        ),
        (
            input(&format!(r#"{{"name":"z",{one}}}"#)),
            400,
            "unexpected inference input `z`",
        ),
        (input(&twice), 400, "already exists in request"),
        (
            input(&format!(r#"{{"name":"x",{region}}}"#)),
            501,
            "shared memory",
        ),
    ]);
    check(&echo(), rows);
}

#[test]
fn inputs_of_one_batch_must_agree() {
    let json = r#"{"inputs":[{"name":"INPUT0","shape":[2,2],"datatype":"FP32","data":[1,2,3,4]},{"name":"INPUT1","shape":[1],"datatype":"BYTES","data":["a"]}]}"#;
    let rows = vec![(
        post("/v2/models/m/infer", json),
        400,
        "input `INPUT1`: the first dimension is 1",
    )];
    check(&echo(), rows);
}

#[test]
fn bytes_that_do_not_add_up_are_refused() {
    let json = |size: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    let path = "/v2/models/scores/infer";
    let binary = |size: &str, blob: &[u8]| post_binary(path, &json(size), blob);
    let with_length =
        |length: &str| post(path, "{}").with("Inference-Header-Content-Length", length);
    let rows = vec![
        (binary("8", &[0; 7]), 400, "unexpected size for input"),
        (
            binary("8", &[0; 9]),
            400,
            "unexpected additional input data",
        ),
        (post(path, json("8")), 400, "unexpected size for input"),
        (
            binary("7", &[0; 7]),
            400,
            "input `x`: shape [1, 2] of FP32 needs 8 bytes",
        ),
        (binary("-1", &[0; 8]), 400, "`binary_data_size`"),
        (binary("8.0", &[0; 8]), 400, "`binary_data_size`"),
        (
            with_length("x"),
            400,
            "Unable to parse Inference-Header-Content-Length",
        ),
        (
            with_length("3"),
            400,
            "inference header size should be in range",
        ),
    ];
    check(&echo(), rows);
}

#[test]
fn errors_of_the_server_keep_their_code() {
    let rows = [
        (Code::QueueFull, 503, "queue_full"),
        (Code::DeadlineExceeded, 504, "deadline_exceeded"),
        (Code::EngineFailed, 500, "engine_failed"),
        (Code::EngineLost, 503, "engine_lost"),
        (Code::ModelNotReady, 503, "model_not_ready"),
    ];
    for (code, status, word) in rows {
        let server = EchoServer::new(models()).failing(Error::new(code, "for a reason"));
        let answer = sound("").answer(&served(context_of(server)));
        assert_eq!(answer.status, status);
        let error = answer.json();
        assert_eq!(
            (&error["code"], &error["error"]),
            (&json!(word), &json!("for a reason"))
        );
        assert_eq!(
            answer.header("retry-after").is_some(),
            status == 503,
            "{word}"
        );
    }
}

#[test]
fn errors_look_as_the_protocol_says() {
    let asks = [
        post("/v2/models/none/infer", "{}"),
        sound(r#","outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}]"#),
        sound(r#","parameters":{"priority":-1}"#),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn unknown_paths_and_wrong_methods_have_the_error_body() {
    let asks = [
        get("/v2/unknown"),
        get("/v2/models/m/infer"),
        post("/v2/health/ready", ""),
        post("/v2/models/m/infer/", "{}"),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}
