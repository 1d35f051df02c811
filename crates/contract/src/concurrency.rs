//! Concurrency of one model: the number of sessions that run side by side, and their threads.
//!
//! Decision: the settings of the owner and the choice of the engine are two types. Only the engine
//! knows the size of the model and the strengths of its provider, so it decides what the settings
//! leave open, and gives a reason.

use std::num::NonZeroUsize;

crate::named_enum! {
    /// Sharing of the model weights between the sessions of a version.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum SessionMode {
        /// The engine decides.
        #[default]
        Auto = "auto",
        /// Every session has its own copy.
        Instances = "instances",
        /// All sessions share one copy.
        Shared = "shared",
    }
    /// Returns its name in settings.
    fn as_str
}

/// The requested concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// The cores that the process may use.
    pub cores: NonZeroUsize,
    /// Sessions that run side by side; `None` leaves the choice to the engine.
    pub n_sessions: Option<NonZeroUsize>,
    /// Threads inside one session; `None` leaves the choice to the engine.
    pub threads: Option<NonZeroUsize>,
    /// Sharing of the model weights.
    pub mode: SessionMode,
}

impl Concurrency {
    /// Returns a request for exactly `n_sessions` sessions of one thread each.
    #[must_use]
    pub const fn of(n_sessions: NonZeroUsize) -> Self {
        Self {
            cores: NonZeroUsize::MIN,
            n_sessions: Some(n_sessions),
            threads: Some(NonZeroUsize::MIN),
            mode: SessionMode::Auto,
        }
    }

    /// Returns the number of sessions and the threads of each: `unset` when neither was requested,
    /// otherwise the requested one, and for the other the share of the cores that is left.
    #[must_use]
    pub fn or(&self, unset: (NonZeroUsize, NonZeroUsize)) -> (NonZeroUsize, NonZeroUsize) {
        let share = |taken: NonZeroUsize| {
            NonZeroUsize::new(self.cores.get() / taken).unwrap_or(NonZeroUsize::MIN)
        };
        match (self.n_sessions, self.threads) {
            (Some(n_sessions), Some(threads)) => (n_sessions, threads),
            (Some(n_sessions), None) => (n_sessions, share(n_sessions)),
            (None, Some(threads)) => (share(threads), threads),
            (None, None) => unset,
        }
    }

    /// Calls [`Concurrency::or`] with a default of one session of one thread for each core.
    #[must_use]
    pub fn or_one_per_core(&self) -> (NonZeroUsize, NonZeroUsize) {
        self.or((self.cores, NonZeroUsize::MIN))
    }
}

/// The layout of sessions that an engine chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLayout {
    /// True when all sessions share one copy of the model weights.
    pub is_shared: bool,
    /// Threads inside one session.
    pub threads: NonZeroUsize,
    /// The execution provider in use.
    pub provider: String,
    /// The reason for the choice, in one sentence.
    pub reason: String,
}

impl SessionLayout {
    /// Returns the mode that requests this layout.
    #[must_use]
    pub const fn mode(&self) -> SessionMode {
        match self.is_shared {
            true => SessionMode::Shared,
            false => SessionMode::Instances,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_concurrency_is_derived_from_the_cores() {
        let count = |n| NonZeroUsize::new(n);
        let cases = [
            (None, None, 16, (16, 1)),
            (None, None, 1, (1, 1)),
            (None, Some(4), 16, (4, 4)),
            (None, Some(4), 2, (1, 4)),
            (Some(2), None, 16, (2, 8)),
            (Some(3), None, 2, (3, 1)),
            (Some(2), Some(5), 4, (2, 5)),
        ];
        let mut wrong = Vec::new();
        for (n_sessions, threads, cores, expected) in cases {
            let asked = Concurrency {
                cores: count(cores).unwrap(),
                n_sessions: n_sessions.and_then(count),
                threads: threads.and_then(count),
                mode: SessionMode::Auto,
            };
            let (n_sessions, threads) = asked.or_one_per_core();
            if (n_sessions.get(), threads.get()) != expected {
                wrong.push((asked, n_sessions, threads));
            }
        }
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_layout_is_asked_for_by_its_mode() {
        let layout = |is_shared| SessionLayout {
            is_shared,
            threads: NonZeroUsize::MIN,
            provider: String::new(),
            reason: String::new(),
        };
        assert_eq!(layout(true).mode().as_str(), "shared");
        assert_eq!(layout(false).mode().as_str(), "instances");
        assert_eq!(SessionMode::default().as_str(), "auto");
    }

    #[test]
    fn an_exact_number_of_sessions_is_kept_whatever_the_default() {
        let [three, nine] = [3, 9].map(|n| NonZeroUsize::new(n).unwrap());
        let asked = Concurrency::of(three);
        assert_eq!(asked.or((nine, nine)), (three, NonZeroUsize::MIN));
        assert_eq!(asked.or_one_per_core(), (three, NonZeroUsize::MIN));
    }
}
