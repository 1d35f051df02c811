//! JSON objects with access by key, and errors that give the path.
//!
//! Decision: `null` is the same as a missing key, because clients that print every field send it;
//! unknown keys have no meaning.

use std::borrow::Cow;

use contract::{Error, Parameter, Parameters, Result};

use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{MAX_MEMBERS, array_items, object_members, require_utf8};

/// A JSON object, cut into its members.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: String,
    members: Vec<(Cow<'a, str>, &'a [u8])>,
    limits: &'a JsonLimits,
}

impl<'a> Object<'a> {
    /// Splits `json` into its members; errors call it `path`.
    pub(super) fn parse(json: &'a [u8], path: String, limits: &'a JsonLimits) -> Result<Self> {
        let members = object_members(json, limits).map_err(|error| error.in_context(&path))?;
        Ok(Self {
            path,
            members,
            limits,
        })
    }

    /// Parses the whole body of a request; an empty body is the same as an object without members.
    pub(super) fn body(json: &'a [u8], limits: &'a JsonLimits) -> Result<Self> {
        let json = match json.trim_ascii() {
            b"" => b"{}",
            json => json,
        };
        let path = "the body".to_owned();
        require_utf8(json).map_err(|error| error.in_context(&path))?;
        Self::parse(json, path, limits)
    }

    /// Returns all members, `null` included.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        let members = self.members.iter();
        members.map(|(key, value)| (&**key, *value))
    }

    /// Returns the member `key` as JSON.
    pub(super) fn get(&self, key: &str) -> Option<&'a [u8]> {
        let mut members = self.members();
        let value = members.find(|(name, _)| *name == key);
        value.map(|(_, json)| json).filter(|json| !is_null(json))
    }

    /// Returns the member `key` as JSON.
    pub(super) fn required(&self, key: &str) -> Result<&'a [u8]> {
        self.get(key).ok_or_else(|| self.error(key, "is missing"))
    }

    /// Returns the text `key`.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        let read = |json| serde_json::from_slice(json);
        self.get(key)
            .map(|json| read(json).map_err(|_| self.error(key, "must be a string")))
            .transpose()
    }

    /// Returns the text `key`.
    pub(super) fn required_text(&self, key: &str) -> Result<String> {
        self.text(key)?.ok_or_else(|| self.error(key, "is missing"))
    }

    /// Returns the boolean `key`.
    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(b"true") => Ok(Some(true)),
            Some(b"false") => Ok(Some(false)),
            Some(_) => Err(self.error(key, "must be `true` or `false`")),
        }
    }

    /// Returns the items of the array `key`, each as JSON; none without the key.
    pub(super) fn array(&self, key: &str) -> Result<Vec<&'a [u8]>> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(json) => array_items(json, self.limits, MAX_MEMBERS)
                .map_err(|error| error.in_context(format_args!("{}: `{key}`", self.path))),
        }
    }

    /// Returns the object `parameters`, whose values are texts, numbers and booleans.
    pub(super) fn parameters(&self) -> Result<Parameters> {
        let mut parameters = Parameters::new();
        let Some(json) = self.get("parameters") else {
            return Ok(parameters);
        };
        let path = format!("{}: `parameters`", self.path);
        let object = Object::parse(json, path, self.limits)?;
        for (name, value) in object.members() {
            let value = parameter(value).ok_or_else(|| {
                object.error(name, "must be a string, an integer, a number or a boolean")
            })?;
            parameters.insert(name.to_owned(), value);
        }
        Ok(parameters)
    }

    /// Returns an error about the member `key`.
    pub(super) fn error(&self, key: &str, what: &str) -> Error {
        Error::invalid(format!("{}: `{key}` {what}", self.path))
    }
}

fn is_null(json: &[u8]) -> bool {
    json.trim_ascii() == b"null"
}

fn parameter(json: &[u8]) -> Option<Parameter> {
    match json.trim_ascii().first()? {
        // Containers are refused without being parsed.
        b'[' | b'{' => return None,
        b'"' => return serde_json::from_slice(json).ok().map(Parameter::Text),
        _ => {}
    }
    match serde_json::from_slice(json).ok()? {
        serde_json::Value::Bool(value) => Some(Parameter::Bool(value)),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Some(Parameter::Int(value)),
            (None, Some(value)) => Some(Parameter::Uint(value)),
            (None, None) => number.as_f64().map(Parameter::Double),
        },
        serde_json::Value::Null
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}
