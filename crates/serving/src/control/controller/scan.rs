//! Scans of the roots: they are read on a thread that may block, and their result is planned.

use std::time::{Duration, SystemTime};

use contract::{Code, Error, ModelName, Result};
use tokio::time::Instant;

use super::{REMOVAL_DELAY, RepositoryController};
use crate::catalog::layout::Scan;

/// The time after which the controller no longer waits for a scan, whose result is taken when it
/// comes. A scan of a hundred models takes a few milliseconds.
const SCAN_LIMIT: Duration = Duration::from_secs(5);

impl RepositoryController {
    /// Reads the roots and plans; `asked` is loaded without the debounce.
    pub(super) async fn scan(&mut self, asked: Option<&ModelName>) -> Result<()> {
        let scanner = self.scanner.clone();
        let start = || tokio::task::spawn_blocking(move || scanner.scan(SystemTime::now()));
        let mut task = self.slow_scan.take().unwrap_or_else(start);
        self.next_scan = Instant::now() + self.intervals.poll;
        match tokio::time::timeout(SCAN_LIMIT, &mut task).await {
            Ok(Ok(scan)) => self.apply_scan(scan, false, asked),
            Ok(Err(error)) => {
                tracing::error!(%error, "failed to scan repository");
                Err(Error::internal(format!("scan of the repository: {error}")))
            }
            Err(_) => {
                // Its thread cannot be ended, and another scan would only wait as well.
                self.slow_scan = Some(task);
                tracing::warn!(limit = ?SCAN_LIMIT, "scanning repository takes long");
                Err(Error::new(
                    Code::Unavailable,
                    "the model repository does not answer; its file system may hang",
                ))
            }
        }
    }

    pub(super) fn apply_scan(
        &mut self,
        scan: Scan,
        is_first_scan: bool,
        asked: Option<&ModelName>,
    ) -> Result<()> {
        for warning in scan.warnings.difference(&self.warnings) {
            tracing::warn!(%warning, "ignored entry of repository");
        }
        self.warnings.clone_from(&scan.warnings);
        self.apply_roots(scan);
        let result = asked.map_or(Ok(()), |asked| self.state.request_load(asked));
        for name in self.state.names() {
            let debounce = match asked == Some(&name) {
                true => Duration::ZERO,
                false => self.intervals.debounce,
            };
            self.plan(&name, debounce, is_first_scan);
        }
        self.next_scan = Instant::now() + self.time_to_next_scan();
        result
    }

    /// Applies the models and roots of a scan, and logs which roots are lost or back.
    fn apply_roots(&mut self, scan: Scan) {
        let before = self.state.root_problems().clone();
        self.state.apply_scan(scan);
        let now = self.state.root_problems();
        let is_new = |reason: &&String| !before.all().any(|seen| seen == *reason);
        for reason in now.all().filter(is_new) {
            tracing::error!(%reason, "repository root has no models");
        }
        if now.all().next().is_none() && before.all().next().is_some() {
            tracing::info!("every repository root has models again");
        }
    }

    fn time_to_next_scan(&self) -> Duration {
        let debounce = Some(self.intervals.debounce).filter(|_| self.state.is_debouncing());
        let removal = Some(REMOVAL_DELAY).filter(|_| self.state.is_missing_files());
        let waits = debounce.into_iter().chain(removal);
        waits.fold(self.intervals.poll, Duration::min)
    }
}
