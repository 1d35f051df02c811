//! Rules about dependencies: the star of crates, sources, licences, and one version of each big
//! crate.
//!
//! Decision: the rules use `cargo metadata` and `cargo tree` instead of another tool, which a clean
//! machine would have to build for minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// The ground, which every crate may depend on; a crate of the ground depends only on those before
/// it.
const GROUND: [&str; 6] = [
    "lockgate-contract",
    "lockgate-stats",
    "lockgate-api",
    "lockgate-rollout",
    "lockgate-client",
    "lockgate-report",
];

/// Leaf crates, which know the ground and no other leaf.
const LEAVES: [&str; 6] = [
    "lockgate-engines",
    "lockgate-loadtest",
    "lockgate-monitor",
    "lockgate-protocols",
    "lockgate-serving",
    "lockgate-storage",
];

/// The only leaf that the developer commands use, with its user: the benchmark is a load test.
const XTASK_USES: (&str, &str) = ("xtask", "lockgate-loadtest");

/// Crates whose tree has no web, protobuf, metrics or native-runtime crate in it.
const PURE: [&str; 5] = [
    "lockgate-contract",
    "lockgate-stats",
    "lockgate-api",
    "lockgate-rollout",
    "lockgate-serving",
];

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

/// Returns every breach of the rules about dependencies.
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

/// Returns all packages in the build, tests included, one on each line. The metadata also has
/// packages of features that are never enabled.
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

/// Parses the start of a line such as `serde v1.0.228 (*)`.
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
        for dependency in &package.dependencies {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            if members.contains(to) && !may_depend(from, to) {
                breaches.push(format!(
                    "{from}: depends on {to}; leaf crates know the ground and no other leaf, and a \
                     crate of the ground knows those before it: {}",
                    GROUND.join(", ")
                ));
            }
        }
    }
    breaches
}

/// Returns whether one crate of the workspace may depend on another.
fn may_depend(from: &str, to: &str) -> bool {
    let position = |name: &str| GROUND.iter().position(|ground| *ground == name);
    match (position(from), position(to)) {
        (Some(from), Some(to)) => to < from,
        (None, Some(_)) => from == "lockgate" || LEAVES.contains(&from),
        (_, None) => from == "lockgate" || (from, to) == XTASK_USES,
    }
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

/// Returns the names of all packages that a package is built from, without those of tests.
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

/// Returns whether one alternative of a licence expression consists of allowed licences.
///
/// Parses the expressions that crates use: alternatives by `OR` or a slash, parts by `AND`, and
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
    fn leaves_know_the_ground_and_the_ground_knows_what_is_below_it() {
        let cases = [
            ("lockgate-serving", "lockgate-rollout", true),
            ("lockgate-serving", "lockgate-engines", false),
            ("lockgate-rollout", "lockgate-stats", true),
            ("lockgate-stats", "lockgate-rollout", false),
            ("lockgate-contract", "lockgate-serving", false),
            ("lockgate", "lockgate-serving", true),
            ("xtask", "lockgate-contract", false),
            ("xtask", "lockgate-loadtest", true),
            ("lockgate-serving", "lockgate-loadtest", false),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(from, to, allowed)| may_depend(from, to) != *allowed)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn lists_of_crates_contradict_neither_each_other_nor_themselves() {
        for names in [&IMPURE[..], &SINGLE, &GROUND, &LEAVES, &PURE, &LICENCES] {
            let distinct: BTreeSet<_> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "{names:?}");
        }
        assert!(LEAVES.iter().all(|name| !GROUND.contains(name)));
        let banned = BANNED.map(|(name, _)| name);
        assert!(SINGLE.iter().all(|name| !banned.contains(name)));
    }
}
