//! Rules about one Rust file.
//!
//! Own lines are the lines of a file without its inline test modules. A file is a test when it is
//! named `tests.rs` or lies in a folder `tests`; generated files are those in a folder `generated`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::language::{self, DocComments};

const MAX_OWN_LINES: usize = 400;

/// Files that may have up to 600 own lines, each with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

const BAD_NAMES: [&str; 8] = [
    "common", "core", "util", "utils", "helpers", "misc", "lib", "manager",
];

/// Words that mark unfinished work, written so that this file does not contain them.
const LEFT_OVERS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// A parsed file of the workspace.
pub(crate) struct SourceFile {
    /// The path from the root of the repository.
    pub(crate) path: String,
    text: String,
    /// The parsed text.
    pub(crate) syntax: syn::File,
    /// Lines outside inline test modules; none of a test file.
    pub(crate) n_own_lines: usize,
    /// Lines of tests.
    pub(crate) n_test_lines: usize,
    /// Lines of each production function.
    pub(crate) function_lines: Vec<usize>,
    /// The number of `#[expect(...)]` waivers.
    pub(crate) n_waivers: usize,
    /// The doc comments of production code.
    pub(crate) doc_comments: DocComments,
}

impl SourceFile {
    /// Reads every Rust file of the crates and of xtask, generated ones left out.
    pub(crate) fn read_all(root: &Path) -> Result<Vec<Self>> {
        let mut paths = Vec::new();
        for folder in ["crates", "xtask"] {
            collect(&root.join(folder), "rs", &mut paths)?;
        }
        paths.sort();
        paths.iter().map(|path| Self::read(root, path)).collect()
    }

    fn read(root: &Path, path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let relative = path.strip_prefix(root)?.to_string_lossy().into_owned();
        Self::parse(relative, text)
    }

    /// Measures the text of the file at a path from the root.
    pub(crate) fn parse(relative: String, text: String) -> Result<Self> {
        let syntax = syn::parse_file(&text).with_context(|| relative.clone())?;
        let n_lines = text.lines().count();
        let mut measure = Measure::default();
        let is_test = relative.ends_with("/tests.rs") || relative.contains("/tests/");
        if !is_test {
            measure.visit_file(&syntax);
        }
        let n_test_lines = if is_test {
            n_lines
        } else {
            measure.n_test_lines
        };
        let own_text = text.split("#[cfg(test)]").next().filter(|_| !is_test);
        let doc_comments = language::doc_comments(own_text.unwrap_or_default());
        Ok(Self {
            path: relative,
            text,
            syntax,
            doc_comments,
            n_own_lines: n_lines - n_test_lines,
            n_test_lines,
            function_lines: measure.function_lines,
            n_waivers: measure.n_waivers,
        })
    }

    /// Returns every rule that this file breaks, as `path: what is wrong`.
    pub(crate) fn breaches(&self) -> Vec<String> {
        let rules = [
            self.head_breach(),
            self.is_short_enough(),
            self.is_well_named(),
            self.has_ordered_imports(),
            self.left_over_breach(),
            self.keeps_statuses_in_one_table(),
            self.keeps_metric_names_in_one_list(),
        ];
        rules
            .into_iter()
            .flatten()
            .chain(language::refused_words(&self.path, &self.text))
            .map(|breach| format!("{}: {breach}", self.path))
            .collect()
    }

    /// Returns whether all of it is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.n_own_lines == 0
    }

    /// Returns the problem of the first line.
    pub(crate) fn head_breach(&self) -> Option<String> {
        let is_submodule_of_tests = self.path.ends_with("/tests.rs");
        let starts = self.text.starts_with("//!");
        (!starts && !is_submodule_of_tests)
            .then(|| "starts with `//!`: what it is for, then the decision to know".to_owned())
    }

    fn is_short_enough(&self) -> Option<String> {
        let is_long = LONG_FILES.iter().any(|(path, _)| *path == self.path);
        (self.n_own_lines > MAX_OWN_LINES && !is_long).then(|| {
            format!(
                "{} own lines, the limit is {MAX_OWN_LINES}: split it",
                self.n_own_lines
            )
        })
    }

    fn is_well_named(&self) -> Option<String> {
        let path = Path::new(&self.path);
        let stem = path.file_stem()?.to_string_lossy();
        if stem == "mod" {
            return Some("is `foo.rs` beside the folder `foo`, not `mod.rs`".to_owned());
        }
        let is_root = stem == "lib" && path.parent()?.ends_with("src");
        let is_bad = BAD_NAMES.contains(&stem.as_ref()) && !is_root;
        is_bad.then(|| format!("`{stem}` says nothing about what is inside"))
    }

    fn has_ordered_imports(&self) -> Option<String> {
        let modules: Vec<_> = self.syntax.items.iter().filter_map(module_name).collect();
        let mut last = 0;
        for item in &self.syntax.items {
            let syn::Item::Use(item) = item else { continue };
            // Re-exports follow the modules that they come from.
            if !matches!(item.vis, syn::Visibility::Inherited) {
                continue;
            }
            let group = import_group(&item.tree, &modules);
            if group < last {
                let line = item.span().start().line;
                return Some(format!("line {line}: imports go std, external, own crate"));
            }
            last = group;
        }
        None
    }

    /// Returns a word that marks unfinished work, if there is one.
    pub(crate) fn left_over_breach(&self) -> Option<String> {
        let word = LEFT_OVERS.iter().find(|word| self.text.contains(**word))?;
        Some(format!("`{word}` belongs into an issue"))
    }

    fn keeps_statuses_in_one_table(&self) -> Option<String> {
        let is_table = self.path == "crates/protocols/src/status.rs";
        let is_spelled = self.own_text().contains(concat!("Status", "Code::"));
        (is_spelled && !is_table && !self.is_test())
            .then(|| "spells an HTTP status; only `protocols/src/status.rs` does".to_owned())
    }

    fn keeps_metric_names_in_one_list(&self) -> Option<String> {
        let is_list = self.path == "crates/monitor/src/metrics/names.rs";
        if is_list || self.is_test() || !self.path.starts_with("crates/") {
            return None;
        }
        let mut literals = MetricNames::default();
        literals.visit_file(&self.syntax);
        let name = literals.0.first()?;
        Some(format!(
            "spells the metric `{name}`; only `monitor/src/metrics/names.rs` does"
        ))
    }

    /// Returns the text up to the inline tests.
    fn own_text(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or_default()
    }
}

/// Returns the number of lines of the tests in Python.
pub(crate) fn n_python_test_lines(root: &Path) -> Result<usize> {
    let mut paths = Vec::new();
    collect(&root.join("crates"), "py", &mut paths)?;
    let mut n_lines = 0;
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        n_lines += text.lines().count();
    }
    Ok(n_lines)
}

fn collect(folder: &Path, suffix: &str, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !["generated", "target"].contains(&name.as_str()) {
            collect(&path, suffix, paths)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == suffix)
        {
            paths.push(path);
        }
    }
    Ok(())
}

fn module_name(item: &syn::Item) -> Option<String> {
    let syn::Item::Mod(module) = item else {
        return None;
    };
    Some(module.ident.to_string())
}

/// Returns 0 for std, 1 for other crates, 2 for our own crate; `modules` are the modules of this
/// file.
fn import_group(tree: &syn::UseTree, modules: &[String]) -> u8 {
    let syn::UseTree::Path(path) = tree else {
        return 1;
    };
    match path.ident.to_string().as_str() {
        "std" | "core" | "alloc" => 0,
        "crate" | "self" | "super" => 2,
        name if modules.iter().any(|module| module == name) => 2,
        _ => 1,
    }
}

/// Visitor that collects the counts for the gate numbers.
#[derive(Default)]
struct Measure {
    n_test_lines: usize,
    n_waivers: usize,
    function_lines: Vec<usize>,
}

fn n_lines(spanned: &impl Spanned) -> usize {
    let span = spanned.span();
    span.end().line - span.start().line + 1
}

pub(crate) fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|ident| ident == "test")
    })
}

impl<'ast> Visit<'ast> for Measure {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        match is_test_only(&item.attrs) {
            true => self.n_test_lines += n_lines(item),
            false => visit::visit_item_mod(self, item),
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function_lines.push(n_lines(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function_lines.push(n_lines(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        self.n_waivers += usize::from(attribute.path().is_ident("expect"));
    }
}

/// Visitor that collects string literals outside tests that look like the name of a metric.
#[derive(Default)]
struct MetricNames(Vec<String>);

impl<'ast> Visit<'ast> for MetricNames {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        const UNITS: [&str; 4] = ["_total", "_seconds", "_bytes", "_rows"];
        let value = literal.value();
        let is_prefixed = ["lockgate_", "model_", "process_"]
            .iter()
            .any(|p| value.starts_with(p));
        let is_word = value.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_prefixed && is_word && UNITS.iter().any(|unit| value.ends_with(unit)) {
            self.0.push(value);
        }
    }
}

#[cfg(test)]
mod tests;
