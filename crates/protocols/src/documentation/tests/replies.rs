//! Every reply of a documented operation has a documented status and fits its schema.
//!
//! Decision: the check knows the few keywords of JSON Schema that the document has, and fails on
//! any other, because a complete validator would bring thirty crates for one test.

use http::HeaderValue;

use super::*;
use crate::server::Dialects;

/// Keywords that restrict nothing that is checked here.
const ANNOTATIONS: [&str; 6] = [
    "default",
    "description",
    "examples",
    "format",
    "propertyNames",
    "title",
];

/// A body that is not JSON, one without keys, and one of another type.
const BAD_BODIES: [&str; 3] = ["{", "{}", "5"];

/// A schema of the document beside a value and its place in the reply.
#[derive(Clone, Copy)]
struct Check<'a> {
    document: &'a Value,
    value: &'a Value,
    place: &'a str,
}

impl Check<'_> {
    fn fits(self, schema: &Value) -> std::result::Result<(), String> {
        let Value::Object(keywords) = schema else {
            return self.ensure(schema == true, "a value that must not be here");
        };
        for (keyword, rule) in keywords {
            self.fits_keyword(keyword, rule, schema)?;
        }
        Ok(())
    }

    fn fits_keyword(
        self,
        keyword: &str,
        rule: &Value,
        schema: &Value,
    ) -> std::result::Result<(), String> {
        let all = || rule.as_array().into_iter().flatten();
        let n_fitting = || all().filter(|item| self.fits(item).is_ok()).count();
        match keyword {
            "$ref" => self.fits(resolve(self.document, rule)),
            "allOf" => all().try_for_each(|item| self.fits(item)),
            "anyOf" => self.ensure(n_fitting() > 0, "none of `anyOf`"),
            "oneOf" => self.ensure(n_fitting() == 1, &format!("{} of `oneOf`", n_fitting())),
            "enum" => self.ensure(all().any(|item| item == self.value), "not in `enum`"),
            "type" => {
                let is_kind = |kind: &Value| kind.as_str().is_some_and(|kind| self.is_a(kind));
                let is_any = is_kind(rule) || all().any(is_kind);
                self.ensure(is_any, &format!("not of type {rule}"))
            }
            "minimum" | "maximum" => match (self.value.as_f64(), rule.as_f64()) {
                (Some(number), Some(limit)) => self.ensure(
                    if keyword == "minimum" {
                        number >= limit
                    } else {
                        number <= limit
                    },
                    keyword,
                ),
                _ => Ok(()),
            },
            "required" => all().try_for_each(|name| {
                let is_there = name
                    .as_str()
                    .and_then(|name| self.value.get(name))
                    .is_some();
                self.ensure(is_there || !self.value.is_object(), &format!("no {name}"))
            }),
            "properties" | "additionalProperties" => self.fits_fields(keyword, rule, schema),
            "prefixItems" | "items" => self.fits_items(keyword, rule, schema),
            "minItems" | "maxItems" => {
                let (n, limit) = (self.value.as_array().map(Vec::len), rule.as_u64());
                let n = n.map(|n| n as u64);
                let fits = if keyword == "minItems" {
                    n >= limit
                } else {
                    n <= limit
                };
                self.ensure(n.is_none() || fits, keyword)
            }
            other => self.ensure(ANNOTATIONS.contains(&other), &format!("keyword {other}")),
        }
    }

    fn fits_fields(
        self,
        keyword: &str,
        rule: &Value,
        schema: &Value,
    ) -> std::result::Result<(), String> {
        let known = |name: &str| schema["properties"].get(name);
        for (name, value) in self.value.as_object().into_iter().flatten() {
            let rule = match (keyword, known(name)) {
                ("properties", Some(schema)) => schema,
                ("additionalProperties", None) => rule,
                _ => continue,
            };
            let place = format!("{}.{name}", self.place);
            self.of(value, &place).fits(rule)?;
        }
        Ok(())
    }

    fn fits_items(
        self,
        keyword: &str,
        rule: &Value,
        schema: &Value,
    ) -> std::result::Result<(), String> {
        let n_first = schema["prefixItems"].as_array().map_or(0, Vec::len);
        for (index, value) in self.value.as_array().into_iter().flatten().enumerate() {
            let rule = match (keyword, index < n_first) {
                ("prefixItems", true) => &rule[index],
                ("items", false) => rule,
                _ => continue,
            };
            let place = format!("{}[{index}]", self.place);
            self.of(value, &place).fits(rule)?;
        }
        Ok(())
    }

    fn of<'b>(&'b self, value: &'b Value, place: &'b str) -> Check<'b> {
        Check {
            document: self.document,
            value,
            place,
        }
    }

    fn is_a(self, kind: &str) -> bool {
        match kind {
            "null" => self.value.is_null(),
            "boolean" => self.value.is_boolean(),
            "integer" => self.value.is_i64() || self.value.is_u64(),
            "number" => self.value.is_number(),
            "string" => self.value.is_string(),
            "array" => self.value.is_array(),
            "object" => self.value.is_object(),
            _ => false,
        }
    }

    fn ensure(self, fits: bool, problem: &str) -> std::result::Result<(), String> {
        let text = || format!("{}: {problem}: {}", self.place, self.value);
        fits.then_some(()).ok_or_else(text)
    }
}

fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap()
}

/// Calls an operation and checks its reply; returns its status.
async fn call(
    (router, document): (&Router, &Value),
    (method, path, operation): (&str, &str, &Value),
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
    let is_json = reply.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/json"));
    let bytes = axum::body::to_bytes(reply.into_body(), usize::MAX)
        .await
        .unwrap();
    let mut documented = &operation["responses"][status.to_string()];
    if let Some(reference) = documented.get("$ref") {
        documented = resolve(document, reference);
    }
    let schema = documented["content"]["application/json"].get("schema");
    match (documented.is_null(), schema, is_json && !bytes.is_empty()) {
        (true, ..) => Err(format!("{status} is not documented: {bytes:?}")),
        (false, Some(schema), true) => {
            let value = serde_json::from_slice(&bytes).unwrap();
            let check = Check {
                document,
                value: &value,
                place: "reply",
            };
            check.fits(schema).map(|()| status)
        }
        (false, None, true) => Err(format!("{status} has no schema: {bytes:?}")),
        (false, _, false) => Ok(status),
    }
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
            match call((&router, &document), (method, &path, operation), body).await {
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

#[test]
fn a_value_of_another_shape_is_found() {
    let document = serde_json::json!({"a": {"type": "object", "required": ["n"],
        "properties": {"n": {"type": ["integer", "null"], "minimum": 1}},
        "additionalProperties": false}});
    for (text, fits) in [
        (r#"{"n": 1}"#, true),
        (r#"{"n": null}"#, true),
        (r#"{"n": 0}"#, false),
        (r#"{"n": "1"}"#, false),
        ("{}", false),
        (r#"{"n": 1, "m": 2}"#, false),
        ("[]", false),
    ] {
        let check = Check {
            document: &document,
            value: &serde_json::from_str(text).unwrap(),
            place: "reply",
        };
        let found = check.fits(&serde_json::json!({"$ref": "#/a"}));
        assert_eq!(found.is_ok(), fits, "{text}: {found:?}");
    }
}
