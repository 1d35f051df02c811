//! Versions: a number or a name, ordered by the numbers inside.
//!
//! Rule of the order: a version is cut into runs of digits and runs of other characters, which are
//! compared pairwise, digits by value and the rest as text; so `v1.10` follows `v1.9`, `10` follows
//! `9`, and a version follows its own prefix. Versions that differ only in leading zeros are
//! ordered as text, so that the order is total.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

const MAX_BYTES: usize = 128;

/// The checked version of a model: `3`, `v1.0`, `2026-11-01`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

impl Version {
    /// Checks an untrusted version.
    ///
    /// # Errors
    /// `invalid_request` unless it has 1 to 128 ASCII letters, digits, dots, dashes, underscores
    /// or pluses, starts with a letter or digit, and contains a digit.
    pub fn new(version: &str) -> Result<Self> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        let is_version = version.len() <= MAX_BYTES
            && version.starts_with(|c: char| c.is_ascii_alphanumeric())
            && version.contains(|c: char| c.is_ascii_digit())
            && version.chars().all(is_allowed);
        if !is_version {
            return Err(Error::invalid(format!(
                "a version is a number or a name with a number such as `v1.0`, got {version:?}"
            )));
        }
        Ok(Self(version.into()))
    }

    /// Returns the version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (runs(&self.0), runs(&other.0));
        loop {
            let order = match (left.next(), right.next()) {
                (None, None) => return self.0.cmp(&other.0),
                (None, Some(_)) => Ordering::Less,
                (Some(_), None) => Ordering::Greater,
                (Some(a), Some(b)) => compare_runs(a, b),
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Returns the maximal runs of digits and of other bytes. Versions are ASCII.
fn runs(version: &str) -> impl Iterator<Item = &[u8]> {
    version
        .as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
}

fn compare_runs(a: &[u8], b: &[u8]) -> Ordering {
    let is_number = |run: &[u8]| run.first().is_some_and(u8::is_ascii_digit);
    match (is_number(a), is_number(b)) {
        (true, true) => compare_numbers(a, b),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.cmp(b),
    }
}

/// Compares digits by value without parsing, so that no number is too long.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |run: &'_ [u8]| run.iter().position(|&digit| digit != b'0');
    let trim = |run: &'_ [u8]| run.len() - significant(run).unwrap_or(run.len());
    trim(a).cmp(&trim(b)).then_with(|| {
        let tail = |run: &[u8]| {
            run.iter()
                .copied()
                .skip_while(|&d| d == b'0')
                .collect::<Vec<_>>()
        };
        tail(a).cmp(&tail(b))
    })
}

/// The version that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum VersionSelector {
    /// Nothing, or `latest`: the highest version that is ready.
    #[default]
    Latest,
    /// This text: a version, or a label.
    Named(Arc<str>),
}

impl VersionSelector {
    /// Parses the text of a caller; no text and the empty text mean the latest version.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("" | "latest") => Self::Latest,
            Some(named) => Self::Named(named.into()),
        }
    }
}

impl fmt::Display for VersionSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Named(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        Version::new(text).unwrap()
    }

    #[test]
    fn versions_are_ordered_by_their_numeric_parts() {
        let ordered = [
            "v1",
            "v1.0",
            "v1.9",
            "v1.10",
            "v2",
            "1",
            "2",
            "10",
            "2026-9-30",
            "2026-11-01",
            "99999999999999999999999999",
        ];
        let mut sorted: Vec<_> = ordered.iter().rev().map(|text| version(text)).collect();
        sorted.sort();
        let texts: Vec<_> = sorted.iter().map(Version::as_str).collect();
        assert_eq!(texts, ordered);
    }

    #[test]
    fn folder_names_that_are_no_versions_are_refused() {
        for text in ["", "abc", ".1", "1 ", "a/1", "1.tmp~", "-1", "é1"] {
            assert!(Version::new(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a-c0-2.]{1,6}", b in "[a-c0-2.]{1,6}", c in "[a-c0-2.]{1,6}") {
            let versions: Vec<_> =
                [a, b, c].iter().filter_map(|text| Version::new(text).ok()).collect();
            for x in &versions {
                for y in &versions {
                    prop_assert_eq!(x.cmp(y), y.cmp(x).reverse());
                    prop_assert_eq!(x.cmp(y).is_eq(), x == y);
                    for z in &versions {
                        prop_assert!(!(x <= y && y <= z) || x <= z);
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_version_is_counted_in_bytes() {
        for (n_bytes, is_allowed) in [(1, true), (128, true), (129, false)] {
            assert_eq!(
                Version::new(&"1".repeat(n_bytes)).is_ok(),
                is_allowed,
                "{n_bytes}"
            );
        }
    }

    #[test]
    fn nothing_and_latest_ask_for_the_same() {
        for text in [None, Some(""), Some("latest")] {
            assert_eq!(
                VersionSelector::parse(text),
                VersionSelector::Latest,
                "{text:?}"
            );
        }
        assert_eq!(VersionSelector::default(), VersionSelector::Latest);
        for text in ["1", "stable", "Latest", " latest"] {
            let selector = VersionSelector::parse(Some(text));
            assert_eq!(selector, VersionSelector::Named(text.into()));
            assert_eq!(selector.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_by_value(a in any::<u64>(), b in any::<u64>(), n_zeros in 0..4_usize) {
            let padded = |number: u64| version(&format!("v{}{number}", "0".repeat(n_zeros)));
            let plain = |number: u64| version(&format!("v{number}"));
            prop_assert_eq!(plain(a).cmp(&plain(b)), a.cmp(&b));
            if a != b {
                prop_assert_eq!(padded(a).cmp(&plain(b)), a.cmp(&b));
            }
        }

        #[test]
        fn a_version_follows_its_own_prefix(text in "[a-z0-9][a-z0-9.]{1,12}", at in 1..12_usize) {
            let prefix = text.get(..at).and_then(|prefix| Version::new(prefix).ok());
            if let (Some(prefix), Ok(whole)) = (prefix, Version::new(&text)) {
                prop_assert!(prefix <= whole);
            }
        }

        #[test]
        fn a_version_that_is_accepted_is_one_folder_of_ascii(text in any::<String>()) {
            if let Ok(version) = Version::new(&text) {
                prop_assert!(text.is_ascii() && !text.contains(['/', '\\', ' ']));
                prop_assert!(!text.starts_with('.') && version.to_string() == text);
            }
        }
    }
}
