//! Content hash of an artifact: the same for the same bytes, wherever and whenever they were written.
//!
//! Rule: SHA-256, as `sha256sum` prints it. An artifact of one file has the hash of this file;
//! several files (a folder, or a file with external data) have the hash of the lines that `sha256sum`
//! prints for them in the order of their paths. Settings and other files of the version do not
//! count. Rejected: the fingerprint, which a copy changes, and a faster hash that nobody could check
//! on the command line.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::entries::list;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Returns the hash of an artifact and of the files that belong to it, as hexadecimal digits. Reads
/// everything, so the caller uses a thread that may block.
pub(crate) fn content_hash(artifact: &Path, companions: Vec<PathBuf>) -> io::Result<String> {
    let mut files = Vec::new();
    let root = match artifact.is_dir() {
        true => {
            add_files(artifact, &mut files)?;
            artifact
        }
        false => {
            files.extend([artifact.to_owned()]);
            files.extend(companions);
            artifact.parent().unwrap_or(artifact)
        }
    };
    if let [only] = files.as_slice() {
        return file_hash(only);
    }
    files.sort_unstable();
    let mut lines = String::new();
    for file in &files {
        let path = file.strip_prefix(root).unwrap_or(file).display();
        writeln!(lines, "{}  {path}", file_hash(file)?).map_err(io::Error::other)?;
    }
    Ok(hexadecimal(&Sha256::digest(lines.as_bytes())))
}

/// Adds the visible files below a folder.
fn add_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in list(folder, &mut BTreeSet::new())? {
        match entry.is_folder {
            true => add_files(&entry.path, files)?,
            false => files.push(entry.path),
        }
    }
    Ok(())
}

fn file_hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n_bytes = file.read(&mut buffer)?;
        match buffer.get(..n_bytes) {
            None | Some([]) => return Ok(hexadecimal(&digest.finalize())),
            Some(read) => digest.update(read),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// SHA-256 of "abc", the example of FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn one_file_has_the_hash_that_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), "abc").unwrap();
            assert_eq!(
                content_hash(&folder.path().join(name), Vec::new()).unwrap(),
                ABC
            );
        }
        let nested = tempfile::tempdir().unwrap();
        fs::write(nested.path().join("model"), "abc").unwrap();
        assert_eq!(content_hash(nested.path(), Vec::new()).unwrap(), ABC);
    }

    #[test]
    fn several_files_have_the_hash_of_the_lines_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        for name in ["model", "data", "sub/x"] {
            fs::write(path(name), "abc").unwrap();
        }
        fs::write(path(".hidden"), "x").unwrap();
        let lines: String = ["data", "model"]
            .iter()
            .map(|name| format!("{ABC}  {name}\n"))
            .collect();
        let expected = hexadecimal(&Sha256::digest(lines.as_bytes()));
        assert_eq!(
            content_hash(&path("model"), vec![path("data")]).unwrap(),
            expected
        );
        let lines = lines + &format!("{ABC}  sub/x\n");
        let expected = hexadecimal(&Sha256::digest(lines.as_bytes()));
        assert_eq!(content_hash(folder.path(), Vec::new()).unwrap(), expected);
    }

    #[test]
    fn a_missing_file_has_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        assert!(content_hash(&folder.path().join("model"), Vec::new()).is_err());
    }
}
