//! Which crate may depend on what: the star, sources, licences, and one version of each big crate.
//!
//! Decision: read from `cargo metadata` and `cargo tree` instead of another tool, which a clean machine would have
//! to build for minutes before every cold run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// Leaf crates have one workspace dependency, the contract.
const LEAVES: [&str; 4] = [
    "lockgate-engines",
    "lockgate-monitor",
    "lockgate-protocols",
    "lockgate-serving",
];

const CONTRACT: &str = "lockgate-contract";

/// Crates whose tree has no web, protobuf, metrics or native-runtime crate in it.
const PURE: [&str; 2] = [CONTRACT, "lockgate-serving"];

const IMPURE: [&str; 8] = [
    "axum",
    "hyper",
    "tonic",
    "prost",
    "prometheus-client",
    "ort",
    "ort-sys",
    "reqwest",
];

/// Crates that must not be built twice: their types cross our boundaries, or they build for long.
const SINGLE: [&str; 9] = [
    "axum", "hyper", "tonic", "prost", "tokio", "rustls", "http", "bytes", "half",
];

const BANNED: [(&str, &str); 3] = [
    (
        "ring",
        "two crypto providers panic at start; aws-lc-rs is ours",
    ),
    ("openssl-sys", "links the system's library; rustls is ours"),
    ("serde_yaml", "unmaintained; serde-saphyr is ours"),
];

const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "0BSD",
    "BSL-1.0",
    "Unlicense",
];

/// Every rule that the dependencies break.
pub(crate) fn breaches(root: &Path) -> Result<Vec<String>> {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()]);
    let metadata = command.exec().context("cargo metadata")?;
    let mut breaches = check_leaf_dependencies(&metadata);
    breaches.extend(purity(&metadata));
    let tree = tree_text(root)?;
    let tree: BTreeSet<_> = tree.lines().filter_map(name_and_version).collect();
    let is_built = |package: &&Package| {
        let version = format!("v{}", package.version);
        tree.contains(&(package.name.as_str(), version.as_str()))
    };
    let built: Vec<_> = metadata.packages.iter().filter(is_built).collect();
    breaches.extend(built.iter().copied().filter_map(foreign_package));
    breaches.extend(duplicates(&built));
    Ok(breaches)
}

/// All packages that something here is built from, tests included, a line each. The metadata also has
/// packages that only features name which nobody switches on.
fn tree_text(root: &Path) -> Result<String> {
    let output = Command::new("cargo")
        .args(["tree", "--workspace", "--all-features", "--target", "all"])
        .args(["--locked", "--prefix", "none", "--format", "{p}"])
        .current_dir(root)
        .output()
        .context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The start of a line such as `serde v1.0.228 (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?))
}

fn check_leaf_dependencies(metadata: &Metadata) -> Vec<String> {
    let members: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let mut breaches = Vec::new();
    for package in metadata.workspace_packages() {
        let is_leaf = LEAVES.contains(&package.name.as_str());
        for dependency in &package.dependencies {
            let is_member = members.contains(&dependency.name);
            let is_allowed = package.name == "lockgate" || (is_leaf && dependency.name == CONTRACT);
            if is_member && !is_allowed {
                breaches.push(format!(
                    "{}: depends on {}; leaf crates know only the contract",
                    package.name, dependency.name
                ));
            }
        }
    }
    breaches
}

fn purity(metadata: &Metadata) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in metadata.workspace_packages() {
        if PURE.contains(&package.name.as_str()) {
            for name in tree(metadata, &package.id) {
                if IMPURE.contains(&name.as_str()) {
                    breaches.push(format!("{}: has {name} in its tree", package.name));
                }
            }
        }
    }
    breaches
}

/// The names of all packages that a package is built from, tests left out.
fn tree(metadata: &Metadata, root: &PackageId) -> BTreeSet<String> {
    let nodes: BTreeMap<_, _> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (&node.id, node))
        .collect();
    let mut names = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        for dependency in nodes.get(id).iter().flat_map(|node| &node.deps) {
            let is_built = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development);
            if is_built && names.insert(metadata[&dependency.pkg].name.to_string()) {
                open.push(&dependency.pkg);
            }
        }
    }
    names
}

fn foreign_package(package: &Package) -> Option<String> {
    let source = package.source.as_ref()?;
    if source.repr.starts_with("git+") {
        return Some(format!("{}: comes from a git repository", package.name));
    }
    if let Some((_, reason)) = BANNED
        .iter()
        .find(|(name, _)| *name == package.name.as_str())
    {
        return Some(format!("{}: is banned: {reason}", package.name));
    }
    let licence = package.license.as_deref().unwrap_or("none");
    (!is_allowed(licence)).then(|| format!("{}: has the licence {licence}", package.name))
}

/// Whether one alternative of a licence expression consists of allowed licences.
///
/// Reads the expressions that crates use: alternatives by `OR` or a slash, parts by `AND`, and
/// parentheses around alternatives inside an `AND`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim();
    let conjunction = split_outside_parentheses(expression, " AND ");
    if conjunction.len() > 1 {
        return conjunction.into_iter().all(is_allowed);
    }
    let inner = expression
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.unwrap_or(expression);
    inner
        .split(" OR ")
        .flat_map(|part| part.split('/'))
        .any(|part| LICENCES.contains(&part.trim()))
}

fn split_outside_parentheses<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut searched = 0;
    while let Some(offset) = rest.get(searched..).and_then(|tail| tail.find(separator)) {
        let at = searched + offset;
        let (head, tail) = rest.split_at(at);
        if head.matches('(').count() == head.matches(')').count() {
            parts.push(head);
            rest = tail.get(separator.len()..).unwrap_or_default();
            searched = 0;
        } else {
            searched = at + separator.len();
        }
    }
    parts.push(rest);
    parts
}

fn duplicates(built: &[&Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    for name in SINGLE {
        let versions: Vec<_> = built
            .iter()
            .filter(|package| package.name.as_str() == name)
            .map(|package| package.version.to_string())
            .collect();
        if versions.len() > 1 {
            breaches.push(format!(
                "{name}: is built in versions {}",
                versions.join(" and ")
            ));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_read_as_their_authors_mean_them() {
        let cases = [
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0", false),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(GPL-3.0 OR Apache-2.0) AND BSD-3-Clause AND ISC", true),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("none", false),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(text, ok)| is_allowed(text) != *ok)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_line_of_the_tree_starts_with_name_and_version() {
        let serde = Some(("serde", "v1.0.228"));
        for line in [
            "serde v1.0.228",
            "serde v1.0.228 (*)",
            "serde v1.0.228 (/a/b)",
        ] {
            assert_eq!(name_and_version(line), serde, "{line}");
        }
        assert_eq!(name_and_version(""), None);
        assert_eq!(name_and_version("serde"), None);
    }

    #[test]
    fn parentheses_keep_their_parts_together() {
        let table: [(&str, &[&str]); 5] = [
            ("a", &["a"]),
            ("a AND b AND c", &["a", "b", "c"]),
            ("(a AND b) OR c", &["(a AND b) OR c"]),
            ("(a OR b) AND c", &["(a OR b)", "c"]),
            ("(a AND (b AND c)) AND d", &["(a AND (b AND c))", "d"]),
        ];
        for (text, parts) in table {
            assert_eq!(split_outside_parentheses(text, " AND "), parts, "{text}");
        }
    }

    #[test]
    fn lists_of_crates_contradict_neither_each_other_nor_themselves() {
        for names in [&IMPURE[..], &SINGLE, &LEAVES, &PURE, &LICENCES] {
            let distinct: BTreeSet<_> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "{names:?}");
        }
        assert!(!LEAVES.contains(&CONTRACT));
        let banned = BANNED.map(|(name, _)| name);
        assert!(SINGLE.iter().all(|name| !banned.contains(name)));
    }
}
