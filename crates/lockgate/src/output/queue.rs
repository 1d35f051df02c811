//! A bounded queue of lines for a writer that may be slow, full or broken.
//!
//! Rule: lines are appended to a buffer of bounded size under a short lock, and one thread writes
//! whole buffers. A line that does not fit, or that the writer refuses, is dropped and counted.
//! Recovery: each buffer is a new attempt, so output resumes as soon as the writer accepts it.
//! Rejected: `tracing-appender`. It does not count lines that its writer refuses, and at the end it
//! prints to standard output when its queue is full, which panics or blocks in exactly this case;
//! it also bounds lines, not bytes, and allocates each of them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// The bytes that may wait, some five thousand lines: more than a second of a busy access log.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// A bounded queue of lines; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LineQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    written: Condvar,
    n_dropped: Arc<AtomicU64>,
}

/// The waiting lines, concatenated.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Set by the writing thread when it has nothing to do, cleared by the line that wakes it.
    is_idle: bool,
}

impl LineQueue {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(name: &str, writer: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self(Arc::default());
        let shared = Arc::clone(&queue.0);
        // Never joined: the thread may be stuck in a write, and ends with the process.
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || shared.write_all(writer))?;
        Ok(queue)
    }

    /// Appends a line, which ends with its newline, or drops it.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.lines.len().saturating_add(line.len()) > MAX_WAITING_BYTES {
            drop(waiting);
            self.0.n_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(line);
        let must_wake = std::mem::replace(&mut waiting.is_idle, false);
        drop(waiting);
        if must_wake {
            self.0.arrived.notify_one();
        }
    }

    /// Waits until every line was written or dropped, at most for `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let written = &self.0.written;
        let waited = written.wait_timeout_while(self.0.lock(), limit, |waiting| !waiting.is_idle);
        drop(waited);
    }

    /// Returns the counter of dropped lines.
    pub(crate) fn n_dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.n_dropped)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code under the lock can leave the lines half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines as they arrive, forever.
    fn write_all(&self, mut writer: impl Write) {
        let mut lines = Vec::new();
        loop {
            self.take(&mut lines);
            let n_lines = write(&mut writer, &lines);
            self.n_dropped.fetch_add(n_lines, Ordering::Relaxed);
            lines.clear();
        }
    }

    /// Waits for lines, and swaps them with an empty buffer.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.lines.is_empty() {
            waiting.is_idle = true;
            self.written.notify_all();
            waiting = self
                .arrived
                .wait_while(waiting, |waiting| waiting.lines.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.lines, lines);
    }
}

/// Writes lines, and returns the number of those that could not be written.
fn write(writer: &mut impl Write, lines: &[u8]) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(0) => break,
            Ok(n_bytes) => rest = rest.get(n_bytes..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let n_lines = rest.iter().filter(|byte| **byte == b'\n').count();
    match writer.flush() {
        Ok(()) | Err(_) => n_lines as u64,
    }
}

impl Write for &LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = &'a LineQueue;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Long enough for any machine; a test that waits for it has failed.
    const LIMIT: Duration = Duration::from_secs(60);

    /// A writer that blocks until its data is taken.
    struct Handover {
        begun: SyncSender<()>,
        lines: SyncSender<Vec<u8>>,
    }

    impl Write for Handover {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _is_first = self.begun.try_send(()).is_ok();
            let sent = self.lines.send(bytes.to_vec());
            sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns a queue, the data of its writer, and the signal that a write has begun.
    fn handover() -> (LineQueue, Receiver<Vec<u8>>, Receiver<()>) {
        let ((lines, reader), (begun, notice)) = (sync_channel(0), sync_channel(1));
        let queue = LineQueue::start("test", Handover { begun, lines }).unwrap();
        (queue, reader, notice)
    }

    fn n_dropped(queue: &LineQueue) -> u64 {
        queue.n_dropped().load(Ordering::Relaxed)
    }

    #[test]
    fn lines_are_written_in_order_and_whole() {
        let (queue, reader, _) = handover();
        let pushing = {
            let queue = queue.clone();
            thread::spawn(move || {
                for number in 0..1000 {
                    queue.push(format!("line {number}\n").as_bytes());
                }
            })
        };
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        let mut written = Vec::new();
        while written.len() < expected.len() {
            written.extend(reader.recv_timeout(LIMIT).unwrap());
        }
        pushing.join().unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert_eq!(n_dropped(&queue), 0);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_never_time() {
        let (queue, reader, begun) = handover();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        queue.push(&line);
        begun.recv_timeout(LIMIT).unwrap();
        // The writer has the first line, and a full buffer waits behind it.
        let n_waiting = MAX_WAITING_BYTES / line.len();
        for _ in 0..n_waiting + 500 {
            queue.push(&line);
        }
        assert_eq!(n_dropped(&queue), 500);
        // A reader that returns finds the waiting lines.
        let next = || reader.recv_timeout(LIMIT).unwrap().len() / line.len();
        assert_eq!((next(), next()), (1, n_waiting));
    }

    #[test]
    fn lines_that_a_dead_reader_misses_are_counted() {
        let (queue, reader, _) = handover();
        drop(reader);
        for _ in 0..20 {
            queue.push(b"one\n");
            queue.push(b"two\n");
        }
        queue.flush(LIMIT);
        assert_eq!(n_dropped(&queue), 40);
    }

    #[test]
    fn lines_come_again_when_the_device_has_room_again() {
        /// Refuses while the switch is on.
        struct Device(Arc<AtomicBool>, SyncSender<Vec<u8>>);
        impl Write for Device {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0.load(Ordering::Acquire) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.1.send(bytes.to_vec()).unwrap();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (is_full, (writer, reader)) = (Arc::new(AtomicBool::new(true)), sync_channel(9));
        let queue = LineQueue::start("test", Device(Arc::clone(&is_full), writer)).unwrap();
        queue.push(b"lost\n");
        queue.flush(LIMIT);
        is_full.store(false, Ordering::Release);
        queue.push(b"kept\n");
        queue.flush(LIMIT);
        assert_eq!(n_dropped(&queue), 1);
        assert_eq!(reader.recv_timeout(LIMIT).unwrap(), b"kept\n");
    }

    #[test]
    fn a_flush_ends_though_the_writer_is_stuck() {
        let (queue, _reader, begun) = handover();
        queue.push(b"stuck\n");
        begun.recv_timeout(LIMIT).unwrap();
        queue.push(b"behind\n");
        queue.flush(Duration::ZERO);
        assert_eq!(n_dropped(&queue), 0);
    }
}
