//! File watch of the roots, to detect a change before the next scan is due.
//!
//! Decision: an event means only that something changed, never what. Network drives send no events
//! and mounted configuration swaps links, so the scan in fixed intervals is authoritative, and a
//! watch that cannot be set up is only logged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::layout::ReadLimiter;

/// Wakes `changes` whenever something below `roots` changes, as long as the result is kept. Blocks,
/// at most for the limit of a read.
pub(crate) fn watch(
    limiter: &ReadLimiter,
    roots: &[PathBuf],
    changes: Arc<Notify>,
) -> Option<RecommendedWatcher> {
    let roots = roots.to_vec();
    // All folders below the roots are visited.
    let start = move || Ok(start(&roots, changes));
    limiter
        .run(Path::new("file watch"), start)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "file watch unavailable; relying on scans");
            None
        })
}

fn start(roots: &[PathBuf], changes: Arc<Notify>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<Event>| {
        if event.map_or(true, |event| is_change(&event)) {
            changes.notify_one();
        }
    };
    let mut watcher = match notify::recommended_watcher(on_event) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "file watch unavailable; relying on scans");
            return None;
        }
    };
    for root in roots {
        let (folder, mode) = target(root);
        if let Err(error) = watcher.watch(folder, mode) {
            let root = root.display();
            tracing::warn!(%root, %error, "failed to watch folder; relying on scans");
        }
    }
    Some(watcher)
}

/// Returns the folder to watch for a root: a file is watched through its folder, because a new file
/// of its name is not the same file.
fn target(root: &Path) -> (&Path, RecursiveMode) {
    match root.parent() {
        Some(folder) if root.is_file() => (folder, RecursiveMode::NonRecursive),
        Some(_) | None => (root, RecursiveMode::Recursive),
    }
}

/// Returns whether an event is a change; reads are not, because a scan must not wake itself.
fn is_change(event: &Event) -> bool {
    let is_written = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
    is_written || event.need_rescan() || !event.kind.is_access()
}

#[cfg(test)]
mod tests {
    use notify::event::CreateKind;

    use super::*;

    #[test]
    fn reading_a_file_is_no_change_and_writing_it_is() {
        let kinds = [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Access(AccessKind::Read), false),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Read)),
                false,
            ),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Write)),
                true,
            ),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Any, true),
        ];
        let wrong: Vec<_> = kinds
            .iter()
            .filter(|(kind, expected)| is_change(&Event::new(*kind)) != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[tokio::test]
    async fn a_new_file_wakes_and_a_missing_folder_does_not_fail() {
        let folder = tempfile::tempdir().unwrap();
        let changes = Arc::new(Notify::new());
        let roots = [folder.path().to_owned(), folder.path().join("missing")];
        let watcher = watch(&ReadLimiter::default(), &roots, Arc::clone(&changes));
        assert!(watcher.is_some());
        std::fs::write(folder.path().join("model.fake"), "x").unwrap();
        changes.notified().await;
    }
}
