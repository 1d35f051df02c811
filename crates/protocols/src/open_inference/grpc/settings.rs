//! The trace and log settings as messages.
//!
//! Rule: a setting without a value returns to its value at the start.

use contract::{ModelName, Result};

use super::generated::inference::log_settings_request::setting_value::ParameterChoice as LogChoice;
use super::generated::inference::log_settings_response::setting_value::ParameterChoice as ShownLog;
use super::generated::inference::{
    LogSettingsRequest, LogSettingsResponse, TraceSettingRequest, TraceSettingResponse,
    log_settings_response, trace_setting_response,
};
use crate::context::Context;
use crate::open_inference::settings::{LOG, RequestedValue, Setting, TRACE, check_change};

/// Checks the changes, and shows the trace settings.
pub(super) fn trace(ctx: &Context, request: TraceSettingRequest) -> Result<TraceSettingResponse> {
    if !request.model_name.is_empty() {
        ctx.catalog.model(&ModelName::new(&request.model_name)?)?;
    }
    for (name, requested) in request.settings {
        check_change(TRACE, &name, &requested_trace(&name, requested.value))?;
    }
    let show = |(name, setting): &(&str, Setting)| {
        let value = trace_setting_response::SettingValue {
            value: texts(setting),
        };
        ((*name).to_owned(), value)
    };
    Ok(TraceSettingResponse {
        settings: TRACE.iter().map(show).collect(),
    })
}

/// Converts a trace setting, which is always a list on the wire; most of them are one text.
fn requested_trace(name: &str, mut values: Vec<String>) -> RequestedValue {
    let is_list =
        |(known, setting): &(&str, Setting)| *known == name && matches!(setting, Setting::List(_));
    match values.len() {
        0 => RequestedValue::Reset,
        1 if !TRACE.iter().any(is_list) => RequestedValue::Text(values.swap_remove(0)),
        _ => RequestedValue::List(values),
    }
}

fn texts(setting: &Setting) -> Vec<String> {
    match setting {
        Setting::Bool(value) => vec![value.to_string()],
        Setting::Number(value) => vec![value.to_string()],
        Setting::Text(value) => vec![(*value).to_owned()],
        Setting::List(values) => values.iter().map(|&value| value.to_owned()).collect(),
    }
}

/// Checks the changes, and shows the log settings.
pub(super) fn log(request: LogSettingsRequest) -> Result<LogSettingsResponse> {
    for (name, requested) in request.settings {
        let requested = match requested.parameter_choice {
            None => RequestedValue::Reset,
            Some(LogChoice::BoolParam(value)) => RequestedValue::Bool(value),
            Some(LogChoice::Uint32Param(value)) => RequestedValue::Number(value),
            Some(LogChoice::StringParam(value)) => RequestedValue::Text(value),
        };
        check_change(LOG, &name, &requested)?;
    }
    let show = |(name, setting): &(&str, Setting)| {
        let choice = match setting {
            Setting::Bool(value) => ShownLog::BoolParam(*value),
            Setting::Number(value) => ShownLog::Uint32Param(*value),
            Setting::Text(value) => ShownLog::StringParam((*value).to_owned()),
            Setting::List(values) => ShownLog::StringParam(values.join(",")),
        };
        let value = log_settings_response::SettingValue {
            parameter_choice: Some(choice),
        };
        ((*name).to_owned(), value)
    };
    Ok(LogSettingsResponse {
        settings: LOG.iter().map(show).collect(),
    })
}
