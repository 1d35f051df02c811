//! The attributes of a request for assignment: its unit and the headers that a split reads,
//! extracted on demand.
//!
//! Rule: a unit is text as it came, without trimming or decoding; integers become decimal text, and
//! every other value is none. A body that is not JSON has no fields; its decoder reports the error.

use std::borrow::Cow;

use contract::{AssignmentAttributes, ServedBy};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::object_members;

/// The header of the version that answered, and the metadata key of gRPC.
const VERSION: HeaderName = HeaderName::from_static("x-lockgate-version");
/// The header of the arm of the split, and the metadata key of gRPC.
const ARM: HeaderName = HeaderName::from_static("x-lockgate-arm");
/// The header of the probability that the arm had, and the metadata key of gRPC.
const PROPENSITY: HeaderName = HeaderName::from_static("x-lockgate-propensity");

/// The attributes of a REST request.
#[derive(Debug)]
pub(crate) struct RestAttributes<'a> {
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The query string.
    pub(crate) query: &'a str,
    /// The body, empty when it is not JSON.
    pub(crate) json: &'a [u8],
    /// The limits for JSON.
    pub(crate) limits: JsonLimits,
}

impl AssignmentAttributes for RestAttributes<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        header(self.headers, name)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        cookie(self.headers, name)
    }

    /// Finds the field in the body, in its `parameters`, where the Open Inference Protocol has
    /// values that are not tensors, or in the query.
    fn field(&self, path: &str) -> Option<Cow<'_, str>> {
        let json = |keys: &mut dyn Iterator<Item = &str>| in_json(self.json, keys, &self.limits);
        json(&mut path.split('.'))
            .or_else(|| json(&mut std::iter::once("parameters").chain(path.split('.'))))
            .or_else(|| in_query(self.query, path))
    }
}

/// Adds the model version and arm that answered to the head of a reply.
pub(crate) fn insert_served_by(served_by: ServedBy, headers: &mut HeaderMap) {
    let fields = [
        (VERSION, Some(served_by.version)),
        (ARM, served_by.arm),
        (PROPENSITY, served_by.propensity),
    ];
    for (name, value) in fields {
        // Versions, names of arms and numbers are visible ASCII, so the conversion cannot fail.
        let value = value.map(HeaderValue::from_maybe_shared);
        if let Some(Ok(value)) = value {
            headers.insert(name, value);
        }
    }
}

/// Returns model, version and arm for the access log.
pub(crate) fn served_by_fields(served_by: Option<&ServedBy>) -> [Option<&str>; 3] {
    let Some(served_by) = served_by else {
        return [None; 3];
    };
    let fields = [
        Some(&served_by.model),
        Some(&served_by.version),
        served_by.arm.as_ref(),
    ];
    fields.map(|field| str::from_utf8(field?).ok())
}

/// Returns the value of a header, when it is text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let value = headers.get(name)?;
    str::from_utf8(value.as_bytes()).ok().map(Cow::Borrowed)
}

/// Returns the value of a cookie, as it came.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let fields = headers.get_all(header::COOKIE).iter();
    let texts = fields.filter_map(|field| str::from_utf8(field.as_bytes()).ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim_start_matches(' ').split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Cow::Borrowed(value))
}

fn in_query(query: &str, name: &str) -> Option<Cow<'static, str>> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| Cow::Owned(value.into_owned()))
}

/// Follows keys through nested objects to a text or an integer.
fn in_json<'a>(
    mut json: &'a [u8],
    keys: &mut dyn Iterator<Item = &str>,
    limits: &JsonLimits,
) -> Option<Cow<'a, str>> {
    for key in keys {
        let members = object_members(json, limits).ok()?;
        let mut members = members.into_iter();
        (_, json) = members.find(|(known, _)| known == key)?;
    }
    match json.first()? {
        b'"' => serde_json::from_slice::<String>(json).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' => integer(json).map(Cow::Borrowed),
        _ => None,
    }
}

/// Returns an integer as it was written; JSON allows no leading zeros and no plus, so the text is
/// canonical.
fn integer(json: &[u8]) -> Option<&str> {
    let text = str::from_utf8(json).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_integer.then_some(text)
}

#[cfg(test)]
mod tests;
