//! The lock of a state folder, held by one process at a time.
//!
//! Decision: an advisory lock of the operating system on a file of its own. It ends with the
//! process, also when that is killed, so no stale lock has to be removed by hand.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

/// The name of the file, which contains the number of the process.
const FILE: &str = "state.lock";

/// The pause between two attempts.
const RETRY: Duration = Duration::from_millis(100);

/// The longest number of a process.
const MAX_DIGITS: u64 = 20;

/// The lock, released when this is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks a folder. Blocks for `timeout` while another process holds it.
    ///
    /// # Errors
    /// When the file cannot be written, or another process holds the lock; that process is named.
    pub(super) fn acquire(folder: &Path, timeout: Duration) -> Result<Self> {
        let path = folder.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        if !timeout.is_zero() && file.try_lock().is_err() {
            let (folder, holder) = (folder.display(), holder(&mut file));
            tracing::info!(%folder, holder, "waiting for the state store");
        }
        let mut waits = timeout.as_millis() / RETRY.as_millis();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if waits == 0 => {
                    bail!("{} uses it; stop that one first", holder(&mut file));
                }
                Err(TryLockError::WouldBlock) => {
                    waits -= 1;
                    std::thread::sleep(RETRY);
                }
            }
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// Names the process that holds the lock.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(MAX_DIGITS).read_to_string(&mut text));
    match (read, text.parse::<u32>()) {
        (Ok(_), Ok(id)) => format!("process {id}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_until_its_holder_ends_and_the_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::acquire(folder.path(), Duration::ZERO).unwrap();
        let refused = FolderLock::acquire(folder.path(), Duration::ZERO).unwrap_err();
        let expected = format!("process {} uses it", std::process::id());
        assert!(refused.to_string().starts_with(&expected), "{refused}");
        drop(first);
        FolderLock::acquire(folder.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_that_is_released_in_time_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::acquire(folder.path(), Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| FolderLock::acquire(folder.path(), Duration::from_secs(60)));
            drop(first);
            waiting.join().unwrap().unwrap();
        });
    }
}
