//! Fingerprints, which tell whether anything below a folder has changed.
//!
//! Rule: a hash over the relative path, size, modification time and inode of every visible file,
//! and over the names of folders. The content is not read: models are large, and a file that is
//! replaced gets a new inode or a new time. A folder that is being copied changes with every file.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::entries::{Entry, list};

/// Largest depth of folders; deeper ones are cycles of links.
const MAX_DEPTH: usize = 16;

/// A fingerprint, which stays equal as long as nothing below a folder changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Fingerprint {
    /// Creates a fingerprint of plain data, for tests.
    #[cfg(test)]
    pub(crate) fn of(value: u64) -> Self {
        Self(value)
    }
}

#[derive(Debug)]
struct FingerprintBuilder {
    hasher: DefaultHasher,
    newest: SystemTime,
}

impl FingerprintBuilder {
    fn new() -> Self {
        Self {
            hasher: DefaultHasher::new(),
            newest: SystemTime::UNIX_EPOCH,
        }
    }

    fn update_newest(&mut self, metadata: &Metadata) {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        self.newest = self.newest.max(changed).max(modified);
    }

    fn file(&mut self, name: &str, metadata: &Metadata) {
        self.update_newest(metadata);
        let identity = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        (name, identity, metadata.ino()).hash(&mut self.hasher);
    }

    fn folder(
        &mut self,
        folder: &Path,
        depth: usize,
        skip: &dyn Fn(&Entry) -> bool,
    ) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other(format!(
                "folders nest deeper than {MAX_DEPTH}, perhaps by a link to a parent"
            )));
        }
        // The age of an empty folder is that of the folder.
        self.update_newest(&fs::metadata(folder)?);
        let entries = list(folder, &mut BTreeSet::new())?;
        for entry in entries.iter().filter(|entry| !skip(entry)) {
            if entry.is_folder {
                (entry.name.as_str(), "folder").hash(&mut self.hasher);
                self.folder(&entry.path, depth + 1, &|_| false)?;
                "end".hash(&mut self.hasher);
            } else {
                match fs::metadata(&entry.path) {
                    Ok(metadata) => self.file(&entry.name, &metadata),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn finish(self, now: SystemTime) -> (Fingerprint, Duration) {
        // A time in the future counts as now: the clocks of two machines differ.
        let age = now.duration_since(self.newest).unwrap_or_default();
        (Fingerprint(self.hasher.finish()), age)
    }
}

/// Returns the fingerprint of a folder without the direct entries that `skip` selects, and the time
/// since anything in it changed.
pub(super) fn of_folder(
    folder: &Path,
    now: SystemTime,
    skip: &dyn Fn(&Entry) -> bool,
) -> io::Result<(Fingerprint, Duration)> {
    let mut builder = FingerprintBuilder::new();
    builder.folder(folder, 0, skip)?;
    Ok(builder.finish(now))
}

/// Returns the fingerprint of files, and the time since any of them changed. A file that is missing
/// counts like one that has not been copied yet.
pub(super) fn of_files(files: &[PathBuf], now: SystemTime) -> io::Result<(Fingerprint, Duration)> {
    let mut builder = FingerprintBuilder::new();
    for file in files {
        match fs::metadata(file) {
            Ok(metadata) => builder.file("", &metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "missing".hash(&mut builder.hasher)
            }
            Err(error) => return Err(error),
        }
    }
    Ok(builder.finish(now))
}
