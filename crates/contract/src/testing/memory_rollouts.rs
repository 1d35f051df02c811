//! Shared rollouts in memory, for tests in virtual time, and links to them that can be cut.
//!
//! Decision: the same kit checks this double and the real store (`testing/shared_rollouts.rs`), so a
//! test with the double means what it would mean with the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{
    ActionRequest, BoxFuture, Code, Decision, Error, NewRollout, PendingCount, PendingCounts, Push,
    Result, SharedRecord, SharedRollout, SharedRollouts,
};

/// Shared rollouts in memory.
pub struct MemoryRollouts {
    /// The clock of leases.
    now: fn() -> Instant,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    /// The id of the last rollout of each model.
    models: BTreeMap<String, String>,
    rollouts: BTreeMap<String, Rollout>,
    answers: BTreeMap<String, String>,
}

struct Rollout {
    record: SharedRecord,
    has_ended: bool,
    transitions: Vec<String>,
    lease: Option<(String, Instant)>,
    sequences: BTreeMap<String, u64>,
    units: BTreeSet<(String, u64)>,
    n_used: u64,
    pending: Vec<PendingCount>,
    actions: Vec<ActionRequest>,
}

impl fmt::Debug for MemoryRollouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRollouts").finish_non_exhaustive()
    }
}

impl MemoryRollouts {
    /// Creates a store without rollouts whose leases end by this clock.
    pub fn new(now: fn() -> Instant) -> Self {
        Self {
            now,
            contents: Mutex::default(),
        }
    }

    /// Forgets everything, as a store that was emptied does.
    pub fn clear(&self) {
        *self.contents() = Contents::default();
    }

    /// Returns the holder of the lease of a rollout.
    pub fn holder(&self, id: &str) -> Option<String> {
        let contents = self.contents();
        let lease = contents.rollouts.get(id)?.lease.as_ref()?;
        (lease.1 > (self.now)()).then(|| lease.0.clone())
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &str, change: impl FnOnce(&mut Rollout) -> T) -> Option<T> {
        self.contents().rollouts.get_mut(id).map(change)
    }
}

fn conflict(message: &str) -> Error {
    Error::new(Code::Conflict, message.to_owned())
}

impl Contents {
    fn create(&mut self, NewRollout { model, id, record }: NewRollout<'_>) -> Result<()> {
        let is_running = |id: &&str| {
            let known = self.rollouts.get(*id);
            known.is_some_and(|rollout| !rollout.has_ended)
        };
        let last = self.models.get(model.as_str()).map(String::as_str);
        if let Some(running) = [last, Some(id)].into_iter().flatten().find(is_running) {
            return Err(conflict(&format!("rollout `{running}` has not ended")));
        }
        let rollout = Rollout {
            record: SharedRecord {
                revision: 1,
                text: record.to_owned(),
            },
            has_ended: false,
            transitions: Vec::new(),
            lease: None,
            sequences: BTreeMap::new(),
            units: BTreeSet::new(),
            n_used: 0,
            pending: Vec::new(),
            actions: Vec::new(),
        };
        self.rollouts.insert(id.to_owned(), rollout);
        self.models.insert(model.as_str().to_owned(), id.to_owned());
        Ok(())
    }
}

impl Rollout {
    fn push(&mut self, push: Push<'_>) {
        let last = self.sequences.get(push.replica);
        if self.has_ended || last.is_some_and(|last| push.sequence <= *last) {
            return;
        }
        self.sequences
            .insert(push.replica.to_owned(), push.sequence);
        self.pending
            .push(PendingCount::Block(push.block.to_owned()));
        for unit in push.units {
            if self.units.insert((unit.set.clone(), unit.fingerprint)) {
                self.pending
                    .push(PendingCount::Unit(unit.observation.clone()));
            }
        }
    }

    fn lease(&mut self, holder: &str, now: Instant, time: Duration) -> bool {
        let is_mine = self.has_lease(holder, now);
        let is_free = self.lease.as_ref().is_none_or(|(_, end)| *end <= now);
        if is_mine || is_free {
            self.lease = Some((holder.to_owned(), now + time));
        }
        is_mine || is_free
    }

    fn has_lease(&self, holder: &str, now: Instant) -> bool {
        let lease = self.lease.as_ref();
        lease.is_some_and(|(known, end)| known == holder && *end > now)
    }

    fn commit(&mut self, decision: Decision<'_>, now: Instant) -> Result<()> {
        let is_next = decision.revision == self.record.revision + 1;
        if !self.has_lease(decision.holder, now) || !is_next || self.has_ended {
            return Err(conflict("another server decides"));
        }
        self.record = SharedRecord {
            revision: decision.revision,
            text: decision.record.to_owned(),
        };
        let n_used = usize::try_from(decision.counted - self.n_used).unwrap_or(usize::MAX);
        self.pending.drain(..n_used.min(self.pending.len()));
        self.n_used = decision.counted;
        self.transitions
            .extend(decision.transitions.iter().cloned());
        self.has_ended = decision.has_ended;
        if self.has_ended {
            (self.pending, self.lease) = (Vec::new(), None);
        }
        Ok(())
    }
}

/// Returns a result at once.
fn ready<'a, T: Send + 'a>(result: T) -> BoxFuture<'a, Result<T>> {
    Box::pin(async { Ok(result) })
}

impl SharedRollouts for MemoryRollouts {
    fn create<'a>(&'a self, rollout: NewRollout<'a>) -> BoxFuture<'a, Result<()>> {
        let created = self.contents().create(rollout);
        Box::pin(async { created })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SharedRollout>>> {
        let contents = self.contents();
        let ids = contents.models.values();
        let rollout = |id: &String| {
            let rollout = contents.rollouts.get(id)?;
            Some(SharedRollout {
                id: id.clone(),
                revision: rollout.record.revision,
            })
        };
        ready(ids.filter_map(rollout).collect())
    }

    fn record<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SharedRecord>>> {
        ready(self.with(id, |rollout| rollout.record.clone()))
    }

    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<String>>> {
        let transitions = self.with(id, |rollout| {
            let newest = rollout.transitions.iter().rev();
            newest.take(limit).cloned().collect()
        });
        ready(transitions.unwrap_or_default())
    }

    fn lease<'a>(
        &'a self,
        id: &'a str,
        holder: &'a str,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        let now = (self.now)();
        let is_mine = self.with(id, |rollout| rollout.lease(holder, now, time));
        ready(is_mine.unwrap_or_default())
    }

    fn release<'a>(&'a self, id: &'a str, holder: &'a str) -> BoxFuture<'a, Result<()>> {
        self.with(id, |rollout| {
            rollout.lease.take_if(|(known, _)| known == holder);
        });
        ready(())
    }

    fn push<'a>(&'a self, id: &'a str, push: Push<'a>) -> BoxFuture<'a, Result<()>> {
        self.with(id, |rollout| rollout.push(push));
        ready(())
    }

    fn pending<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<PendingCounts>> {
        let pending = self.with(id, |rollout| PendingCounts {
            entries: rollout.pending.clone(),
            end: rollout.n_used + rollout.pending.len() as u64,
        });
        ready(pending.unwrap_or_default())
    }

    fn commit<'a>(&'a self, id: &'a str, decision: Decision<'a>) -> BoxFuture<'a, Result<()>> {
        let now = (self.now)();
        let committed = self.with(id, |rollout| rollout.commit(decision, now));
        Box::pin(async { committed.unwrap_or_else(|| Err(conflict("no such rollout"))) })
    }

    fn request_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<()>> {
        self.with(id, |rollout| rollout.actions.push(request.clone()));
        ready(())
    }

    fn withdraw_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<bool>> {
        let withdrawn = self.with(id, |rollout| {
            let n_before = rollout.actions.len();
            rollout.actions.retain(|known| known != request);
            rollout.actions.len() < n_before
        });
        ready(withdrawn.unwrap_or_default())
    }

    fn take_actions<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<ActionRequest>>> {
        let actions = self.with(id, |rollout| std::mem::take(&mut rollout.actions));
        ready(actions.unwrap_or_default())
    }

    fn answer_action<'a>(&'a self, request: &'a str, answer: &'a str) -> BoxFuture<'a, Result<()>> {
        let answers = &mut self.contents().answers;
        answers.insert(request.to_owned(), answer.to_owned());
        ready(())
    }

    fn take_answer<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Option<String>>> {
        ready(self.contents().answers.remove(request))
    }
}

/// The link of one server to shared rollouts.
#[derive(Debug)]
pub struct Link {
    rollouts: Arc<MemoryRollouts>,
    is_cut: AtomicBool,
    loses_answers: AtomicBool,
}

impl Link {
    /// Creates a link that works.
    pub fn new(rollouts: &Arc<MemoryRollouts>) -> Arc<Self> {
        Arc::new(Self {
            rollouts: Arc::clone(rollouts),
            is_cut: AtomicBool::default(),
            loses_answers: AtomicBool::default(),
        })
    }

    /// Cuts or restores the link.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Loses every answer from now on, after the call had its effect; or no longer.
    pub fn lose_answers(&self, loses_answers: bool) {
        self.loses_answers.store(loses_answers, Ordering::Relaxed);
    }

    fn pass<'a, T: Send + 'a>(
        &self,
        call: impl FnOnce() -> BoxFuture<'a, Result<T>>,
    ) -> BoxFuture<'a, Result<T>> {
        let away = || Error::new(Code::Unavailable, "shared state is unreachable");
        if self.is_cut.load(Ordering::Relaxed) {
            return Box::pin(async move { Err(away()) });
        }
        let answer = call();
        match self.loses_answers.load(Ordering::Relaxed) {
            true => Box::pin(async move {
                drop(answer.await);
                Err(away())
            }),
            false => answer,
        }
    }
}

impl SharedRollouts for Link {
    fn create<'a>(&'a self, rollout: NewRollout<'a>) -> BoxFuture<'a, Result<()>> {
        self.pass(|| self.rollouts.create(rollout))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SharedRollout>>> {
        self.pass(|| self.rollouts.list())
    }

    fn record<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SharedRecord>>> {
        self.pass(|| self.rollouts.record(id))
    }

    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<String>>> {
        self.pass(|| self.rollouts.transitions(id, limit))
    }

    fn lease<'a>(
        &'a self,
        id: &'a str,
        holder: &'a str,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.pass(|| self.rollouts.lease(id, holder, time))
    }

    fn release<'a>(&'a self, id: &'a str, holder: &'a str) -> BoxFuture<'a, Result<()>> {
        self.pass(|| self.rollouts.release(id, holder))
    }

    fn push<'a>(&'a self, id: &'a str, push: Push<'a>) -> BoxFuture<'a, Result<()>> {
        self.pass(|| self.rollouts.push(id, push))
    }

    fn pending<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<PendingCounts>> {
        self.pass(|| self.rollouts.pending(id))
    }

    fn commit<'a>(&'a self, id: &'a str, decision: Decision<'a>) -> BoxFuture<'a, Result<()>> {
        self.pass(|| self.rollouts.commit(id, decision))
    }

    fn request_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<()>> {
        self.pass(|| self.rollouts.request_action(id, request))
    }

    fn withdraw_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<bool>> {
        self.pass(|| self.rollouts.withdraw_action(id, request))
    }

    fn take_actions<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<ActionRequest>>> {
        self.pass(|| self.rollouts.take_actions(id))
    }

    fn answer_action<'a>(&'a self, request: &'a str, answer: &'a str) -> BoxFuture<'a, Result<()>> {
        self.pass(|| self.rollouts.answer_action(request, answer))
    }

    fn take_answer<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Option<String>>> {
        self.pass(|| self.rollouts.take_answer(request))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::LazyLock;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::testing::shared_rollouts;

    /// A clock that stands still.
    #[expect(
        clippy::disallowed_methods,
        reason = "the time of the start is never compared"
    )]
    fn now() -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START
    }

    /// Returns the result of a future that waits for nothing.
    fn result<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn the_double_keeps_every_promise_of_shared_rollouts() {
        let rollouts = Arc::new(MemoryRollouts::new(now));
        let broken = result(shared_rollouts::check(&*rollouts));
        assert!(broken.is_empty(), "{broken:#?}");
        rollouts.clear();
        let broken = result(shared_rollouts::check(&*Link::new(&rollouts)));
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn a_link_fails_while_it_is_cut_and_may_lose_the_answer_of_a_call_that_worked() {
        let rollouts = Arc::new(MemoryRollouts::new(now));
        let link = Link::new(&rollouts);
        let model = crate::ModelName::new("m").unwrap();
        let rollout = |id| NewRollout {
            model: &model,
            id,
            record: "",
        };
        link.cut(true);
        assert_eq!(
            result(link.create(rollout("a"))).unwrap_err().code(),
            Code::Unavailable
        );
        link.cut(false);
        link.lose_answers(true);
        assert_eq!(
            result(link.create(rollout("b"))).unwrap_err().code(),
            Code::Unavailable
        );
        link.lose_answers(false);
        let listed = result(link.list()).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, "b");
    }
}
