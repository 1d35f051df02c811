//! Content hashes, which tell whether two artifacts have the same bytes.
//!
//! Rule: XXH3 over the relative path and the content of every visible file, in the order of their
//! names. Unlike a fingerprint it is equal for a copy, and it costs a read of every file, so it is
//! made once for each load, whose files are in the cache of the system by then. Rejected: a
//! cryptographic hash; nobody gains by a rollout that goes on with other bytes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::entries::list;

/// Bytes that are read at once, small beside any model and large beside a system call.
const CHUNK_BYTES: usize = 1 << 20;

/// Largest depth of folders; deeper ones are cycles of links.
const MAX_DEPTH: usize = 16;

/// Returns the content hash of a file, or of all visible files below a folder. Blocks.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn content_hash(artifact: &Path) -> io::Result<String> {
    let mut hasher = Xxh3::new();
    add(&mut hasher, artifact, 0)?;
    Ok(format!("xxh3:{:032x}", hasher.digest128()))
}

fn add(hasher: &mut Xxh3, path: &Path, depth: usize) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        return add_file(hasher, path);
    }
    if depth > MAX_DEPTH {
        return Err(io::Error::other("folders nest too deep"));
    }
    for entry in list(path, &mut BTreeSet::new())? {
        // The zero byte ends the name, which has none.
        hasher.update(entry.name.as_bytes());
        hasher.update(&[0]);
        add(hasher, &entry.path, depth + 1)?;
    }
    // The end of a folder, so that moving a file out of it is a change.
    hasher.update(&[0]);
    Ok(())
}

fn add_file(hasher: &mut Xxh3, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut n_bytes = 0_u64;
    loop {
        let n = file.read(&mut chunk)?;
        let Some(read) = chunk.get(..n).filter(|read| !read.is_empty()) else {
            break;
        };
        hasher.update(read);
        n_bytes += read.len() as u64;
    }
    // The size separates the content from the name that follows.
    hasher.update(&n_bytes.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files, by path and content, and returns the content hash of their folder.
    fn hash_of(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        content_hash(folder.path()).unwrap()
    }

    #[test]
    fn copies_have_the_same_hash_and_any_other_byte_or_name_changes_it() {
        let original = [("model.onnx", "weights"), ("data/labels", "a b")];
        let before = hash_of(&original);
        assert_eq!(hash_of(&original), before);
        let hidden = [&original[..], &[(".cache", "x")]].concat();
        assert_eq!(hash_of(&hidden), before, "hidden files are no part");
        let others: [&[(&str, &str)]; 5] = [
            &[("model.onnx", "weightz"), ("data/labels", "a b")],
            &[("model.onnx", "weights"), ("data/label", "sa b")],
            &[("model.onnx", "weights"), ("labels", "a b")],
            &[("model.onnx", "weights")],
            &[("model.onnx", ""), ("data/labels", "weightsa b")],
        ];
        for other in others {
            assert_ne!(hash_of(other), before, "{other:?}");
        }
    }

    #[test]
    fn a_single_file_has_a_hash_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let hash = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            content_hash(&path).unwrap()
        };
        let large = vec![7; 3 * CHUNK_BYTES + 1];
        assert_eq!(hash("a.onnx", &large), hash("b.onnx", &large));
        assert_ne!(hash("a.onnx", &large), hash("c.onnx", b"7"));
    }
}
