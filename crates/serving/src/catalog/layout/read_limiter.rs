//! Reads of folders whose file system may hang.
//!
//! Rule: a read that reaches the limit has failed. Its thread, which nobody can end, is abandoned,
//! and the folder is not read again before that thread has ended. So a file system that hangs costs
//! a thread for each of its folders, and holds up no other folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Far longer than a slow network drive takes to list a folder with many files.
const LIMIT: Duration = Duration::from_secs(10);

/// Limiter of the reads of folders; clones share the abandoned ones.
#[derive(Clone, Debug)]
pub(crate) struct ReadLimiter {
    limit: Duration,
    abandoned: Arc<Mutex<BTreeMap<PathBuf, JoinHandle<()>>>>,
}

impl Default for ReadLimiter {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl ReadLimiter {
    /// Returns a limiter of reads that may take so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            abandoned: Arc::default(),
        }
    }

    /// Runs the read of a folder on a thread of its own. Blocks, at most for the limit.
    ///
    /// # Errors
    /// That of the read, or one that says that the folder does not answer.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        folder: &Path,
        read: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if self.is_abandoned(folder) {
            return Err(self.no_answer());
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("scan".to_owned());
        let thread = thread.spawn(move || {
            // Nobody waits for an abandoned read.
            drop(sender.send(read()));
        })?;
        receiver.recv_timeout(self.limit).unwrap_or_else(|error| {
            if error == RecvTimeoutError::Disconnected {
                return Err(io::Error::other("the read of the folder failed"));
            }
            self.abandoned().insert(folder.to_owned(), thread);
            Err(self.no_answer())
        })
    }

    fn is_abandoned(&self, folder: &Path) -> bool {
        let mut abandoned = self.abandoned();
        abandoned.retain(|_, thread| !thread.is_finished());
        abandoned.contains_key(folder)
    }

    fn abandoned(&self) -> MutexGuard<'_, BTreeMap<PathBuf, JoinHandle<()>>> {
        let abandoned = self.abandoned.lock();
        abandoned.unwrap_or_else(PoisonError::into_inner)
    }

    fn no_answer(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "it does not answer within {} seconds; its file system may hang",
                self.limit.as_secs()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_hangs_is_read_again_only_once_its_thread_has_ended() {
        let limiter = ReadLimiter::new(Duration::from_secs(1));
        let folder = Path::new("models/a");
        let (release, hang) = mpsc::sync_channel::<()>(1);
        let hung = limiter.run(folder, move || {
            let _closed = hang.recv();
            Ok(1)
        });
        assert_eq!(hung.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let at_once = limiter.run(folder, || -> io::Result<()> { unreachable!() });
        assert_eq!(at_once.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(limiter.run(Path::new("models/b"), || Ok(2)).unwrap(), 2);
        drop(release);
        while limiter.is_abandoned(folder) {}
        assert_eq!(limiter.run(folder, || Ok(3)).unwrap(), 3);
    }

    #[test]
    fn an_error_of_the_read_is_passed_on() {
        let read = || Err::<(), _>(io::Error::from(io::ErrorKind::NotFound));
        let error = ReadLimiter::default().run(Path::new("a"), read);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
