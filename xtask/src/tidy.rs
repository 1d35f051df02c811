//! Checks the rules of the conventions that no compiler checks, and prints the gate numbers.
//!
//! Decision: files are parsed with `syn`, not searched as text, wherever a rule is about code.

mod architecture;
mod crates;
mod dependencies;
mod imports;
mod language;
mod numbers;
mod source;

use std::path::Path;

use anyhow::{Result, bail};

use source::SourceFile;

/// Checks everything and prints each breach; `report` prints the gate numbers as well.
pub(crate) fn run(root: &Path, report: bool) -> Result<()> {
    let files = SourceFile::read_all(root)?;
    let mut breaches: Vec<String> = files.iter().flat_map(SourceFile::breaches).collect();
    breaches.extend(imports::breaches(&files));
    breaches.extend(crates::breaches(&files));
    breaches.extend(architecture::breaches(root)?);
    breaches.extend(dependencies::breaches(root)?);
    let numbers = numbers::Numbers::of(&files, source::n_python_test_lines(root)?);
    breaches.extend(numbers.breaches());
    if report {
        println!("{numbers}");
    }
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the conventions", breaches.len());
    }
    Ok(())
}
