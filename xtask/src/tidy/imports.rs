//! Import circles: modules side by side never import each other in a circle.
//!
//! Input: every path that starts with `crate`, `super` or `self`, and every import of a child, outside
//! tests. Rule: an import counts between the two siblings below the last folder that both modules
//! share, so a parent and its children may know each other, and nobody else in both directions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syn::visit::{self, Visit};

use super::source::{SourceFile, is_test_only};

/// A module as the names from the root of its crate, behind the folder of the crate.
type Module = Vec<String>;

/// Edges between siblings, each with the file of one import.
type Graph = BTreeMap<Module, BTreeMap<Module, String>>;

/// Returns one line for each circle.
pub(crate) fn breaches(files: &[SourceFile]) -> Vec<String> {
    let graph = graph(files);
    let mut seen = BTreeSet::new();
    let mut breaches = Vec::new();
    for start in graph.keys() {
        let Some(circle) = circle(&graph, start) else {
            continue;
        };
        let members: BTreeSet<_> = circle.iter().cloned().collect();
        if seen.insert(members) {
            breaches.push(describe(&graph, &circle));
        }
    }
    breaches
}

fn graph(files: &[SourceFile]) -> Graph {
    let own: Vec<_> = files.iter().filter(|file| !file.is_test()).collect();
    let modules: BTreeSet<_> = own.iter().filter_map(|file| module(&file.path)).collect();
    let mut graph = Graph::new();
    for file in own {
        let Some(from) = module(&file.path) else {
            continue;
        };
        let mut paths = Paths::default();
        paths.visit_file(&file.syntax);
        for path in paths.0 {
            let Some(to) = resolve(&from, &path, &modules) else {
                continue;
            };
            if let Some((from, to)) = siblings(&from, &to) {
                let edges = graph.entry(from).or_default();
                edges.entry(to).or_insert_with(|| file.path.clone());
            }
        }
    }
    graph
}

/// Returns the module of a file such as `crates/serving/src/route/hash.rs`.
fn module(path: &str) -> Option<Module> {
    let (folder, file) = path.strip_suffix(".rs")?.split_once("/src/")?;
    let mut module = vec![folder.to_owned()];
    if !["lib", "main"].contains(&file) {
        module.extend(file.split('/').map(str::to_owned));
    }
    Some(module)
}

/// Returns the module that a path leads to: the longest part of it that is a file.
fn resolve(from: &[String], path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let mut full: Module = from.to_vec();
    for (index, name) in path.iter().enumerate() {
        match (index, name.as_str()) {
            (0, "crate") => full.truncate(1),
            (_, "self") => {}
            (_, "super") => drop(full.pop()),
            (_, name) => full.push(name.to_owned()),
        }
    }
    while !full.is_empty() && !modules.contains(&full) {
        full.pop();
    }
    (full.len() > 1).then_some(full)
}

/// Returns the siblings above two modules; `None` when one is the parent of the other.
fn siblings(from: &[String], to: &[String]) -> Option<(Module, Module)> {
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let above = |module: &[String]| module.get(..=shared).map(<[_]>::to_vec);
    (shared > 0).then_some(())?;
    Some((above(from)?, above(to)?))
}

/// Returns the shortest way from a module back to itself.
fn circle(graph: &Graph, start: &Module) -> Option<Vec<Module>> {
    let mut before: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(module) = open.pop_front() {
        for next in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
            if before.contains_key(next) {
                continue;
            }
            before.insert(next, module);
            if next == start {
                return Some(way_back(&before, start));
            }
            open.push_back(next);
        }
    }
    None
}

fn way_back(before: &BTreeMap<&Module, &Module>, start: &Module) -> Vec<Module> {
    let mut way = vec![start.clone()];
    let mut module = before.get(start).copied();
    while let Some(at) = module.filter(|at| *at != start) {
        way.push(at.clone());
        module = before.get(at).copied();
    }
    way.reverse();
    way.rotate_right(1);
    way
}

fn describe(graph: &Graph, circle: &[Module]) -> String {
    let shifted = circle.iter().cycle().skip(1);
    let steps = circle.iter().zip(shifted).map(|(from, to)| {
        let edge = graph.get(from).and_then(|edges| edges.get(to));
        let file = edge.map_or("", String::as_str);
        format!("{} -> {} in {file}", from.join("/"), to.join("/"))
    });
    let steps: Vec<_> = steps.collect();
    format!("import circle: {}", steps.join(", "))
}

/// Paths of a file that may lead to modules of its own crate.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn add_tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.add_tree(&tree.tree, path);
                path.pop();
            }
            syn::UseTree::Name(tree) => self.add_name(&tree.ident, path),
            syn::UseTree::Rename(tree) => self.add_name(&tree.ident, path),
            syn::UseTree::Glob(_) => self.0.push(path.clone()),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, path);
                }
            }
        }
    }

    fn add_name(&mut self, name: &syn::Ident, path: &[String]) {
        let mut path = path.to_vec();
        path.push(name.to_string());
        self.0.push(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let is_own = names.first().is_some_and(|name| {
            ["crate", "super", "self"].contains(&name.as_str()) && names.len() > 1
        });
        if is_own {
            self.0.push(names);
        }
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                let path = format!("crates/x/src/{path}.rs");
                SourceFile::parse(path, (*text).to_owned()).unwrap()
            })
            .collect();
        breaches(&files)
    }

    #[test]
    fn siblings_that_import_each_other_are_named_with_their_files() {
        let circle = found(&[
            ("lib", "mod a; mod b;"),
            ("a", "mod deep;"),
            ("a/deep", "use crate::b::B;"),
            ("b", "fn f() -> super::a::A { super::a::A }"),
        ]);
        assert_eq!(
            circle,
            [
                "import circle: crates/x/a -> crates/x/b in crates/x/src/a/deep.rs, crates/x/b -> \
              crates/x/a in crates/x/src/b.rs"
            ]
        );
    }

    #[test]
    fn circles_through_three_modules_are_found_once() {
        let circles = found(&[
            ("a", "use super::b::{self, B};"),
            ("b", "use crate::c;"),
            ("c", "use crate::a::*;"),
        ]);
        assert_eq!(circles.len(), 1, "{circles:?}");
    }

    #[test]
    fn parents_children_and_tests_may_know_each_other() {
        let circles = found(&[
            ("lib", "mod a; mod b; use a::A;"),
            ("a", "mod one; mod two; use one::One;"),
            ("a/one", "use super::A; use super::two::Two;"),
            (
                "a/two",
                "use super::A; #[cfg(test)] mod tests { use super::super::one::One; }",
            ),
            ("b", "use crate::a::A; use std::fmt;"),
            ("a/tests", "use crate::b::B;"),
        ]);
        assert_eq!(circles, [""; 0]);
    }
}
