//! The course of one rollout in the server: a task that counts, decides and does.
//!
//! Decision: one task for each rollout. It waits for whatever comes first (an operator, the end of a
//! load, a gate, the next look at the counts), lets the state machine decide, and does what that
//! says. Traffic is moved before anything is written, so a way back waits for no disk; what is known
//! is written after every look, so a kill costs one block of counts.

mod deeds;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::{Code, Error, Result, RolloutNews, Unit, UnitSource, Version};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Tools;
use super::burning::Burning;
use super::copies::{SharedPairs, totals};
use super::meter::{Meter, Sums, thresholds};
use super::notices::Notices;
use super::record::Record;
use super::registry::steering;
use super::view::{Ends, Order, Shown, View, winner};
use crate::repository::ledger::Steering;
use crate::rollout::moment::Moment;
use crate::rollout::state::{Action, Event, GuardReadings, Refusal, Rollout, Tick};
use crate::route::{ActiveSplit, Drops, Mirror};

/// How often the counts are looked at that need no statistics.
const GUARD_LOOK: Duration = Duration::from_millis(100);

/// Ends of loads and answers of gates that wait to be handled.
const MAX_EVENTS: usize = 16;

/// Wall-clock time that goes on evenly from the start of the task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    base: Moment,
    origin: Instant,
}

impl Clock {
    /// A clock that starts with the time of the machine.
    pub(super) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_epoch.unwrap_or_default().as_millis();
        Self {
            base: Moment(u64::try_from(millis).unwrap_or(u64::MAX)),
            origin: Instant::now(),
        }
    }

    /// The time.
    pub(super) fn now(&self) -> Moment {
        self.base + self.origin.elapsed()
    }
}

/// One rollout at work.
#[derive(Debug)]
pub(super) struct Course {
    tools: Arc<Tools>,
    rollout: Rollout,
    record: Record,
    clock: Clock,
    shown: Arc<Shown>,
    news: broadcast::Sender<RolloutNews>,
    split: Arc<ActiveSplit>,
    mirror: Option<Arc<Mirror>>,
    pairs: SharedPairs,
    drops: Arc<Drops>,
    meter: Meter,
    burning: Burning,
    events: mpsc::Sender<Event>,
    /// What is kept.
    kept: Option<Record>,
    /// Moves that are not kept yet.
    moves: Vec<String>,
    /// Letters that are not posted yet.
    notices: Option<Notices>,
    /// The longest run of errors since the counts were taken last.
    error_run: u64,
    /// Whether units were counted before a restart, which would count them again.
    has_counted_units: bool,
    /// What stays loaded when it has ended, and for how long.
    warm: Option<(Version, Duration)>,
    is_settled: bool,
}

/// What a course listens to.
#[derive(Debug)]
pub(super) struct Inbox {
    /// What operators want.
    pub(super) orders: mpsc::Receiver<Order>,
    events: mpsc::Receiver<Event>,
}

/// What a course starts from.
#[derive(Debug)]
pub(super) struct Start {
    /// The state machine.
    pub(super) rollout: Rollout,
    /// What is kept about it.
    pub(super) record: Record,
    /// How the requests are shared out.
    pub(super) split: Arc<ActiveSplit>,
    /// How others see it.
    pub(super) shown: Arc<Shown>,
    /// What the course holds of it.
    pub(super) ends: Ends,
    /// Whether it goes on after a restart.
    pub(super) is_resumed: bool,
}

impl Course {
    /// A course, and what it listens to.
    pub(super) fn new(tools: Arc<Tools>, start: Start) -> (Self, Inbox) {
        let clock = Clock::start();
        let seen = start.record.replicas.sums();
        let (events, arriving) = mpsc::channel(MAX_EVENTS);
        let is_random = matches!(
            start.rollout.config().assignment.unit,
            Unit {
                source: UnitSource::Random,
                ..
            }
        );
        let course = Self {
            tools,
            burning: Burning::new(clock.now()),
            clock,
            rollout: start.rollout,
            record: start.record,
            shown: start.shown,
            news: start.ends.news,
            split: start.split,
            mirror: None,
            pairs: Arc::new(Mutex::default()),
            drops: Arc::default(),
            meter: Meter::after(seen),
            events,
            kept: None,
            moves: Vec::new(),
            notices: None,
            error_run: 0,
            has_counted_units: start.is_resumed && !is_random,
            warm: None,
            is_settled: false,
        };
        let inbox = Inbox {
            orders: start.ends.orders,
            events: arriving,
        };
        (course, inbox)
    }

    /// Runs until the rollout has ended and everybody knows.
    pub(super) async fn run(mut self, mut inbox: Inbox, first: Vec<Action>) {
        self.carry_out(first).await;
        self.publish().await;
        let mut looks = interval(self.tools.block);
        let mut guards = interval(GUARD_LOOK.min(self.tools.block));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        guards.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_settled {
            tokio::select! {
                order = inbox.orders.recv() => match order {
                    Some(order) => {
                        self.look().await;
                        self.obey(order).await;
                    }
                    // The registry is gone, and the server with it.
                    None => return,
                },
                Some(event) = inbox.events.recv() => {
                    // What was counted so far belongs to the weight of so far.
                    self.look().await;
                    self.tell(event).await;
                }
                _ = looks.tick() => self.look().await,
                _ = guards.tick() => {
                    if !self.has_guard_fired() {
                        continue;
                    }
                    self.look().await;
                }
            }
            self.settle().await;
            self.publish().await;
        }
    }

    /// Does what an operator wants.
    async fn obey(&mut self, (act, done): Order) {
        let now = self.clock.now();
        let answer = match self.rollout.act(&act, now) {
            Ok(actions) => {
                self.carry_out(actions).await;
                self.settle().await;
                self.publish().await;
                self.view().map(|view| view.status)
            }
            Err(refusal) => Err(refused(&refusal)),
        };
        // Whoever asked may be gone.
        drop(done.send(answer));
    }

    /// Tells the state machine, and does what it says.
    async fn tell(&mut self, event: Event) {
        let is_warm = matches!(event, Event::WarmedUp | Event::WarmupFailed(_));
        if is_warm && self.mirror.take().is_some() {
            self.steer().await;
        }
        let actions = self.rollout.handle(event, self.clock.now());
        self.carry_out(actions).await;
        if let Some(changed) = self.changed_candidate() {
            let actions = self.rollout.handle(changed, self.clock.now());
            self.carry_out(actions).await;
        }
    }

    /// Looks at the counts.
    async fn look(&mut self) {
        if let Some(changed) = self.changed_candidate() {
            self.tell(changed).await;
        }
        let sums = self.sums();
        let progress = self.rollout.progress();
        let config = self.rollout.config();
        for event in thresholds(config, &progress.latency_thresholds, &sums.stable) {
            let actions = self.rollout.handle(event, self.clock.now());
            self.carry_out(actions).await;
        }
        let tick = self.tick(sums);
        let actions = self
            .rollout
            .handle(Event::Tick(Box::new(tick)), self.clock.now());
        self.carry_out(actions).await;
    }

    fn tick(&mut self, sums: Sums) -> Tick {
        let config = self.rollout.config();
        let thresholds = &self.rollout.progress().latency_thresholds;
        let block = self.meter.block(config, thresholds, sums);
        let [n_stable_units, n_candidate_units] = match self.has_counted_units {
            true => [0; 2],
            false => block.units,
        };
        Tick {
            metrics: block.metrics,
            n_candidate_requests: block.n_candidate_requests,
            n_pairs: block.n_pairs,
            n_stable_units,
            n_candidate_units,
            guards: GuardReadings {
                memory_ratio: self.memory_ratio().unwrap_or_default(),
                ..block.guards
            },
            is_stable_burning: self.burning.add(block.stable, self.clock.now()),
            has_drifted: false,
            is_stable_ready: self.served(&self.rollout.config().stable).is_some(),
        }
    }

    fn sums(&mut self) -> Sums {
        let replicas = self.shown.replicas().clone();
        let generation = self.rollout.progress().generation;
        let [candidate, stable] = self.arms();
        let units = [&stable, &candidate].map(|arm| arm.counts.n_units());
        let error_run = candidate.counts.take_longest_error_run();
        let mut sums = Sums {
            stable: stable.counts.totals(),
            candidate: candidate.counts.totals(),
            units,
            pairs: totals(&self.pairs),
            error_run: error_run.max(replicas.error_run(generation)),
        };
        sums.error_run = sums.error_run.max(std::mem::take(&mut self.error_run));
        sums.add(&replicas.sums());
        self.record.replicas = replicas;
        sums
    }

    /// Whether a count has reached its limit that ends the rollout at once.
    fn has_guard_fired(&mut self) -> bool {
        let [candidate, _] = self.arms();
        let run = candidate.counts.take_longest_error_run();
        self.error_run = self.error_run.max(run);
        let guards = self.rollout.config().guards;
        let limit = guards.consecutive_errors.unwrap_or(u64::MAX);
        self.error_run >= limit && !self.rollout.progress().phase.is_final()
    }

    /// Memory of the candidate as a multiple of that of stable, where both were measured.
    fn memory_ratio(&self) -> Option<f64> {
        let config = self.rollout.config();
        let memory = |version| Some(self.served(version)?.memory_bytes? as f64);
        let (stable, candidate) = (memory(&config.stable)?, memory(&config.candidate)?);
        (stable > 0.0).then(|| candidate / stable)
    }

    /// Says so when other files stand where the candidate was.
    fn changed_candidate(&mut self) -> Option<Event> {
        let served = self.served(&self.rollout.config().candidate)?;
        let before = self.record.fingerprint.replace(served.content.clone());
        before
            .is_some_and(|before| before != served.content)
            .then_some(Event::CandidateChanged)
    }

    /// Lets operators decide again once it has ended; tried until it is kept.
    async fn settle(&mut self) {
        let Some(winner) = winner(&self.rollout) else {
            return;
        };
        let config = self.rollout.config();
        let settled = self.tools.helm.settle(config, winner, self.warm.clone());
        match settled.await {
            Ok(()) => self.is_settled = true,
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), %error, diagnostic, "its end is not kept yet");
            }
        }
    }

    /// Keeps what is known, unless nothing has changed.
    async fn keep(&mut self) {
        let record = self.record.at(self.rollout.progress());
        if self.moves.is_empty() && self.kept.as_ref() == Some(&record) {
            return;
        }
        let moves = self.moves.clone();
        let (records, notices) = (&self.tools.records, self.notices.as_ref());
        match records.keep(self.id(), &record, moves, notices).await {
            Ok(()) => {
                self.moves.clear();
                self.kept = Some(record);
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), diagnostic, "a rollout cannot be kept");
            }
        }
    }

    /// Keeps what is known, and shows it.
    async fn publish(&mut self) {
        self.keep().await;
        self.post_notices();
        match self.view() {
            Ok(view) => {
                self.shown.view.store(Arc::new(view.clone()));
                self.tell_watchers(RolloutNews::Evidence(view.evidence));
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), diagnostic, "a rollout cannot be shown");
            }
        }
        self.measure();
    }

    fn view(&self) -> Result<View> {
        let pairs = totals(&self.pairs);
        let has_shadow = self.rollout.config().shadow.is_some();
        View::new(&self.rollout, has_shadow.then_some((&pairs, &*self.drops)))
    }

    fn id(&self) -> &str {
        &self.rollout.config().id
    }

    fn steering(&self) -> Steering {
        Steering {
            mirror: self.mirror.clone(),
            ..steering(self.rollout.config(), &self.split)
        }
    }
}

/// Why an act was not done, for its caller.
fn refused(refusal: &Refusal) -> Error {
    Error::new(Code::Conflict, refusal.to_string())
}
