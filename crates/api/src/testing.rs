//! Checks of replies against an OpenAPI document, for tests.
//!
//! Decision: the check knows the few keywords of JSON Schema that the document has, and fails on
//! any other, because a complete validator would bring thirty crates for one test.

use serde_json::Value;

/// Keywords that restrict nothing that is checked here.
const ANNOTATIONS: [&str; 6] = [
    "default",
    "description",
    "examples",
    "format",
    "propertyNames",
    "title",
];

/// A reply to a call, as far as the document describes it.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The method of the call.
    pub method: &'a str,
    /// Its path, with or without a query.
    pub path: &'a str,
    /// The status of the reply.
    pub status: u16,
    /// The media type of its body, with or without parameters; empty without a body.
    pub media_type: &'a str,
    /// Its body, when that is JSON.
    pub json: Option<&'a Value>,
}

/// Checks that a reply has a documented status, and a body that fits its schema. The reply of an
/// operation that is not documented must be a failure, in the shape of failures of its protocol.
///
/// # Errors
/// The first difference, with its place in the reply.
pub fn check_reply(document: &Value, reply: Reply<'_>) -> Result<(), String> {
    let Reply {
        method,
        path,
        status,
        media_type,
        json,
    } = reply;
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(document, method, path) else {
        let shape = match path.split('/').nth(1) {
            Some("v2") => "OpenInferenceError",
            Some(_) | None => "Error",
        };
        return match json {
            Some(json) if status >= 400 => check_component(document, shape, json),
            Some(_) | None => Err(format!("{status} of an operation that is not documented")),
        };
    };
    let Some(mut documented) = operation.pointer(&format!("/responses/{status}")) else {
        return Err(format!("{status} is not documented: {json:?}"));
    };
    if let Some(reference) = documented.get("$ref") {
        documented = resolve(document, reference);
    }
    let media_type = media_type.split(';').next().unwrap_or_default();
    match (documented["content"].get(media_type), json) {
        (Some(content), Some(json)) => check_schema(document, &content["schema"], json),
        (Some(_), None) => Ok(()),
        (None, None) if media_type.is_empty() => Ok(()),
        (None, _) => Err(format!("{status} with `{media_type}` is not documented")),
    }
}

/// Checks that a value fits a named schema of the document.
///
/// # Errors
/// The first difference, with its place in the value.
pub fn check_component(document: &Value, name: &str, value: &Value) -> Result<(), String> {
    match document.pointer(&format!("/components/schemas/{name}")) {
        Some(schema) => check_schema(document, schema, value),
        None => Err(format!("the document has no schema `{name}`")),
    }
}

/// Returns the operation of a path: of all that match, the one with the fewest parameters.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let is_parameter = |segment: &str| segment.starts_with('{');
    let matches = |template: &str| {
        let mut pairs = template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && pairs.all(|(known, segment)| known == segment || is_parameter(known))
    };
    let paths = document["paths"].as_object()?.iter();
    let operations = paths.filter_map(|(template, item)| {
        let operation = item.get(method.to_lowercase())?;
        matches(template).then_some((template, operation))
    });
    let n_parameters = |template: &str| template.split('/').filter(|s| is_parameter(s)).count();
    let best = operations.min_by_key(|(template, _)| n_parameters(template));
    best.map(|(_, operation)| operation)
}

fn check_schema(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let check = Check {
        document,
        value,
        place: "reply",
    };
    check.fits(schema)
}

fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
    let target = pointer.and_then(|pointer| document.pointer(pointer));
    target.unwrap_or(&Value::Null)
}

/// A schema of the document beside a value and its place in the reply.
#[derive(Clone, Copy)]
struct Check<'a> {
    document: &'a Value,
    value: &'a Value,
    place: &'a str,
}

impl Check<'_> {
    fn fits(self, schema: &Value) -> Result<(), String> {
        let Value::Object(keywords) = schema else {
            return self.ensure(
                schema == true,
                &format!("not allowed by the schema {schema}"),
            );
        };
        for (keyword, rule) in keywords {
            self.fits_keyword(keyword, rule, schema)?;
        }
        Ok(())
    }

    fn fits_keyword(self, keyword: &str, rule: &Value, schema: &Value) -> Result<(), String> {
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

    fn fits_fields(self, keyword: &str, rule: &Value, schema: &Value) -> Result<(), String> {
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

    fn fits_items(self, keyword: &str, rule: &Value, schema: &Value) -> Result<(), String> {
        let n_first = schema["prefixItems"].as_array().map_or(0, Vec::len);
        for (index, value) in self.value.as_array().into_iter().flatten().enumerate() {
            let rule = match (keyword, index < n_first) {
                ("prefixItems", true) => rule.get(index).unwrap_or(&Value::Null),
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

    fn ensure(self, fits: bool, problem: &str) -> Result<(), String> {
        let text = || format!("{}: {problem}: {}", self.place, self.value);
        fits.then_some(()).ok_or_else(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_another_shape_is_found() {
        let document = json!({"a": {"type": "object", "required": ["n"],
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
            let value = serde_json::from_str(text).unwrap();
            let found = check_schema(&document, &json!({"$ref": "#/a"}), &value);
            assert_eq!(found.is_ok(), fits, "{text}: {found:?}");
        }
    }

    #[test]
    fn the_operation_with_the_fewest_parameters_describes_a_path() {
        let reply = |kind: &str| {
            json!({"get": {"responses": {"200": {
                "content": {"application/json": {"schema": {"type": kind}}}
            }}}})
        };
        let document = json!({
            "paths": {"/a/{b}": reply("string"), "/a/all": reply("array"), "/": reply("object")},
            "components": {"schemas": {"Error": {"required": ["error"]}}},
        });
        let check = |path: &str, status, json: Value| {
            let reply = Reply {
                method: "GET",
                path,
                status,
                media_type: "application/json",
                json: Some(&json),
            };
            check_reply(&document, reply).is_ok()
        };
        assert!(check("/a/1?x=/", 200, json!("b")) && !check("/a/1", 200, json!([])));
        assert!(check("/a/all", 200, json!([])) && check("/", 200, json!({})));
        assert!(!check("/a/1", 201, json!("b")));
        assert!(check("/b", 404, json!({"error": 1})) && !check("/b", 200, json!({"error": 1})));
        assert!(!check("/b", 404, json!({})));
    }
}
