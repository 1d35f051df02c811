//! `cargo xtask codegen`: generates Rust code from the `.proto` files, or checks that it is up to
//! date.
//!
//! Decision: the output is committed, so that building Lockgate needs no protobuf compiler and a
//! review shows the effect of a change of a `.proto` file. Here the compiler is `protox`, in Rust.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use protox::Compiler;

const PROTO_FOLDER: &str = "proto";
const SOURCES: [&str; 2] = ["inference.proto", "model_repository.proto"];
const OUTPUT_FOLDER: &str = "crates/protocols/src/open_inference/grpc/generated";
/// The Rust module of package `inference`.
const SHARED_MESSAGES: &str = "crate::open_inference::grpc::generated::inference";
/// The codec of Lockgate for messages.
const CODEC: &str = "crate::open_inference::grpc::codec::BoundedCodec";
/// The file for server reflection: the compiled files of `proto/`.
const DESCRIPTORS: &str = "descriptors.bin";

/// Writes the generated code into the workspace at `root`; with `is_check` it fails
/// when that would change a file, and writes nothing.
pub(crate) fn run(root: &Path, is_check: bool) -> Result<()> {
    let fresh = tempfile::tempdir().context("cannot create a folder for the generated code")?;
    generate(&root.join(PROTO_FOLDER), fresh.path())?;
    let committed = root.join(OUTPUT_FOLDER);
    if is_check {
        return compare(fresh.path(), &committed);
    }
    fs::create_dir_all(&committed)
        .with_context(|| format!("cannot create `{}`", committed.display()))?;
    for name in file_names(fresh.path())? {
        let target = committed.join(&name);
        fs::copy(fresh.path().join(&name), &target)
            .with_context(|| format!("cannot write `{}`", target.display()))?;
    }
    Ok(())
}

fn generate(protos: &Path, out: &Path) -> Result<()> {
    let mut compiler = Compiler::new([protos])?;
    if let Err(error) = compiler.include_imports(true).open_files(SOURCES) {
        // The text of the error does not name the file.
        let file = error.file().unwrap_or(PROTO_FOLDER).to_owned();
        return Err(error).context(file);
    }
    fs::write(out.join(DESCRIPTORS), compiler.encode_file_descriptor_set())?;
    // Comments are included only from here on: the generated code needs them, reflection does not.
    compiler.include_source_info(true);
    tonic_prost_build::configure()
        .out_dir(out)
        // The default writes build-script instructions to standard output.
        .emit_rerun_if_changed(false)
        .bytes(".")
        .btree_map(".")
        // Both packages have the same messages, so the services share their types.
        .extern_path(".inference.model_repository", SHARED_MESSAGES)
        .codec_path(CODEC)
        // Lockgate calls no other server; the tests call this one.
        .client_mod_attribute(".", "#[cfg(test)]")
        .compile_fds(compiler.file_descriptor_set())
        .context("failed to generate Rust code")
}

fn compare(fresh: &Path, committed: &Path) -> Result<()> {
    let (expected, found) = (file_names(fresh)?, file_names(committed)?);
    let is_stale =
        |name: &&PathBuf| fs::read(fresh.join(name)).ok() != fs::read(committed.join(name)).ok();
    let mut stale: Vec<_> = expected.iter().filter(is_stale).collect();
    stale.extend(found.iter().filter(|name| !expected.contains(name)));
    if !stale.is_empty() {
        bail!(
            "{} differs from `{PROTO_FOLDER}/`: {stale:?}; run `cargo xtask codegen`",
            committed.display()
        );
    }
    Ok(())
}

fn file_names(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?
    {
        names.push(PathBuf::from(entry?.file_name()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_missing_or_surplus_file_is_stale() {
        let (fresh, committed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(fresh.path().join("a.rs"), "a").unwrap();
        let check = || compare(fresh.path(), committed.path()).map_err(|error| error.to_string());
        assert!(check().unwrap_err().contains("a.rs"), "missing");
        fs::write(committed.path().join("a.rs"), "b").unwrap();
        assert!(check().unwrap_err().contains("a.rs"), "changed");
        fs::write(committed.path().join("a.rs"), "a").unwrap();
        assert_eq!(check(), Ok(()));
        fs::write(committed.path().join("b.rs"), "").unwrap();
        assert!(check().unwrap_err().contains("b.rs"), "surplus");
    }

    /// Makes a workspace with only the `.proto` files of the repository.
    fn workspace() -> tempfile::TempDir {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (
            repository.join(PROTO_FOLDER),
            root.path().join(PROTO_FOLDER),
        );
        fs::create_dir(&to).unwrap();
        for name in file_names(&from).unwrap() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
        root
    }

    #[test]
    fn what_was_generated_is_fresh_until_a_proto_changes() {
        let root = workspace();
        assert!(run(root.path(), true).is_err(), "nothing is there yet");
        run(root.path(), false).unwrap();
        run(root.path(), true).unwrap();
        let proto = root.path().join(PROTO_FOLDER).join(SOURCES[0]);
        let text = fs::read_to_string(&proto).unwrap();
        fs::write(&proto, text + "\nmessage Unheard { bool of = 1; }\n").unwrap();
        let error = run(root.path(), true).unwrap_err().to_string();
        assert!(error.contains("cargo xtask codegen"), "{error}");
    }

    #[test]
    fn a_check_writes_nothing() {
        let root = workspace();
        let folder = root.path().join(OUTPUT_FOLDER);
        fs::create_dir_all(&folder).unwrap();
        assert!(run(root.path(), true).is_err());
        assert!(file_names(&folder).unwrap().is_empty());
    }

    #[test]
    fn a_proto_that_is_broken_is_named() {
        let root = workspace();
        fs::write(root.path().join(PROTO_FOLDER).join(SOURCES[1]), "message {").unwrap();
        let error = format!("{:?}", run(root.path(), false).unwrap_err());
        assert!(error.contains(SOURCES[1]), "{error}");
    }
}
