//! Sizes of the crates, and the crates that a folder must not know.
//!
//! Input: own lines and paths of every file outside tests. Rule: a crate above its limit is cut
//! before it grows further; routing does not know who decides about it, and what decides about
//! rollouts has no tasks and no clock.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use super::source::{SourceFile, is_test_only};

/// Largest number of own lines of a crate; above it, a decision record has to argue why.
const MAX_LINES: usize = 20_000;

/// Crates with a lower limit: what every request passes stays small enough to be read in a week.
const LOWER_LIMITS: [(&str, usize); 1] = [("crates/serving", 17_000)];

/// Modules, each with a crate that they must not name.
const SEPARATED: [(&str, &str); 5] = [
    ("crates/serving/src/route", "rollout"),
    ("crates/rollout/src/config", "tokio"),
    ("crates/rollout/src/evidence", "tokio"),
    ("crates/rollout/src/simulate", "tokio"),
    ("crates/rollout/src/state", "tokio"),
];

/// Returns one line for each crate that is too large, and for each forbidden path.
pub(crate) fn breaches(files: &[SourceFile]) -> Vec<String> {
    let too_large = sizes(files)
        .into_iter()
        .filter_map(|(name, n_lines)| too_large(name, n_lines));
    too_large
        .chain(files.iter().filter_map(forbidden))
        .collect()
}

fn sizes(files: &[SourceFile]) -> BTreeMap<&str, usize> {
    let mut sizes = BTreeMap::new();
    for file in files {
        if let Some((name, _)) = file.path.split_once("/src/") {
            *sizes.entry(name).or_default() += file.n_own_lines;
        }
    }
    sizes
}

fn too_large(name: &str, n_lines: usize) -> Option<String> {
    let lower = LOWER_LIMITS.iter().find(|(known, _)| *known == name);
    let limit = lower.map_or(MAX_LINES, |(_, limit)| *limit);
    (n_lines > limit).then(|| format!("{name}: {n_lines} own lines, the limit is {limit}"))
}

fn forbidden(file: &SourceFile) -> Option<String> {
    let is_inside = |module: &str| {
        let rest = file.path.strip_prefix(module);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    let (module, name) = SEPARATED.iter().find(|(module, _)| is_inside(module))?;
    let mut names = Names {
        name,
        is_found: false,
    };
    names.visit_file(&file.syntax);
    names
        .is_found
        .then(|| format!("{}: `{module}` must not know `{name}`", file.path))
}

/// Search for paths that start with a name, outside tests.
struct Names {
    name: &'static str,
    is_found: bool,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(tree) = &item.tree {
            self.is_found |= tree.ident == self.name;
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let first = path.segments.first().filter(|_| path.segments.len() > 1);
        self.is_found |= first.is_some_and(|segment| segment.ident == self.name);
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile::parse(path.to_owned(), text.to_owned()).unwrap();
        breaches(&[file])
    }

    #[test]
    fn routing_names_no_rollout() {
        let line =
            |path: &str| format!("{path}: `crates/serving/src/route` must not know `rollout`");
        for path in [
            "crates/serving/src/route.rs",
            "crates/serving/src/route/rules.rs",
        ] {
            assert_eq!(found(path, "use rollout::config::Span;"), [line(path)]);
            assert_eq!(found(path, "fn f(x: rollout::Span) {}"), [line(path)]);
            let allowed = "use stats::rollout; fn f(rollout: Rollout) -> Rollout { rollout }";
            assert_eq!(found(path, allowed), [""; 0]);
            let tests = "#[cfg(test)] mod tests { use rollout::state; }";
            assert_eq!(found(path, tests), [""; 0]);
        }
        let other = "crates/serving/src/router.rs";
        assert_eq!(found(other, "use rollout::config::Span;"), [""; 0]);
    }

    #[test]
    fn a_crate_may_be_as_large_as_its_limit() {
        for (name, limit) in [("crates/serving", 17_000), ("crates/api", 20_000)] {
            assert_eq!(too_large(name, limit), None);
            let line = format!("{name}: {} own lines, the limit is {limit}", limit + 1);
            assert_eq!(too_large(name, limit + 1), Some(line));
        }
    }
}
