//! YAML documents: limits of a document, and error messages in plain words.

use std::borrow::Cow;

use serde_saphyr::{
    Budget, Localizer, MessageFormatter, Options, SnippetMode, UserMessageFormatter,
};

/// Maximum nesting of a document. Settings nest three deep; the rest is room for labels and
/// anchors.
const MAX_DEPTH: usize = 16;

/// Maximum number of nodes of a document: enough for tens of thousands of labels, and few enough to
/// parse in milliseconds.
const MAX_NODES: usize = 100_000;

/// Formats errors for users who write YAML and no Rust.
#[derive(Clone, Copy, Debug)]
struct UserMessages;

impl MessageFormatter for UserMessages {
    fn localizer(&self) -> &dyn Localizer {
        UserMessageFormatter.localizer()
    }

    fn format_message<'a>(&self, error: &'a serde_saphyr::Error) -> Cow<'a, str> {
        if let serde_saphyr::Error::InvalidScalar { ty, .. } = error {
            return Cow::Borrowed(match *ty {
                "f32" | "f64" | "floating point" => "expected a number",
                "bool" | "boolean" => "expected `true` or `false`",
                _ => "expected a whole number that is not negative",
            });
        }
        UserMessageFormatter.format_message(error)
    }
}

/// Returns the message of an error for users who write YAML and no Rust.
#[must_use]
pub fn user_message(error: &serde_saphyr::Error) -> String {
    let options = serde_saphyr::render_options! {
        formatter: &UserMessages,
        snippets: SnippetMode::Off,
    };
    error.render_with_options(options)
}

/// Returns the options for reading a settings file, with its limits.
#[must_use]
pub fn yaml_options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.flow_nesting_limit = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_documents = 1;
    serde_saphyr::options! { budget: Some(budget) }
}
