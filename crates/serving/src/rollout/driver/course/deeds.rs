//! What a course does: each action of the state machine, done.
//!
//! Decision: what takes time (loading, warming up, asking a gate) runs beside the course and comes
//! back as an event, so that a rollout that waits for somebody still sees a candidate fail.

use std::sync::Arc;

use contract::{
    Event as Observed, RolloutNews, RolloutRate, RolloutReading, RolloutScore, Version,
};

use super::Course;
use crate::repository::snapshot::Served;
use crate::rollout::config::{GateKind, WarmupSource};
use crate::rollout::driver::copies::{Comparing, totals};
use crate::rollout::driver::fit;
use crate::rollout::driver::notices::{Notices, Post};
use crate::rollout::driver::view::move_document;
use crate::rollout::driver::warmup::warm_up;
use crate::rollout::evidence::{ArmReport, MetricReport, Report};
use crate::rollout::state::{Action, Alert, Arm, Event, Phase, Traffic, Transition};
use crate::route::{ArmAtWork, Mirror};

impl Course {
    /// Does what the state machine says, in its order.
    pub(super) async fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Load => self.load(),
                Action::WarmUp => self.warm_up().await,
                Action::SetTraffic(traffic) => self.set_traffic(traffic).await,
                Action::AskGate(place) => self.ask_gate(place),
                Action::Alert(Alert::StableNotReady) => tracing::error!(
                    rollout = self.id(),
                    "the candidate should go, but stable is not ready to take the traffic"
                ),
                Action::Release { arm, after } => {
                    let config = self.rollout.config();
                    let version = match arm {
                        Arm::Stable => &config.stable,
                        Arm::Candidate => &config.candidate,
                    };
                    self.warm = Some((version.clone(), after));
                }
                Action::Record(transition) => self.note(&transition),
            }
        }
    }

    /// Loads both versions, and compares their signatures.
    fn load(&self) {
        let helm = self.tools.helm.clone();
        let config = self.rollout.config().clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            let provide = |version: &Version| {
                helm.provide(config.model.clone(), version.clone(), config.id.clone())
            };
            // Without stable there is nothing to compare with, and the state machine knows.
            let stable = provide(&config.stable).await;
            let event = match provide(&config.candidate).await {
                Err(error) => Event::CandidateFailed(error.message().to_owned()),
                Ok(_) => {
                    let info = |version| {
                        let served = helm.served(&config.model, version);
                        served.map(|served| Arc::clone(served.variant.info()))
                    };
                    let has_same_outputs = config.guards.shape_change.is_some();
                    let difference = match (info(&config.stable), info(&config.candidate), stable) {
                        (Some(now), Some(new), Ok(_)) => {
                            fit::difference(&now.signature, &new.signature, has_same_outputs)
                        }
                        _ => None,
                    };
                    difference.map_or(Event::CandidateReady, Event::CandidateFailed)
                }
            };
            // The course may have ended meanwhile.
            events.send(event).await.unwrap_or_default();
        });
    }

    /// Sends uncounted requests to the candidate.
    async fn warm_up(&mut self) {
        let Some(rule) = self.rollout.config().warmup else {
            return;
        };
        let arriving = match rule.source {
            WarmupSource::Synthetic => None,
            WarmupSource::Recorded => {
                let (mirror, arriving) = Mirror::new(1.0, Arc::default());
                self.mirror = Some(Arc::new(mirror));
                self.steer().await;
                Some(arriving)
            }
        };
        let (helm, config) = (self.tools.helm.clone(), self.rollout.config().clone());
        let events = self.events.clone();
        tokio::spawn(async move {
            let version = &config.candidate;
            let provided = helm.provide(config.model.clone(), version.clone(), config.id.clone());
            let provided = provided.await;
            let event = match (provided, helm.served(&config.model, version)) {
                (Ok(_), Some(candidate)) => warm_up(rule, candidate, arriving).await,
                (Err(error), _) => Event::WarmupFailed(error.message().to_owned()),
                (Ok(_), None) => Event::WarmupFailed("the candidate is gone".to_owned()),
            };
            events.send(event).await.unwrap_or_default();
        });
    }

    async fn set_traffic(&mut self, traffic: Traffic) {
        let config = self.rollout.config();
        match self.split.reweighted(config.split(traffic.weight), "") {
            Ok(split) => self.split = Arc::new(split),
            // The file was checked with every weight from 0 to 1.
            Err(error) => tracing::error!(rollout = self.id(), %error, "a weight is refused"),
        }
        self.shown
            .assigner
            .store(Arc::new(self.split.assigner().clone()));
        self.mirror = self.compare_copies(traffic.shadow);
        self.steer().await;
        let [candidate, stable] = self.arms();
        let units = [stable, candidate].map(|arm| arm.counts.n_units());
        self.meter.skip_units(units);
    }

    /// Lets copies of a share of the requests be compared; nothing for no share.
    fn compare_copies(&self, share: f64) -> Option<Arc<Mirror>> {
        let config = self.rollout.config();
        let shadow = config.shadow.filter(|_| share > 0.0)?;
        let (mirror, arriving) = Mirror::new(share, Arc::clone(&self.drops));
        let comparing = Comparing {
            shadow,
            helm: self.tools.helm.clone(),
            model: config.model.clone(),
            candidate: config.candidate.clone(),
            pairs: Arc::clone(&self.pairs),
            drops: Arc::clone(&self.drops),
        };
        tokio::spawn(comparing.run(arriving));
        Some(Arc::new(mirror))
    }

    /// Puts the traffic in force.
    pub(super) async fn steer(&self) {
        let model = &self.rollout.config().model;
        if let Err(error) = self.tools.helm.steer(model, self.steering()).await {
            let diagnostic = error.diagnostic();
            tracing::error!(rollout = self.id(), %error, diagnostic, "traffic does not move");
        }
    }

    fn ask_gate(&self, place: usize) {
        let gate = self.rollout.config().gates.get(place);
        let Some(GateKind::Webhook { url, timeout }) = gate.map(|gate| gate.asks.clone()) else {
            return;
        };
        let Ok(view) = self.view() else { return };
        let (gatekeeper, events) = (Arc::clone(&self.tools.gatekeeper), self.events.clone());
        tokio::spawn(async move {
            let answer = gatekeeper.ask(&url, &view.status, timeout).await;
            let event = Event::GateAnswered {
                gate: place,
                answer,
            };
            events.send(event).await.unwrap_or_default();
        });
    }

    /// A move: for the record, the log, the metrics and those who watch.
    fn note(&mut self, made: &Transition) {
        let (from, to) = (made.from.as_str(), made.to.as_str());
        let config = self.rollout.config();
        tracing::info!(
            rollout = config.id,
            model = %config.model,
            from,
            to,
            reason = %made.reason,
            actor = made.actor,
            generation = made.generation,
            "a rollout moved"
        );
        self.tools.observe.observe(&Observed::RolloutMoved {
            rollout: &config.id,
            model: &config.model,
            from,
            to,
            reason: made.reason.word(),
        });
        if made.to == Phase::RolledBack {
            self.write_notices(made);
        }
        match move_document(self.rollout.config(), made) {
            Ok(document) => {
                self.moves.push(document.as_str().to_owned());
                self.tell_watchers(RolloutNews::Transition(document));
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), diagnostic, "a move cannot be written");
            }
        }
    }

    /// Writes to those who are to know that it went back.
    fn write_notices(&mut self, made: &Transition) {
        let public_url = self.tools.public_url.as_deref();
        match Notices::new(&self.rollout, made, public_url) {
            Ok(notices) if notices.is_empty() => {}
            Ok(notices) => self.notices = Some(notices),
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), diagnostic, "nobody can be told");
            }
        }
    }

    /// Posts what was written, also when it cannot be kept.
    pub(super) fn post_notices(&mut self) {
        if let Some(notices) = self.notices.take() {
            let config = self.rollout.config();
            let (id, model) = (config.id.clone(), config.model.clone());
            tokio::spawn(Post::new(&self.tools).deliver(id, model, notices));
        }
    }

    /// Tells those who watch; nobody may.
    pub(super) fn tell_watchers(&self, news: RolloutNews) {
        drop(self.news.send(news));
    }

    /// Tells the metrics.
    pub(super) fn measure(&self) {
        let (config, pairs) = (self.rollout.config(), totals(&self.pairs));
        let report = self.rollout.progress().evidence.report(config);
        let weight = self.rollout.traffic().weight;
        let differing = pairs.differing();
        let reading = RolloutReading {
            rollout: &config.id,
            model: &config.model,
            state: self.rollout.progress().phase.as_str(),
            weights: [("stable", 1.0 - weight), ("candidate", weight)],
            scores: report
                .metrics
                .iter()
                .flat_map(|m| scores(&report, m))
                .collect(),
            rates: report.metrics.iter().flat_map(rates).collect(),
            mismatch: report.srm.ln_e,
            n_agreeing: differing.n - differing.events,
            n_differing: differing.events,
            dropped: self.drops.counts().collect(),
            n_without_unit: self.split.n_without_unit(),
        };
        self.tools
            .observe
            .observe(&Observed::RolloutMeasured(&reading));
    }

    /// The arms at work: candidate and stable, as the split declares them.
    pub(super) fn arms(&self) -> [&Arc<ArmAtWork>; 2] {
        match self.split.arms() {
            [candidate, stable] => [candidate, stable],
            _ => unreachable!("the split of a rollout has two arms"),
        }
    }

    /// What serves a version of the model now.
    pub(super) fn served(&self, version: &Version) -> Option<Arc<Served>> {
        self.tools
            .helm
            .served(&self.rollout.config().model, version)
    }
}

fn scores<'a>(report: &Report, metric: &'a MetricReport) -> Vec<RolloutScore<'a>> {
    let score = |kind, value, limit| RolloutScore {
        metric: &metric.name,
        kind,
        value,
        limit,
    };
    let limits = report.limits;
    let mut scores = vec![
        score("worse_start", metric.ln_worse_start, limits.ln_worse_start),
        score("worse_step", metric.ln_worse_step, limits.ln_worse_step),
    ];
    if let Some((value, limit)) = metric.ln_not_worse.zip(metric.ln_not_worse_limit) {
        scores.push(score("not_worse", value, limit));
    }
    scores
}

fn rates(metric: &MetricReport) -> impl Iterator<Item = RolloutRate<'_>> {
    let arms = [
        ("stable", metric.arms.stable),
        ("candidate", metric.arms.candidate),
    ];
    let rate = |arm, report: ArmReport| RolloutRate {
        metric: &metric.name,
        arm,
        value: report.value,
        interval: report.ci,
    };
    let known = arms.into_iter();
    known.filter_map(move |(arm, report)| report.map(|report| rate(arm, report)))
}
