//! Every reply of a documented operation has a documented status and fits its schema.

use api::testing::{Reply, check_reply};

use super::*;
use crate::server::Dialects;

/// A body that is not JSON, one without keys, and one of another type.
const BAD_BODIES: [&str; 3] = ["{", "{}", "5"];

/// Calls an operation and checks its reply; returns its status.
async fn call(
    (router, document): (&Router, &Value),
    (method, path): (&str, &str),
    body: &str,
) -> std::result::Result<u16, String> {
    let request = Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    // The observer of this server is a double, with a media type of its own.
    if path == "/metrics" {
        return Ok(status);
    }
    let media_type = reply.headers().get(header::CONTENT_TYPE).cloned();
    let media_type = media_type.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
    let bytes = axum::body::to_bytes(reply.into_body(), usize::MAX)
        .await
        .unwrap();
    let json = match media_type == "application/json" && !bytes.is_empty() {
        true => Some(serde_json::from_slice(&bytes).unwrap()),
        false => None,
    };
    let reply = Reply {
        method,
        path,
        status,
        media_type: &media_type,
        json: json.as_ref(),
    };
    check_reply(document, reply).map(|()| status)
}

/// The models, with outputs of the types and shapes that the echo server answers.
fn echoing_models() -> Vec<ModelInfo> {
    let mut models = two_models();
    for model in &mut models {
        let Signature { inputs, outputs } = &mut model.signature;
        for (output, input) in outputs.iter_mut().zip(inputs) {
            output.element_type = input.element_type;
            output.dims.clone_from(&input.dims);
        }
    }
    models
}

#[tokio::test]
async fn every_reply_fits_the_document() {
    let router = crate::server::router(&context(echoing_models()), Dialects::ALL);
    let document = document(echoing_models()).await;
    let mut wrong = Vec::new();
    let mut statuses = HashSet::new();
    for (method, path, operation) in operations(&document) {
        let content = &operation["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object().into_iter().flatten();
        let examples = examples.map(|(_, example)| &example["value"]);
        let mut bodies: Vec<_> = examples
            .chain(content.get("example"))
            .map(ToString::to_string)
            .collect();
        match method {
            "get" | "delete" => bodies.push(String::new()),
            _ => bodies.extend(BAD_BODIES.map(str::to_owned)),
        }
        let split =
            r#"{"split": [{"version": "1", "weight": 0.5}, {"version": 2, "weight": 0.5}]}"#;
        bodies.push(split.to_owned());
        bodies.push(r#"{"version": "1"}"#.to_owned());
        for (model, body) in bodies
            .iter()
            .flat_map(|body| [("iris", body), ("nobody", body)])
        {
            let path = filled(path, model);
            match call((&router, &document), (method, &path), body).await {
                Ok(status) => drop(statuses.insert(status)),
                Err(error) => wrong.push(format!("{method} {path} {body}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for status in [200, 202, 400, 404, 501] {
        assert!(statuses.contains(&status), "{status}: {statuses:?}");
    }
}
