//! Names of models, which are safe as a folder, as one path segment and as a metric label.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A name is a folder name, so it obeys the limit that file systems have for one.
const MAX_BYTES: usize = 255;

/// The checked name of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// Checks an untrusted name.
    ///
    /// # Errors
    /// `invalid_request` when it is empty, longer than 255 bytes, starts with a dot, or contains a
    /// slash, a backslash, white space or a control character.
    pub fn new(name: &str) -> Result<Self> {
        let is_bad = |c: char| matches!(c, '/' | '\\') || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > MAX_BYTES || name.starts_with('.') {
            return Err(Error::invalid(format!(
                "a model name has 1 to {MAX_BYTES} bytes and no leading dot, got `{}`",
                name.escape_debug()
            )));
        }
        if name.contains(is_bad) {
            return Err(Error::invalid(format!(
                "a model name has no slash, backslash, white space or control character, \
                 got `{}`",
                name.escape_debug()
            )));
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_could_leave_the_repository_are_refused() {
        let refused = [
            "", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\0", "a\n", "/etc",
        ];
        let accepted: Vec<_> = refused
            .iter()
            .filter(|name| ModelName::new(name).is_ok())
            .collect();
        assert!(accepted.is_empty(), "{accepted:?}");
        assert!(ModelName::new(&"m".repeat(256)).is_err());
    }

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for name in ["digits", "digits-image", "a.b_c", "modèle", "v1"] {
            assert_eq!(ModelName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn the_longest_name_is_counted_in_bytes() {
        for (name, is_allowed) in [
            ("m".repeat(255), true),
            ("ü".repeat(127), true),
            ("ü".repeat(128), false),
        ] {
            assert_eq!(
                ModelName::new(&name).is_ok(),
                is_allowed,
                "{} bytes",
                name.len()
            );
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_accepted_is_one_folder_of_the_repository(name in "[./\\\\a ü\n-]{0,8}") {
            if ModelName::new(&name).is_ok() {
                let path = Path::new("repository").join(&name);
                prop_assert_eq!(path.parent(), Some(Path::new("repository")));
                prop_assert_eq!(path.file_name(), Some(name.as_ref()));
            }
        }

        #[test]
        fn a_refusal_is_one_line_whatever_was_asked(name in any::<String>()) {
            if let Err(error) = ModelName::new(&name) {
                prop_assert!(!error.message().contains(['\n', '\r']), "{}", error);
            }
        }
    }
}
