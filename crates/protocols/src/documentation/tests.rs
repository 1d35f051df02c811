//! The document is sound and follows the models; the page loads nothing from elsewhere.

use std::collections::HashSet;

use axum::body::Body;
use contract::testing::{EchoServer, model_info};
use contract::{Dimension, ElementType, ModelInfo, Signature, TensorSpec};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::context::ServerInfo;

mod replies;
mod snapshots;

fn tensor(name: &str, element_type: ElementType, dims: &[i64]) -> TensorSpec {
    let dim = |&size: &i64| usize::try_from(size).map_or(Dimension::Dynamic, Dimension::Fixed);
    TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.iter().map(dim).collect(),
        is_optional: false,
    }
}

fn iris(version: &str) -> ModelInfo {
    let signature = Signature {
        inputs: vec![tensor("measures", ElementType::F32, &[-1, 4])],
        outputs: vec![tensor("label", ElementType::Bytes, &[-1])],
    };
    let mut info = model_info("iris", version, signature);
    info.description = "Species of iris flowers".to_owned();
    info
}

fn pair() -> ModelInfo {
    let mut mask = tensor("mask", ElementType::Bool, &[-1]);
    mask.is_optional = true;
    let signature = Signature {
        inputs: vec![
            tensor("words", ElementType::Bytes, &[-1, 2]),
            tensor("weights", ElementType::U8, &[-1, 2, 3]),
            mask,
        ],
        outputs: vec![
            tensor("score", ElementType::F64, &[]),
            tensor("picture", ElementType::I64, &[-1, 3, 224, 224]),
        ],
    };
    model_info("päir/α".replace('/', "%").as_str(), "v1+a", signature)
}

fn two_models() -> Vec<ModelInfo> {
    vec![iris("1"), iris("2"), pair()]
}

fn context(models: Vec<ModelInfo>) -> Arc<Context> {
    let server = Arc::new(EchoServer::new(models));
    Arc::new(Context {
        server: ServerInfo {
            version: "0.1.0".to_owned(),
            is_gpu_available: false,
            is_control_enabled: true,
            is_strict_json: false,
        },
        ..Context::of(&server)
    })
}

async fn get(router: &Router, path: &str) -> (StatusCode, HeaderMap, Bytes) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, body)
}

async fn document(models: Vec<ModelInfo>) -> Value {
    let (status, headers, body) = get(&routes(&context(models)), "/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    serde_json::from_slice(&body).unwrap()
}

/// Every operation as method, path and value.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .collect()
}

/// Calls `visit` with every object of a document.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn every_reference_leads_to_a_component() {
    let document = document(two_models()).await;
    let mut references = Vec::new();
    walk(&document, &mut |object| {
        references.extend(object.get("$ref").and_then(Value::as_str));
    });
    let broken: Vec<_> = references
        .iter()
        .filter(|reference| {
            let pointer = reference.strip_prefix('#');
            pointer
                .and_then(|pointer| document.pointer(pointer))
                .is_none()
        })
        .collect();
    assert!(references.len() > 50, "{}", references.len());
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn every_component_is_used_and_has_a_legal_name() {
    let document = document(two_models()).await;
    let text = document.to_string();
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut wrong = Vec::new();
    for kind in ["schemas", "parameters"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("\"#/components/{kind}/{name}\"");
            if !name.chars().all(is_legal) || !text.contains(&reference) {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn operation_ids_are_unique_even_when_names_differ_only_in_unusual_characters() {
    let mut models = two_models();
    models.push(model_info("i~", "1", Signature::default()));
    models.push(model_info("i§", "1", Signature::default()));
    let document = document(models).await;
    let operations = operations(&document);
    let ids: HashSet<_> = operations
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), operations.len());
}

#[tokio::test]
async fn every_parameter_of_a_path_is_declared_and_no_other() {
    let document = document(two_models()).await;
    let mut wrong = Vec::new();
    for (_, path, operation) in operations(&document) {
        let segments = path.split('/');
        let in_path: HashSet<_> = segments
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters = operation["parameters"].as_array().unwrap();
        let declared: HashSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        if in_path != declared || path.matches(['{', '}']).count() != 2 * in_path.len() {
            wrong.push((path, declared));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn every_group_of_an_operation_is_listed_once() {
    let document = document(two_models()).await;
    let listed: Vec<_> = document["tags"].as_array().unwrap().iter().collect();
    let names: HashSet<_> = listed
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), listed.len());
    let (first, last) = (&listed[0]["name"], listed.last().unwrap());
    assert_eq!(first, "Model iris", "served models are shown first");
    assert_eq!(last["x-folded"], true, "calls of operators are folded");
    assert!(listed[0].get("x-folded").is_none());
    let unlisted: Vec<_> = operations(&document)
        .into_iter()
        .filter(|(_, _, operation)| !names.contains(operation["tags"][0].as_str().unwrap()))
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[tokio::test]
async fn every_error_code_is_listed_with_its_status() {
    let document = document(Vec::new()).await;
    let schema = &document["components"]["schemas"]["ErrorCode"];
    let codes: Vec<_> = schema["enum"].as_array().unwrap().iter().collect();
    let expected = contract::Code::ALL.map(contract::Code::as_str);
    assert_eq!(codes, expected);
    let table = schema["description"].as_str().unwrap();
    assert!(table.contains("| `queue_full` | 503 | yes |"), "{table}");
}

#[tokio::test]
async fn example_bodies_have_the_shapes_of_the_model() {
    let document = document(two_models()).await;
    let body = |path: &str| {
        let media = "requestBody/content/application~1json/example";
        let path = path.replace('~', "~0").replace('/', "~1");
        document
            .pointer(&format!("/paths/{path}/post/{media}"))
            .cloned()
    };
    insta::assert_json_snapshot!(
        "example_bodies",
        [
            body("/models/iris/predict"),
            body("/models/iris/versions/1/predict"),
            body("/v2/models/iris/infer"),
            body("/models/p%C3%A4ir%25%CE%B1/predict"),
            body("/v2/models/p%C3%A4ir%25%CE%B1/versions/v1%2Ba/infer"),
        ]
    );
}

#[tokio::test]
async fn the_operations_cover_both_protocols_and_every_version() {
    let document = document(two_models()).await;
    let lines: Vec<_> = operations(&document)
        .into_iter()
        .map(|(method, path, operation)| {
            let id = operation["operationId"].as_str().unwrap();
            let statuses: Vec<_> = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            format!("{method} {path} {id} {}", statuses.join(" "))
        })
        .collect();
    insta::assert_snapshot!("operations", lines.join("\n"));
}

/// OpenAPI 3.1 requires a description of every response that is no reference.
#[tokio::test]
async fn every_response_has_a_description() {
    let document = document(two_models()).await;
    let mut missing = Vec::new();
    for (method, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let description = response["description"].as_str().unwrap_or_default();
            if response.get("$ref").is_none() && description.is_empty() {
                missing.push(format!("{method} {path} {status}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
async fn the_schemas_of_models_follow_their_signatures() {
    let document = document(two_models()).await;
    let mut schemas = document["components"]["schemas"].clone();
    schemas
        .as_object_mut()
        .unwrap()
        .retain(|name, _| name.starts_with("iris.2") || name.starts_with("p_ir"));
    insta::assert_json_snapshot!("model_schemas", schemas);
}

#[test]
fn the_document_is_kept_until_other_versions_are_ready() {
    let latest = DocumentCache::default();
    let [one, two] = [Arc::new(iris("1")), Arc::new(iris("2"))];
    let version = |info: &SharedModelInfo, is_latest| ReadyVersion {
        info: Arc::clone(info),
        is_latest,
    };
    let json = |ready: Vec<ReadyVersion>| latest.json(ready, "0.1.0").unwrap();
    let first = json(vec![version(&one, true)]);
    let again = json(vec![version(&one, true)]);
    assert_eq!(first.as_ptr(), again.as_ptr());

    let waiting = json(vec![version(&one, true), version(&two, false)]);
    let grown = json(vec![version(&one, false), version(&two, true)]);
    assert!(first != grown && waiting != grown);

    let [one, two] = [Arc::new(iris("1")), Arc::new(iris("2"))];
    let rebuilt = json(vec![version(&one, false), version(&two, true)]);
    assert_eq!(rebuilt, grown);
    assert_ne!(rebuilt.as_ptr(), grown.as_ptr());
}

#[tokio::test]
async fn the_page_loads_everything_from_this_server() {
    let router = routes(&context(two_models()));
    let (status, headers, body) = get(&router, "/docs/").await;
    let html = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    assert!(html.contains("<title>Lockgate</title>"), "{html}");
    for foreign in ["http:", "https:", "=\"//", "{version}"] {
        assert!(!html.contains(foreign), "{foreign} in {html}");
    }

    let sources: Vec<_> = html
        .split(['"'])
        .filter(|text| text.contains("?v=0.1.0"))
        .collect();
    assert_eq!(sources.len(), 6, "{sources:?}");
    for source in sources {
        let (status, headers, body) = get(&router, &format!("/docs/{source}")).await;
        assert_eq!(status, StatusCode::OK, "{source}");
        assert!(!body.is_empty(), "{source}");
        let caching = headers[header::CACHE_CONTROL].to_str().unwrap();
        assert!(caching.contains("immutable"), "{source}: {caching}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'"),
            "{source}: {policy}"
        );
    }
}

#[tokio::test]
async fn scripts_and_styles_have_the_types_that_browsers_insist_on() {
    let router = routes(&context(Vec::new()));
    for (file, expected) in [
        ("start.js", "text/javascript"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("favicon-32x32.png", "image/png"),
    ] {
        let (_, headers, _) = get(&router, &format!("/docs/{file}")).await;
        let found = headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(found.starts_with(expected), "{file}: {found}");
    }
}

#[tokio::test]
async fn the_address_without_slash_leads_to_the_page() {
    let (status, headers, _) = get(&routes(&context(Vec::new())), "/docs").await;
    assert!(status.is_redirection(), "{status}");
    assert_eq!(headers[header::LOCATION], "docs/");
}

#[tokio::test]
async fn files_that_the_page_does_not_have_are_not_found() {
    let router = routes(&context(Vec::new()));
    for file in [
        "nothing.js",
        "index.html",
        "swagger-initializer.js",
        "%2e%2e",
        "..%2fa",
    ] {
        let (status, _, body) = get(&router, &format!("/docs/{file}")).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, StatusCode::NOT_FOUND, "{file}");
        assert_eq!(body["error"]["code"], "route_not_found", "{file}");
    }
}

/// The error code of what the server answers to an operation; `None` when all is well.
async fn failure(router: &Router, method: &str, path: &str, body: String) -> Option<String> {
    let request = Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    if response.status().is_success() {
        return None;
    }
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    let code = body.pointer("/error/code").or(body.get("code"));
    Some(code.and_then(Value::as_str).unwrap_or("none").to_owned())
}

/// A path for one model, and for its latest version.
fn filled(path: &str, model: &str) -> String {
    let model: String = form_urlencoded::byte_serialize(model.as_bytes()).collect();
    path.replace("{model}", &model)
        .replace("{version}", "latest")
        .replace("{label}", "canary")
}

fn server() -> Router {
    crate::server::router(&context(two_models()), crate::server::Dialects::ALL)
}

#[tokio::test]
async fn every_documented_operation_has_a_route() {
    let (router, document) = (server(), document(two_models()).await);
    let mut missing = Vec::new();
    for (method, path, _) in operations(&document) {
        let code = failure(&router, method, &filled(path, "iris"), String::new()).await;
        if matches!(
            code.as_deref(),
            Some("route_not_found" | "method_not_allowed")
        ) {
            missing.push(format!("{method} {path}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
async fn every_example_body_is_accepted() {
    let (router, document) = (server(), document(two_models()).await);
    let mut refused = Vec::new();
    let mut n_accepted = 0;
    for (method, path, operation) in operations(&document) {
        let content = &operation["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object().into_iter().flatten();
        let examples = examples.map(|(model, example)| (model.as_str(), &example["value"]));
        for (model, body) in examples.chain(content.get("example").map(|body| ("iris", body))) {
            let path = filled(path, model);
            match failure(&router, method, &path, body.to_string()).await {
                None => n_accepted += 1,
                Some(code) => refused.push(format!("{method} {path}: {code}: {body}")),
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(n_accepted > 15, "{n_accepted}");
}

#[tokio::test]
async fn refusals_for_load_tell_who_is_admitted() {
    let document = document(two_models()).await;
    let replies = document["components"]["responses"].as_object().unwrap();
    let has_level = |reply: &Value| !reply["headers"]["x-lockgate-admission-level"].is_null();
    let levels: Vec<_> = replies
        .iter()
        .filter(|(_, reply)| has_level(reply))
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "Error429",
        "Error503",
        "OpenInferenceError429",
        "OpenInferenceError503",
    ];
    assert_eq!(levels, expected);
}
