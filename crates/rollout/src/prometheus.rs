//! Replies of Prometheus to instant queries.
//!
//! Input: the status and the body of the reply, or the reason why there is none. Rule: a scalar or
//! a vector of one element is a value; an empty vector and `NaN`, which is how Prometheus divides
//! nothing by nothing, are no data; a vector of several elements, another type and a refused query
//! need a person; 408, 429, 5xx and no reply may be better later. Rejected: taking the first of
//! several elements, or their mean, because their order means nothing and the author has to choose.

use contract::HttpReply;
use serde::Deserialize;
use serde_json::Value;

/// Maximum length of the message of another server in reports.
const MAX_MESSAGE_CHARS: usize = 300;

/// The result of one query.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A value.
    Value(f64),
    /// No value: nothing was measured yet.
    NoData,
    /// The query is wrong for this reason, and would be again.
    Invalid(String),
    /// There is no answer for this reason; a later query may get one.
    Unavailable(String),
}

#[derive(Deserialize)]
struct Body {
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

impl Reading {
    /// Reads the reply of Prometheus.
    #[must_use]
    pub fn of_reply(reply: &Result<HttpReply, String>) -> Self {
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => return Self::Unavailable(shortened(why)),
        };
        let body: Option<Body> = serde_json::from_str(&reply.body).ok();
        let status = reply.status;
        if matches!(status, 408 | 429 | 500..) {
            return Self::Unavailable(refusal(status, body));
        }
        if status != 200 {
            return Self::Invalid(refusal(status, body));
        }
        match body.and_then(|body| body.data) {
            Some(data) => Self::of_data(&data),
            None => Self::Invalid(
                "it answered 200 without a result; `url` must be the address of Prometheus"
                    .to_owned(),
            ),
        }
    }

    fn of_data(data: &Data) -> Self {
        let elements = match (data.result_type.as_str(), &data.result) {
            ("scalar", sample) => return Self::of_sample(sample),
            ("vector", Value::Array(elements)) => elements,
            (other, _) => {
                return Self::Invalid(format!(
                    "the query returns a {}, but a gate or a guard needs one number",
                    shortened(other)
                ));
            }
        };
        match elements.as_slice() {
            [] => Self::NoData,
            [element] => Self::of_sample(&element["value"]),
            several => Self::Invalid(format!(
                "the query returns {} values; aggregate them to one, such as with `sum(...)` or \
                 `max(...)`",
                several.len()
            )),
        }
    }

    /// Reads a sample: its time, and its value as text.
    fn of_sample(sample: &Value) -> Self {
        let value = sample.get(1).and_then(Value::as_str);
        match value.and_then(|value| value.parse::<f64>().ok()) {
            Some(value) if value.is_nan() => Self::NoData,
            Some(value) => Self::Value(value),
            None => Self::Invalid(
                "the query returns a histogram, but a gate or a guard needs one number".to_owned(),
            ),
        }
    }
}

/// Returns the words in which Prometheus refused, or the status.
fn refusal(status: u16, body: Option<Body>) -> String {
    match body.and_then(|body| body.error) {
        Some(error) => shortened(&error),
        None => format!("it answered {status}"),
    }
}

fn shortened(message: &str) -> String {
    message.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(status: u16, body: &str) -> Reading {
        Reading::of_reply(&Ok(HttpReply {
            status,
            body: body.to_owned(),
        }))
    }

    fn success(result_type: &str, result: &str) -> Reading {
        let data = format!(r#"{{"resultType":"{result_type}","result":{result}}}"#);
        reading(200, &format!(r#"{{"status":"success","data":{data}}}"#))
    }

    #[test]
    fn one_number_is_a_value_and_nothing_is_no_data() {
        let element = |value: &str| format!(r#"[{{"metric":{{}},"value":[1.5,"{value}"]}}]"#);
        let rows = [
            (success("scalar", r#"[1.5,"0.25"]"#), Reading::Value(0.25)),
            (success("vector", &element("1e-3")), Reading::Value(0.001)),
            (
                success("vector", &element("+Inf")),
                Reading::Value(f64::INFINITY),
            ),
            (success("vector", &element("NaN")), Reading::NoData),
            (success("vector", "[]"), Reading::NoData),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_wrong_query_is_invalid_in_the_words_of_prometheus() {
        let two = r#"[{"value":[1,"1"]},{"value":[1,"2"]}]"#;
        let histogram = r#"[{"metric":{},"histogram":[1,{"count":"1"}]}]"#;
        let refused =
            r#"{"status":"error","errorType":"bad_data","error":"parse error: unclosed"}"#;
        let rows = [
            (success("vector", two), "returns 2 values; aggregate"),
            (success("matrix", "[]"), "returns a matrix"),
            (success("string", r#"[1,"a"]"#), "returns a string"),
            (success("vector", histogram), "returns a histogram"),
            (reading(400, refused), "parse error: unclosed"),
            (reading(404, "404 page not found"), "it answered 404"),
            (reading(302, ""), "it answered 302"),
            (reading(200, "<html>"), "address of Prometheus"),
            (reading(200, r#"{"status":"success"}"#), "without a result"),
        ];
        for (found, expected) in rows {
            let Reading::Invalid(why) = &found else {
                panic!("{expected}: {found:?}");
            };
            assert!(why.contains(expected), "{expected}: {why}");
        }
    }

    #[test]
    fn a_busy_or_silent_prometheus_is_unavailable() {
        let timeout = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        let rows = [
            (reading(503, timeout), "query timed out"),
            (reading(500, ""), "it answered 500"),
            (reading(429, ""), "it answered 429"),
            (reading(408, ""), "it answered 408"),
            (
                Reading::of_reply(&Err("no answer within 10 s".to_owned())),
                "no answer within 10 s",
            ),
        ];
        for (found, expected) in rows {
            assert_eq!(found, Reading::Unavailable(expected.to_owned()));
        }
    }
}
