//! Figures of the process, read from `/proc` for each exposition.

use procfs::WithCurrentSystemInfo;
use procfs::process::Process;

/// Figures of this process from `/proc`, in the units of the exposition.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessFigures {
    pub(super) cpu_seconds: f64,
    pub(super) memory_bytes: f64,
    pub(super) n_open_files: f64,
    pub(super) n_threads: f64,
    pub(super) start_seconds: f64,
}

impl ProcessFigures {
    /// Reads the current figures; `None` where there is no `/proc`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the exposition has floating point numbers"
    )]
    pub(super) fn read() -> Option<Self> {
        let process = Process::myself().ok()?;
        let stat = process.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        let boot_seconds = procfs::boot_time_secs().ok()?;
        Some(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            memory_bytes: stat.rss_bytes().get() as f64,
            n_open_files: process.fd_count().ok()? as f64,
            n_threads: stat.num_threads as f64,
            start_seconds: boot_seconds as f64 + stat.starttime as f64 / ticks,
        })
    }
}
