//! File descriptors: the limit of the process, and the connections that it leaves room for.
//!
//! Input: the limit of open files, and the number of listeners. Rule: an eighth of the descriptors
//! and 256 more are kept for models, the state, the log, and connections over the limit of a
//! listener; small limits are halved. The rest is divided among the listeners. Rejected: all that
//! the limit allows, because an accept without a free descriptor answers nobody, health included.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors that every server needs beside its connections.
const RESERVED: u64 = 256;

/// The most connections that follow from the limit alone: some hundred megabytes of memory.
const MAX_DERIVED: u64 = 16_384;

/// Returns the most files that the process can have open once the limit is raised; `None` without a
/// limit.
pub(crate) fn hard_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the limit of open files as far as the system allows, and returns the limit in force.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "failed to raise the limit of open files");
            limit.current
        }
    }
}

/// Returns the connections of each listener for which a limit of open files leaves room.
pub(crate) fn connections(limit: Option<u64>, n_listeners: u64) -> usize {
    let room = limit.map_or(MAX_DERIVED, |limit| {
        let reserved = (limit / 8 + RESERVED).min(limit / 2);
        (limit - reserved) / n_listeners.max(1)
    });
    usize::try_from(room.clamp(1, MAX_DERIVED)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        let cases = [
            (None, 1, 16_384),
            (Some(1 << 20), 3, 16_384),
            (Some(4096), 1, 3328),
            (Some(4096), 2, 1664),
            (Some(1024), 1, 640),
            (Some(64), 1, 32),
            (Some(0), 1, 1),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|&(limit, n_listeners, expected)| connections(limit, n_listeners) != expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        assert_eq!(raise_limit(), hard_limit());
        assert_eq!(getrlimit(Resource::Nofile).current, hard_limit());
    }
}
