//! Checks that `ARCHITECTURE.md` names every crate, and that it and the decision records name only
//! files that exist.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const DOCUMENT: &str = "ARCHITECTURE.md";

/// The folder of the decision records.
const RECORDS: &str = "docs/adr";

/// The table of the decision records.
const INDEX: &str = "README.md";

/// Returns every crate and record that is not listed and every path that does not exist.
pub(crate) fn breaches(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(DOCUMENT)).context(DOCUMENT)?;
    let mut breaches = Vec::new();
    for name in names(root, "crates")? {
        if !text.contains(&format!("crates/{name}")) {
            breaches.push(format!("{DOCUMENT}: does not name `crates/{name}`"));
        }
    }
    breaches.extend(missing_paths(root, DOCUMENT, &text));
    breaches.extend(record_breaches(root)?);
    Ok(breaches)
}

/// Returns the breaches of the decision records: their paths, and their table.
fn record_breaches(root: &Path) -> Result<Vec<String>> {
    let index = format!("{RECORDS}/{INDEX}");
    let table = fs::read_to_string(root.join(&index)).context(INDEX)?;
    let mut breaches = Vec::new();
    for name in names(root, RECORDS)? {
        if name != INDEX && !table.contains(&format!("({name})")) {
            breaches.push(format!("{index}: does not list `{name}`"));
        }
        let record = format!("{RECORDS}/{name}");
        let text = fs::read_to_string(root.join(&record)).with_context(|| record.clone())?;
        breaches.extend(missing_paths(root, &record, &text));
    }
    Ok(breaches)
}

/// Returns the sorted names of the entries of a folder.
fn names(root: &Path, folder: &'static str) -> Result<Vec<String>> {
    let entries = fs::read_dir(root.join(folder)).context(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Returns a breach for each path in `text` that does not exist.
fn missing_paths(root: &Path, document: &str, text: &str) -> Vec<String> {
    let missing = paths(text).filter(|path| !root.join(path).exists());
    missing
        .map(|path| format!("{document}: names `{path}`, which does not exist"))
        .collect()
}

/// Returns the paths in backticks that are below one of our folders.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    const FOLDERS: [&str; 9] = [
        "crates/",
        "xtask/",
        "proto/",
        "examples/",
        "docs/",
        "fuzz/",
        "deploy/",
        "bench/",
        "python/",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| FOLDERS.iter().any(|folder| code.starts_with(folder)))
        .filter(|code| !code.contains([' ', '*', '<', '{']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_in_backticks_are_looked_at() {
        let text = "See `crates/contract/src/error.rs`, crates/none, `cargo test`, `docs/*.md`.";
        assert_eq!(
            paths(text).collect::<Vec<_>>(),
            ["crates/contract/src/error.rs"]
        );
    }

    #[test]
    fn what_is_not_listed_and_what_does_not_exist_is_reported() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["crates/known", "crates/forgotten", RECORDS] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let files = [
            (
                DOCUMENT,
                "Read `crates/known`, then `docs/invented.md` and `src/any.rs`.",
            ),
            ("docs/adr/README.md", "[0001](0001-listed.md)"),
            ("docs/adr/0001-listed.md", "See `crates/known`."),
            ("docs/adr/0002-forgotten.md", "See `crates/renamed`."),
        ];
        for (file, text) in files {
            fs::write(root.path().join(file), text).unwrap();
        }
        let expected = [
            "ARCHITECTURE.md: does not name `crates/forgotten`",
            "ARCHITECTURE.md: names `docs/invented.md`, which does not exist",
            "docs/adr/README.md: does not list `0002-forgotten.md`",
            "docs/adr/0002-forgotten.md: names `crates/renamed`, which does not exist",
        ];
        assert_eq!(breaches(root.path()).unwrap(), expected);
    }

    #[test]
    fn patterns_and_placeholders_are_no_paths() {
        for code in [
            "crates/*/src",
            "docs/<name>.md",
            "crates/{a,b}",
            "bench/x y",
            "target/debug",
        ] {
            let text = format!("See `{code}`.");
            assert_eq!(paths(&text).count(), 0, "{code}");
        }
        assert_eq!(paths("No code at all").count(), 0);
    }
}
