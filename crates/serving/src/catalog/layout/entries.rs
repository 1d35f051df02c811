//! The visible entries of a folder: neither hidden nor unfinished files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Endings of names during a copy, a download or an edit.
const UNFINISHED: [&str; 9] = [
    "~",
    ".tmp",
    ".temp",
    ".swp",
    ".bak",
    ".part",
    ".partial",
    ".download",
    ".crdownload",
];

/// One entry of a folder. Links are followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// Its path.
    pub(super) path: PathBuf,
    /// Set for a folder.
    pub(super) is_folder: bool,
}

/// Returns whether an entry of this name is visible.
pub(crate) fn is_visible(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !name.starts_with('.')
        // Every ext4 file system has one at its root, and only the administrator can read it.
        && name != "lost+found"
        && !UNFINISHED.iter().any(|ending| lower.ends_with(ending))
}

/// Lists the visible entries by name.
pub(super) fn list(folder: &Path, warnings: &mut BTreeSet<String>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            let path = entry.path();
            warnings.insert(format!(
                "`{}` is ignored: its name is not UTF-8",
                path.display()
            ));
            continue;
        };
        if !is_visible(&name) {
            continue;
        }
        let path = entry.path();
        // A broken link, or a file that was removed since the folder was read, does not count.
        let is_folder = match fs::metadata(&path) {
            Ok(metadata) => metadata.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        entries.push(Entry {
            name,
            path,
            is_folder,
        });
    }
    entries.sort_unstable();
    Ok(entries)
}
