//! The entries of a folder that count: nothing hidden, nothing half-made.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How names end while a copy, a download or an editor is at work.
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
    /// Whether it is a folder.
    pub(super) is_folder: bool,
}

/// Whether an entry of this name counts.
pub(super) fn is_visible(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !name.starts_with('.')
        // Every ext4 file system has one at its root, and only the administrator can read it.
        && name != "lost+found"
        && !UNFINISHED.iter().any(|ending| lower.ends_with(ending))
}

/// The entries that count, by name.
pub(super) fn list(folder: &Path, warnings: &mut BTreeSet<String>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            let path = entry.path();
            warnings.insert(format!(
                "`{}` is ignored: its name is no UTF-8",
                path.display()
            ));
            continue;
        };
        if !is_visible(&name) {
            continue;
        }
        let path = entry.path();
        // A link to nowhere, or a file that went away since the folder was read, is not there.
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
