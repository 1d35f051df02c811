//! Series of rollouts.
//!
//! Decision: a rollout reports all its numbers about once a second, so they are stored as they
//! come, behind a lock that no request takes. Ended rollouts stay, so that a dashboard can show how
//! they ended; above [`MAX_ROLLOUTS`] the oldest ended one is removed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::rollout::RolloutState;
use contract::{ModelName, RolloutReading};
use prometheus_client::encoding::DescriptorEncoder;

use super::names::Metric;
use super::samples::{Samples, write};

/// Some months of rollouts, and still a few thousand series.
const MAX_ROLLOUTS: usize = 100;

/// A transition without time and actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Transition {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) reason: &'static str,
}

/// The series of all known rollouts.
#[derive(Debug, Default)]
pub(crate) struct Rollouts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_name: BTreeMap<String, Series>,
    /// Counts by model and reason; they outlive the rollouts.
    rollbacks: BTreeMap<(ModelName, &'static str), u64>,
    /// Counts by model and outcome; they outlive the rollouts, too.
    notifications: BTreeMap<(ModelName, &'static str), u64>,
    n_started: u64,
}

#[derive(Debug)]
struct Series {
    model: ModelName,
    /// The position in the order of starts.
    number: u64,
    state: &'static str,
    transitions: BTreeMap<Transition, u64>,
    reading: Reading,
}

/// The last reported reading.
#[derive(Debug, Default)]
struct Reading {
    weights: Vec<(&'static str, f64)>,
    scores: Vec<Score>,
    rates: Vec<Rate>,
    mismatch: Option<f64>,
    n_agreeing: u64,
    n_differing: u64,
    dropped: Vec<(&'static str, u64)>,
    n_without_unit: u64,
}

#[derive(Debug)]
struct Score {
    metric: String,
    kind: &'static str,
    value: f64,
    limit: f64,
}

#[derive(Debug)]
struct Rate {
    metric: String,
    arm: &'static str,
    value: Option<f64>,
    interval: Option<(f64, f64)>,
}

impl Rollouts {
    /// Counts a transition.
    pub(crate) fn record_transition(&self, name: &str, model: &ModelName, transition: Transition) {
        let mut state = self.state();
        let series = state.series(name, model);
        series.state = transition.to;
        *series.transitions.entry(transition).or_default() += 1;
        if transition.to == RolloutState::RolledBack.as_str() {
            let key = (model.clone(), transition.reason);
            *state.rollbacks.entry(key).or_default() += 1;
        }
    }

    /// Counts a notification.
    pub(crate) fn record_notification(&self, model: &ModelName, outcome: &'static str) {
        let mut state = self.state();
        *state
            .notifications
            .entry((model.clone(), outcome))
            .or_default() += 1;
    }

    /// Stores the current reading.
    pub(crate) fn record_reading(&self, reading: &RolloutReading<'_>) {
        let mut state = self.state();
        let series = state.series(reading.rollout, reading.model);
        series.state = reading.state;
        series.reading = Reading::from(reading);
    }

    /// Writes all series.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.state();
        for (metric, fill) in FAMILIES {
            write(encoder, metric, |samples| {
                state.by_name.iter().try_for_each(|(name, series)| {
                    let mut rows = Rows {
                        owner: [series.model.as_str(), name],
                        samples: &mut *samples,
                    };
                    fill(&mut rows, series)
                })
            })?;
        }
        let by_model = [
            (Metric::RolloutRollbacks, &state.rollbacks),
            (Metric::RolloutNotifications, &state.notifications),
        ];
        by_model.into_iter().try_for_each(|(metric, counts)| {
            write(encoder, metric, |samples| {
                let mut counts = counts.iter();
                counts.try_for_each(|((model, word), count)| {
                    samples.counter(&[model.as_str(), word], count)
                })
            })
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn series(&mut self, name: &str, model: &ModelName) -> &mut Series {
        if self.by_name.len() >= MAX_ROLLOUTS && !self.by_name.contains_key(name) {
            self.evict_oldest();
        }
        self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.n_started += 1;
            Series {
                model: model.clone(),
                number: self.n_started,
                state: "",
                transitions: BTreeMap::new(),
                reading: Reading::default(),
            }
        })
    }

    fn evict_oldest(&mut self) {
        let all = self.by_name.iter();
        let oldest = all.min_by_key(|(_, series)| (!series.has_ended(), series.number));
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.by_name.remove(&name);
        }
    }
}

impl Series {
    fn has_ended(&self) -> bool {
        let state = RolloutState::ALL.map(|state| (state.as_str(), state.is_final()));
        state.contains(&(self.state, true))
    }
}

impl From<&RolloutReading<'_>> for Reading {
    fn from(reading: &RolloutReading<'_>) -> Self {
        let scores = reading.scores.iter().map(|score| Score {
            metric: score.metric.to_owned(),
            kind: score.kind,
            value: score.value,
            limit: score.limit,
        });
        let rates = reading.rates.iter().map(|rate| Rate {
            metric: rate.metric.to_owned(),
            arm: rate.arm,
            value: rate.value,
            interval: rate.interval,
        });
        Self {
            weights: reading.weights.to_vec(),
            scores: scores.collect(),
            rates: rates.collect(),
            mismatch: Some(reading.mismatch),
            n_agreeing: reading.n_agreeing,
            n_differing: reading.n_differing,
            dropped: reading.dropped.clone(),
            n_without_unit: reading.n_without_unit,
        }
    }
}

/// Writer of the samples of one metric of one rollout.
struct Rows<'a, 'b> {
    /// Model and rollout, the first labels of every series.
    owner: [&'a str; 2],
    samples: &'a mut Samples<'b>,
}

impl Rows<'_, '_> {
    /// Writes a gauge, and leaves out a value that is not finite: to a dashboard it is unknown.
    fn gauge(&mut self, labels: &[&str], value: f64) -> fmt::Result {
        match value.is_finite() {
            true => self.samples.gauge(&[&self.owner, labels].concat(), value),
            false => Ok(()),
        }
    }

    fn counter(&mut self, labels: &[&str], count: u64) -> fmt::Result {
        self.samples
            .counter(&[&self.owner, labels].concat(), &count)
    }
}

type Fill = fn(&mut Rows<'_, '_>, &Series) -> fmt::Result;

const FAMILIES: [(Metric, Fill); 11] = [
    (Metric::RolloutState, states),
    (Metric::RolloutWeight, weights),
    (Metric::RolloutEvidence, |rows, series| {
        scores(rows, series, |score| score.value)
    }),
    (Metric::RolloutEvidenceLimit, |rows, series| {
        scores(rows, series, |score| score.limit)
    }),
    (Metric::RolloutValue, values),
    (Metric::RolloutBound, bounds),
    (Metric::RolloutTransitions, transitions),
    (Metric::ShadowPairs, |rows, Series { reading, .. }| {
        rows.counter(&["true"], reading.n_agreeing)?;
        rows.counter(&["false"], reading.n_differing)
    }),
    (Metric::ShadowDropped, |rows, Series { reading, .. }| {
        let mut dropped = reading.dropped.iter();
        dropped.try_for_each(|(reason, count)| rows.counter(&[reason], *count))
    }),
    (Metric::SplitMismatch, |rows, Series { reading, .. }| {
        let mismatch = reading.mismatch;
        mismatch.map_or(Ok(()), |score| rows.gauge(&[], score))
    }),
    (Metric::AssignFallback, |rows, Series { reading, .. }| {
        rows.counter(&[], reading.n_without_unit)
    }),
];

fn states(rows: &mut Rows<'_, '_>, series: &Series) -> fmt::Result {
    let mut states = RolloutState::ALL.map(RolloutState::as_str).into_iter();
    states.try_for_each(|state| {
        let is_there = state == series.state;
        rows.gauge(&[state], f64::from(u8::from(is_there)))
    })
}

fn weights(rows: &mut Rows<'_, '_>, series: &Series) -> fmt::Result {
    let mut weights = series.reading.weights.iter();
    weights.try_for_each(|(arm, weight)| rows.gauge(&[arm], *weight))
}

fn scores(rows: &mut Rows<'_, '_>, series: &Series, read: fn(&Score) -> f64) -> fmt::Result {
    let mut scores = series.reading.scores.iter();
    scores.try_for_each(|score| rows.gauge(&[&score.metric, score.kind], read(score)))
}

fn values(rows: &mut Rows<'_, '_>, series: &Series) -> fmt::Result {
    let mut rates = series.reading.rates.iter();
    rates.try_for_each(|rate| {
        let labels = [rate.metric.as_str(), rate.arm];
        rate.value
            .map_or(Ok(()), |value| rows.gauge(&labels, value))
    })
}

fn bounds(rows: &mut Rows<'_, '_>, series: &Series) -> fmt::Result {
    for rate in &series.reading.rates {
        if let Some((lower, upper)) = rate.interval {
            rows.gauge(&[&rate.metric, rate.arm, "lower"], lower)?;
            rows.gauge(&[&rate.metric, rate.arm, "upper"], upper)?;
        }
    }
    Ok(())
}

fn transitions(rows: &mut Rows<'_, '_>, series: &Series) -> fmt::Result {
    let mut transitions = series.transitions.iter();
    transitions.try_for_each(|(Transition { from, to, reason }, count)| {
        rows.counter(&[from, to, reason], *count)
    })
}
