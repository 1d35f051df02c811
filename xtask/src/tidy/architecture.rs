//! `ARCHITECTURE.md` names every crate, and only files that exist.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const DOCUMENT: &str = "ARCHITECTURE.md";

/// Every crate that the document forgets and every path that it invents.
pub(crate) fn breaches(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(DOCUMENT)).context(DOCUMENT)?;
    let mut breaches = Vec::new();
    for entry in fs::read_dir(root.join("crates")).context("crates")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !text.contains(&format!("crates/{name}")) {
            breaches.push(format!("{DOCUMENT}: does not name `crates/{name}`"));
        }
    }
    for path in paths(&text).filter(|path| !root.join(path).exists()) {
        breaches.push(format!("{DOCUMENT}: names `{path}`, which does not exist"));
    }
    Ok(breaches)
}

/// What stands in backticks and is a path below one of our folders.
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
    fn a_crate_that_is_forgotten_and_a_file_that_is_invented_are_told() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["crates/known", "crates/forgotten"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let text = "Read `crates/known`, then `docs/invented.md` and `src/any.rs`.";
        fs::write(root.path().join(DOCUMENT), text).unwrap();
        let expected = [
            "ARCHITECTURE.md: does not name `crates/forgotten`",
            "ARCHITECTURE.md: names `docs/invented.md`, which does not exist",
        ];
        assert_eq!(breaches(root.path()).unwrap(), expected);
    }

    #[test]
    fn patterns_and_places_to_fill_in_are_no_paths() {
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
