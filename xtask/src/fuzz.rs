//! `cargo xtask fuzz`: runs every fuzz target for a while, starting from its seeds.
//!
//! Decision: the fuzzer stores its inputs below `target/`, so that `fuzz/corpus` holds only
//! hand-written seeds. The address sanitizer is off: the decoders are safe Rust.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs each target, or only `selected`, for `seconds`; the first finding ends it.
pub(crate) fn run(root: &Path, selected: Option<&str>, seconds: u32) -> Result<()> {
    let is_ready = cargo_fuzz(root).arg("--version").output();
    if !is_ready.is_ok_and(|output| output.status.success()) {
        bail!("fuzzing needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`");
    }
    let mut names = targets(root)?;
    names.retain(|name| selected.is_none_or(|selected| selected == name));
    if names.is_empty() {
        bail!("unknown fuzz target; the targets are in `fuzz/fuzz_targets`");
    }
    for name in names {
        println!("==> {name} for {seconds} s");
        let kept = root.join("target/fuzz-corpus").join(&name);
        fs::create_dir_all(&kept).with_context(|| format!("cannot create `{}`", kept.display()))?;
        let status = cargo_fuzz(root)
            .args(["run", "--sanitizer", "none", &name])
            .arg(&kept)
            .arg(root.join("fuzz/corpus").join(&name))
            .args(["--", "-rss_limit_mb=2048", "-timeout=10"])
            .arg(format!("-dict={}", root.join("fuzz/words.dict").display()))
            .arg(format!("-max_total_time={seconds}"))
            .status()
            .context("cannot start cargo")?;
        if !status.success() {
            bail!("`{name}` failed; a finding leaves its input in fuzz/artifacts/{name}");
        }
    }
    Ok(())
}

/// Returns the command of cargo-fuzz. It names the nightly toolchain, so `cargo` must be that of
/// rustup.
fn cargo_fuzz(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["+nightly", "fuzz"]);
    command
}

fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_rust_files_in_their_order() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("fuzz/fuzz_targets");
        fs::create_dir_all(&folder).unwrap();
        for name in ["b.rs", "a.rs", "notes.md", "c.rs~"] {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(targets(root.path()).unwrap(), ["a", "b"]);
    }

    #[test]
    fn every_target_of_the_repository_has_seeds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let names = targets(root).unwrap();
        assert!(!names.is_empty());
        for name in names {
            let seeds = root.join("fuzz/corpus").join(&name);
            let n_seeds = fs::read_dir(seeds).map_or(0, Iterator::count);
            assert!(n_seeds > 0, "{name}");
        }
    }
}
