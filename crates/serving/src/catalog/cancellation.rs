//! Cancellation of a load from another thread.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::{Code, Error, Result, Session, Terminate};

/// A load that can be cancelled: the run of a session that it has opened is ended, and it opens no
/// version.
#[derive(Debug, Default)]
pub(crate) struct LoadCancellation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_cancelled: bool,
    terminators: Vec<Arc<dyn Terminate>>,
}

impl LoadCancellation {
    /// Cancels the load. Its thread ends when the engine allows it.
    pub(crate) fn cancel(&self) {
        let terminators = {
            let mut state = self.state();
            state.is_cancelled = true;
            mem::take(&mut state.terminators)
        };
        for terminator in terminators {
            terminator.terminate();
        }
    }

    /// Lets [`LoadCancellation::cancel`] end the runs of these sessions, and not those of earlier
    /// ones.
    ///
    /// # Errors
    /// `unavailable` when the load was cancelled.
    pub(super) fn watch(&self, sessions: &[Box<dyn Session>]) -> Result<()> {
        let terminators = sessions.iter().filter_map(|session| session.terminator());
        let terminators = terminators.collect();
        self.state().terminators = terminators;
        self.check()
    }

    /// Returns an error when the load was cancelled; its sessions cannot run any more then.
    ///
    /// # Errors
    /// `unavailable` when the load was cancelled.
    pub(super) fn check(&self) -> Result<()> {
        match self.state().is_cancelled {
            false => Ok(()),
            true => Err(Error::new(Code::Unavailable, "the load was cancelled")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use contract::Tensor;

    use super::*;

    #[derive(Debug, Default)]
    struct Flag(AtomicBool);

    impl Terminate for Flag {
        fn terminate(&self) {
            self.0.store(true, Ordering::SeqCst);
        }

        fn reset(&self) {}
    }

    #[derive(Debug)]
    struct FlaggedSession(Arc<Flag>);

    impl Session for FlaggedSession {
        fn run(&mut self, _: &[Option<Tensor>], _: &[usize]) -> Result<Vec<Tensor>> {
            Ok(Vec::new())
        }

        fn terminator(&self) -> Option<Arc<dyn Terminate>> {
            Some(Arc::<Flag>::clone(&self.0))
        }
    }

    #[test]
    fn a_cancelled_load_ends_the_runs_of_its_last_sessions_and_opens_no_more() {
        let flags = [Arc::<Flag>::default(), Arc::default()];
        let sessions = |flag: &Arc<Flag>| -> Vec<Box<dyn Session>> {
            vec![Box::new(FlaggedSession(Arc::clone(flag)))]
        };
        let cancellation = LoadCancellation::default();
        cancellation.watch(&sessions(&flags[0])).unwrap();
        cancellation.watch(&sessions(&flags[1])).unwrap();
        cancellation.check().unwrap();
        cancellation.cancel();
        let terminated = flags.each_ref().map(|flag| flag.0.load(Ordering::SeqCst));
        assert_eq!(terminated, [false, true]);
        assert!(cancellation.check().is_err());
        assert!(cancellation.watch(&sessions(&flags[0])).is_err());
    }
}
