//! The lock of a state folder, held by one process at a time.
//!
//! Decision: an advisory lock of the operating system on a file of its own. It ends with the
//! process, also when that is killed, so no stale lock has to be removed by hand.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
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
        let max_waits = timeout.as_millis() / RETRY.as_millis();
        let mut n_waits = 0;
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::Error(error) => return Err(error.into()),
                TryLockError::WouldBlock if n_waits == max_waits => {
                    bail!("{} uses it; stop that one first", holder(&mut file));
                }
                TryLockError::WouldBlock if n_waits == 0 => {
                    let (folder, holder) = (folder.display(), holder(&mut file));
                    tracing::info!(%folder, holder, "waiting for the state store");
                }
                TryLockError::WouldBlock => {}
            }
            n_waits += 1;
            std::thread::sleep(RETRY);
        }
        write_holder(&mut file)?;
        Ok(Self { _file: file })
    }
}

/// Writes the number of this process in place of an earlier one.
fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
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

    #[test]
    fn the_number_of_the_earlier_holder_is_replaced_also_after_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "4194303").unwrap();
        let mut file = File::options().read(true).write(true).open(&path).unwrap();
        assert_eq!(holder(&mut file), "process 4194303");
        write_holder(&mut file).unwrap();
        let id = std::process::id();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), id.to_string());
        assert_eq!(holder(&mut file), format!("process {id}"));
    }
}
