//! The setting `log_level`: a level, or a filter with a level for each part of the server.
//!
//! Rule: a part without `=` is a level. `tracing_subscriber` takes any other word for the name of a
//! part that is logged completely, so that a mistake such as `verbose` would silently log nothing.

use anyhow::{Result, bail};
use tracing_subscriber::EnvFilter;

/// The levels, the least verbose first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Parses a filter; `warning` is accepted as `warn`.
pub(super) fn log_level(text: &str) -> Result<String> {
    // The fields of a span may contain commas, and are used only by experts, so they are not
    // checked.
    let filter = match text.contains('[') {
        true => text.to_owned(),
        false => text
            .split(',')
            .map(part)
            .collect::<Result<Vec<_>>>()?
            .join(","),
    };
    if let Err(error) = EnvFilter::try_new(&filter) {
        bail!("`log_level` `{text}` is not a filter such as `info,serving=debug`: {error}");
    }
    Ok(filter)
}

/// Parses a level, or a name with a level.
fn part(text: &str) -> Result<String> {
    match text.trim().split_once('=') {
        Some((name, level)) => Ok(format!("{}={}", name.trim(), known(level)?)),
        None => known(text),
    }
}

fn known(text: &str) -> Result<String> {
    let level = text.trim().to_ascii_lowercase();
    match level.as_str() {
        "warning" => Ok("warn".to_owned()),
        level if LEVELS.contains(&level) => Ok(level.to_owned()),
        _ => bail!(
            "`log_level` has no level `{}`; the levels are `off`, `error`, `warn`, `info`, `debug` \
             and `trace`, alone or for one part, as in `info,serving=debug`",
            text.trim()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_understood_or_refused_with_the_list() {
        // (written, understood)
        let rows = [
            ("info", Some("info")),
            ("WARN", Some("warn")),
            ("warning", Some("warn")),
            ("off", Some("off")),
            ("info,serving=debug", Some("info,serving=debug")),
            ("info, serving = Warning", Some("info,serving=warn")),
            (
                "serving[request{id=1}]=trace",
                Some("serving[request{id=1}]=trace"),
            ),
            ("verbose", None),
            ("bogus", None),
            ("serving", None),
            ("info,serving=loud", None),
            ("info,", None),
            ("", None),
            ("serving[=", None),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .filter(|(text, expected)| log_level(text).ok().as_deref() != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_refusal_names_the_word_and_what_would_be_right() {
        let error = log_level("verbose").unwrap_err().to_string();
        for part in [
            "`log_level`",
            "`verbose`",
            "`debug`",
            "`info,serving=debug`",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
