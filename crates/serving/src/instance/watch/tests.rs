//! Runs that end, that are terminated and that continue, on a clock that the test sets.

use contract::testing::{RecordingObserver, model_info};
use contract::{Result, Signature, Tensor};
use tokio::time;

use super::*;

/// Counts the calls to the engine.
#[derive(Debug, Default)]
struct Asked {
    n_terminated: AtomicUsize,
    n_reset: AtomicUsize,
}

impl Asked {
    fn counts(&self) -> (usize, usize) {
        let count = |n: &AtomicUsize| n.load(Ordering::Relaxed);
        (count(&self.n_terminated), count(&self.n_reset))
    }
}

impl Terminate for Asked {
    fn terminate(&self) {
        self.n_terminated.fetch_add(1, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.n_reset.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct FakeSession(Arc<Asked>);

impl Session for FakeSession {
    fn run(&mut self, _: &[Option<Tensor>], _: &[usize]) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    fn terminator(&self) -> Option<Arc<dyn Terminate>> {
        Some(Arc::<Asked>::clone(&self.0))
    }
}

/// The sessions of a version whose runs may take a minute.
struct Version {
    start: Instant,
    asked: Arc<Asked>,
    observer: Arc<RecordingObserver>,
    watch: Arc<RunWatch>,
    sessions: Vec<WatchedSession>,
}

impl Version {
    fn new(n_instances: usize) -> Self {
        let start = time::Instant::now().into_std();
        let (asked, observer) = (Arc::<Asked>::default(), Arc::<RecordingObserver>::default());
        let signature = Signature {
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let info = Arc::new(model_info("m", "1", signature));
        let session = |_| -> Box<dyn Session> { Box::new(FakeSession(Arc::clone(&asked))) };
        let sessions: Vec<_> = (0..n_instances).map(session).collect();
        let reported: Arc<dyn Observe> = Arc::<RecordingObserver>::clone(&observer);
        let limit = Duration::from_secs(60);
        let watch = RunWatch::new(info, reported, limit, &sessions, start);
        let sessions = WatchedSession::all(&watch, sessions);
        Self {
            start,
            asked,
            observer,
            watch,
            sessions,
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Runs session `index` from the start; meanwhile the watchdog checks at each of these times.
    fn run(
        &mut self,
        index: usize,
        deadline: Option<u64>,
        looks: &[u64],
        outcome: Result<()>,
    ) -> Result<()> {
        let deadline = deadline.map(|millis| self.at(millis));
        let looks: Vec<_> = looks.iter().map(|&millis| self.at(millis)).collect();
        let watch = Arc::clone(&self.watch);
        self.sessions[index].run(self.start, deadline, |_| {
            for now in looks {
                watch.look(now);
            }
            outcome
        })
    }

    fn events(&self) -> Vec<String> {
        let reported = |event: &String| {
            let word = |key: &str| {
                Some(
                    event
                        .split_once(key)?
                        .1
                        .split([',', ' ', '}'])
                        .next()?
                        .to_owned(),
                )
            };
            word("reason: ")
                .or_else(|| word("n_stuck: "))
                .unwrap_or_default()
        };
        self.observer.events().iter().map(reported).collect()
    }
}

fn failed() -> Result<()> {
    Err(Error::new(Code::EngineFailed, "it was asked to end"))
}

#[test]
fn a_run_is_ended_once_at_the_deadline_of_its_requests() {
    let mut version = Version::new(1);
    let result = version.run(0, Some(1000), &[0, 999, 1000, 1001, 5999], failed());
    assert_eq!(result.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(version.asked.counts(), (1, 1));
    assert_eq!(version.events(), ["\"deadline\""]);
    assert!(version.sessions[0].terminated_after().is_some());
}

#[test]
fn a_run_without_deadline_is_ended_at_the_limit() {
    let mut version = Version::new(1);
    let result = version.run(0, None, &[59_999], Ok(()));
    result.unwrap();
    assert_eq!(version.asked.counts(), (0, 0));
    for deadline in [None, Some(60_001)] {
        let error = version.run(0, deadline, &[60_000], failed()).unwrap_err();
        assert_eq!(error.code(), Code::EngineFailed);
        assert!(error.message().contains("60000 ms"), "{error}");
        assert!(error.message().contains("`run_timeout_ms`"), "{error}");
    }
    assert_eq!(version.events(), ["\"limit\""; 2]);
}

#[test]
fn an_answer_that_comes_just_after_its_run_was_ended_is_kept() {
    let mut version = Version::new(1);
    version.run(0, Some(10), &[10], Ok(())).unwrap();
    assert_eq!(
        version.asked.counts(),
        (1, 1),
        "the next run must not be ended"
    );
    assert_eq!(version.sessions[0].terminated_after(), None);
}

#[test]
fn a_run_that_has_ended_is_never_ended() {
    let mut version = Version::new(1);
    version.run(0, Some(10), &[5], Ok(())).unwrap();
    let sight = version.watch.look(version.at(1000));
    assert_eq!(sight.next, None);
    let slot = &version.watch.slots[0];
    let stale = slot.state.load(Ordering::Relaxed) | RUNNING;
    assert!(
        !slot.terminate(stale, 0),
        "another run than the one seen is left alone"
    );
    assert_eq!(version.asked.counts(), (0, 0));
}

#[test]
fn an_error_of_its_own_is_the_answer_of_a_run_that_nobody_ended() {
    let mut version = Version::new(1);
    let error = version.run(0, Some(10), &[9], failed()).unwrap_err();
    assert_eq!(error.message(), "it was asked to end");
}

#[test]
fn a_run_that_goes_on_after_it_was_ended_is_stuck_until_it_ends() {
    let mut version = Version::new(1);
    let watch = Arc::clone(&version.watch);
    let (start, at) = (version.start, |millis| {
        version.start + Duration::from_millis(millis)
    });
    let (terminated, late, stuck) = (at(1500), at(6499), at(6500));
    let result = version.sessions[0].run(start, Some(at(1000)), |_| {
        assert_eq!(watch.look(terminated).next, Some(stuck));
        assert!(!watch.look(late).is_stuck);
        assert!(watch.look(stuck).is_stuck);
        assert!(watch.look(stuck).is_stuck);
        assert_eq!(watch.refusal().code(), Code::ModelNotReady);
        failed()
    });
    assert_eq!(result.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(!version.watch.is_stuck());
    assert_eq!(version.events(), ["\"deadline\"", "1", "0"]);
}

#[test]
fn a_version_with_an_instance_left_is_not_stuck() {
    let mut version = Version::new(2);
    let watch = Arc::clone(&version.watch);
    let (start, first, second) = (version.start, version.at(60_000), version.at(65_000));
    let lost = version.sessions.pop();
    let result = version.sessions[0].run(start, None, |_| {
        watch.look(first);
        assert!(!watch.look(second).is_stuck);
        drop(lost);
        assert!(watch.look(second).is_stuck, "the other instance is lost");
        Ok(())
    });
    result.unwrap();
}

#[test]
fn runs_are_ended_when_the_server_ends() {
    let mut version = Version::new(1);
    let watch = Arc::clone(&version.watch);
    let result = version.sessions[0].run(version.start, None, |_| {
        watch.end_all();
        failed()
    });
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    assert_eq!(version.asked.counts(), (1, 1));
}
