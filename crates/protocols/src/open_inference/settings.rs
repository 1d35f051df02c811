//! Trace and log settings: shown, and not changed at run time.
//!
//! Decision: a change that leaves a setting as it is, or resets it, is accepted; any other one is
//! refused, because a setting that is accepted and has no effect misleads its caller.

use contract::{Code, Error, Result};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(u32),
    /// Text.
    Text(&'static str),
    /// A list of texts.
    List(&'static [&'static str]),
}

/// The requested value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedValue {
    /// The value at the start.
    Reset,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(u32),
    /// Text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

/// Settings by name, in the order in which they are shown.
pub(crate) type Settings = [(&'static str, Setting)];

/// The trace settings of the server and of every model.
pub(crate) const TRACE: &Settings = &[
    ("trace_level", Setting::List(&["OFF"])),
    ("trace_rate", Setting::Text("1000")),
    ("trace_count", Setting::Text("-1")),
    ("log_frequency", Setting::Text("0")),
    ("trace_file", Setting::Text("")),
    ("trace_mode", Setting::Text("triton")),
];

/// The log settings.
pub(crate) const LOG: &Settings = &[
    ("log_file", Setting::Text("")),
    ("log_info", Setting::Bool(true)),
    ("log_warning", Setting::Bool(true)),
    ("log_error", Setting::Bool(true)),
    ("log_verbose_level", Setting::Number(0)),
    ("log_format", Setting::Text("default")),
];

/// Checks that setting `name` of `settings` may become `requested`; unknown names have no meaning.
///
/// # Errors
/// `invalid_request` for a value of the wrong type, `unsupported` for another value.
pub(crate) fn check_change(
    settings: &Settings,
    name: &str,
    requested: &RequestedValue,
) -> Result<()> {
    let Some((name, current)) = settings.iter().find(|(known, _)| *known == name) else {
        return Ok(());
    };
    let (is_same, expected) = match (current, requested) {
        (_, RequestedValue::Reset) => return Ok(()),
        (Setting::Bool(a), RequestedValue::Bool(b)) => (a == b, None),
        (Setting::Number(a), RequestedValue::Number(b)) => (a == b, None),
        (Setting::Text(a), RequestedValue::Text(b)) => (a == b, None),
        (Setting::List(a), RequestedValue::List(b)) => (a == b, None),
        (Setting::Bool(_), _) => (false, Some("`true` or `false`")),
        (Setting::Number(_), _) => (false, Some("a number, 0 or more")),
        (Setting::Text(_), _) => (false, Some("text")),
        (Setting::List(_), _) => (false, Some("a list of texts")),
    };
    match expected {
        None if is_same => Ok(()),
        None => Err(Error::new(
            Code::Unsupported,
            format!("changing setting `{name}` while the server runs is not supported"),
        )),
        Some(expected) => Err(Error::invalid(format!(
            "setting `{name}`: expected {expected}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_without_effect_are_accepted() {
        let text = |text: &str| RequestedValue::Text(text.to_owned());
        let level = |level: &str| RequestedValue::List(vec![level.to_owned()]);
        let cases = [
            (TRACE, "trace_level", level("OFF"), None),
            (TRACE, "trace_level", RequestedValue::Reset, None),
            (TRACE, "trace_rate", text("1000"), None),
            (TRACE, "unknown", text("x"), None),
            (LOG, "log_info", RequestedValue::Bool(true), None),
            (LOG, "log_verbose_level", RequestedValue::Number(0), None),
            (
                TRACE,
                "trace_level",
                level("TIMESTAMPS"),
                Some(Code::Unsupported),
            ),
            (TRACE, "trace_file", text("/etc/x"), Some(Code::Unsupported)),
            (LOG, "log_file", text("x"), Some(Code::Unsupported)),
            (
                LOG,
                "log_verbose_level",
                RequestedValue::Number(1),
                Some(Code::Unsupported),
            ),
            (LOG, "log_info", text("true"), Some(Code::InvalidRequest)),
            (
                TRACE,
                "trace_level",
                text("OFF"),
                Some(Code::InvalidRequest),
            ),
            (
                TRACE,
                "trace_rate",
                RequestedValue::Number(1000),
                Some(Code::InvalidRequest),
            ),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|(settings, name, requested, expected)| {
                let result = check_change(settings, name, requested);
                result.err().map(|error| error.code()) != *expected
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
