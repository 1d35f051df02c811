//! The traffic split of one model as applied: from a request to one of its arms.
//!
//! Decision: only the attributes that this split needs are read from the request. Randomness is
//! passed in as a number, so the same request and the same number always give the same arm.

mod segments;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use contract::{Arm, AssignmentAttributes, Code, Error, Fallback, Result, Split, UnitSource};
use stats::assignment::Assigner;
use stats::mismatch;
use xxhash_rust::xxh3::xxh3_64;

use super::bandit;
use super::counters::{
    ArmCounters, AssignedUnit, Class, Exposure, Exposures, Outcome, RequestFingerprint,
};
use super::seen_units::SeenUnits;

use segments::RolloutSample;

/// A validated split, with the counters of its arms.
#[derive(Debug)]
pub(crate) struct ActiveSplit {
    split: Split,
    /// Applied weights by arm; a bandit changes them.
    weights: Vec<f64>,
    /// The weights in the form that replies carry; only for a bandit.
    propensities: Vec<Bytes>,
    assigner: Assigner,
    arms: Vec<Arc<ActiveArm>>,
    history: Arc<AssignmentHistory>,
    /// Units that were assigned; in a rollout those of its epoch.
    seen_units: Arc<SeenUnits>,
    period_start: PeriodStart,
}

/// State that outlives a change of the weights.
#[derive(Debug, Default)]
struct AssignmentHistory {
    exposures: Exposures,
    n_without_unit: AtomicU64,
}

/// State at the moment from which the current weights apply.
#[derive(Debug)]
struct PeriodStart {
    /// Units by arm.
    units: Vec<u64>,
    /// ln BF of a sample-ratio mismatch under all earlier weights.
    ln_mismatch: f64,
}

/// State of one arm.
#[derive(Debug)]
pub(crate) struct ActiveArm {
    /// Its name, in the form that replies carry.
    pub(crate) name: Bytes,
    /// Counters of its answers.
    pub(crate) counters: Arc<ArmCounters>,
    /// Its number in the exposures, independent of its position.
    number: u8,
    history: Arc<AssignmentHistory>,
    /// Observations for the decisions of a rollout.
    sample: Option<RolloutSample>,
}

/// Assignment of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ArmAssignment<'a> {
    /// The request belongs to an arm.
    Assigned {
        /// The arm.
        arm: &'a Arm,
        /// The arm at work.
        active_arm: &'a Arc<ActiveArm>,
        /// The unit, when the request has one.
        unit: Option<AssignedUnit>,
        /// The probability of the arm, when a bandit set it.
        propensity: Option<&'a Bytes>,
    },
    /// The caller forces an arm.
    Forced(&'a Arm, &'a Arc<ActiveArm>),
    /// The request takes no part.
    Excluded,
}

impl ActiveArm {
    /// Records a request that was assigned to the arm, for its counters and for later feedback.
    pub(crate) fn record(&self, request: RequestFingerprint, outcome: &Outcome<'_>) {
        let summary = self.counters.record(outcome);
        if let Some(answer) = summary {
            let exposure = Exposure {
                arm: self.number,
                class: answer.class,
            };
            self.history.exposures.record(request, exposure);
        }
        if let Some(sample) = &self.sample {
            sample.record(outcome, summary);
        }
    }

    /// Records a unit whose first request ended without a result.
    pub(crate) fn record_without_result(&self, unit: AssignedUnit) {
        if let Some(sample) = &self.sample {
            let outcome = Outcome {
                error: Some(Code::Cancelled),
                latency: Duration::ZERO,
                timings: None,
                outputs: &[],
                unit: Some(unit),
            };
            sample.record(&outcome, None);
        }
    }
}

impl ActiveSplit {
    /// Validates a split.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong.
    pub(crate) fn new(split: Split, default_salt: &str) -> Result<Self> {
        Self::with_arms_from(None, split, default_salt)
    }

    /// Returns the same split with other weights. Arms of the same name and version keep their
    /// counters, no unit is counted twice, and feedback still finds earlier answers.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong.
    pub(crate) fn reweighted(&self, split: Split, default_salt: &str) -> Result<Self> {
        Self::with_arms_from(Some(self), split, default_salt)
    }

    /// Returns the same split with the weights that the rewards of its arms suggest; `None` when it
    /// is not a bandit, has too few rewards, or has these weights already.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong, which cannot happen for a validated split.
    pub(crate) fn with_bandit_weights(&self, default_salt: &str) -> Result<Option<Self>> {
        let rewards: Vec<_> = self.arms.iter().map(|arm| arm.counters.rewards()).collect();
        let rule = self.split.bandit.as_ref();
        let Some(weights) = rule.and_then(|rule| bandit::weights(&rewards, rule)) else {
            return Ok(None);
        };
        let weights = bandit::round_to_buckets(&weights, Assigner::n_buckets(self.split.hash));
        if weights == self.weights {
            return Ok(None);
        }
        let mut split = self.split.clone();
        for (arm, weight) in split.arms.iter_mut().zip(weights) {
            arm.weight = weight;
        }
        Ok(Some(Self {
            split: self.split.clone(),
            ..self.reweighted(split, default_salt)?
        }))
    }

    fn with_arms_from(earlier: Option<&Self>, split: Split, default_salt: &str) -> Result<Self> {
        let assigner = Assigner::new(&split, default_salt)?;
        let mut free = earlier.map_or(0, Self::first_free_number);
        // Numbers of arms are never reused; after hundreds of arms, the history is discarded.
        let has_room = usize::from(free) + split.arms.len() <= usize::from(u8::MAX);
        let earlier = earlier.filter(|_| has_room);
        if earlier.is_none() {
            free = 0;
        }
        let history = earlier.map_or_else(Arc::default, |earlier| Arc::clone(&earlier.history));
        let seen_units = earlier.map(|earlier| Arc::clone(&earlier.seen_units));
        let mut arms = Vec::with_capacity(split.arms.len());
        for arm in &split.arms {
            let known = earlier.and_then(|earlier| earlier.same_arm(arm));
            arms.push(known.unwrap_or_else(|| {
                free += 1;
                Arc::new(ActiveArm {
                    name: Bytes::copy_from_slice(arm.name.as_bytes()),
                    counters: Arc::default(),
                    number: free - 1,
                    history: Arc::clone(&history),
                    sample: None,
                })
            }));
        }
        let units = arms.iter().map(|arm| arm.counters.n_units());
        let period_start = PeriodStart {
            units: units.collect(),
            ln_mismatch: earlier.map_or(0.0, Self::ln_mismatch),
        };
        let weights: Vec<_> = split.arms.iter().map(|arm| arm.weight).collect();
        let bandit_weights = weights.iter().filter(|_| split.bandit.is_some());
        Ok(Self {
            propensities: bandit_weights
                .map(|weight| weight.to_string().into())
                .collect(),
            weights,
            split,
            assigner,
            arms,
            history,
            seen_units: seen_units.unwrap_or_default(),
            period_start,
        })
    }

    fn same_arm(&self, arm: &Arm) -> Option<Arc<ActiveArm>> {
        let mut arms = self.split.arms.iter().zip(&self.arms);
        let is_same = |own: &Arm| own.name == arm.name && own.version == arm.version;
        let (_, active_arm) = arms.find(|(own, _)| is_same(own))?;
        Some(Arc::clone(active_arm))
    }

    fn first_free_number(&self) -> u8 {
        let numbers = self.arms.iter().map(|arm| arm.number.saturating_add(1));
        numbers.max().unwrap_or(0)
    }

    /// Returns the split as written.
    pub(crate) fn split(&self) -> &Split {
        &self.split
    }

    /// Returns the applied weights, in the order of the split.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Returns the arms, in the order of the split.
    pub(crate) fn arms(&self) -> &[Arc<ActiveArm>] {
        &self.arms
    }

    /// Returns the assignment of units to arms.
    pub(crate) fn assigner(&self) -> &Assigner {
        &self.assigner
    }

    /// Returns the number of requests without a unit.
    pub(crate) fn n_without_unit(&self) -> u64 {
        self.history.n_without_unit.load(Ordering::Relaxed)
    }

    /// Returns the units of each arm: requests, when every request is a unit of its own.
    pub(crate) fn units(&self) -> Vec<u64> {
        let arms = self.arms.iter();
        arms.map(|arm| arm.counters.n_units()).collect()
    }

    /// Returns the ln BF that the units do not follow the weights.
    pub(crate) fn ln_mismatch(&self) -> f64 {
        let units = self.units();
        let now = units.iter().zip(&self.period_start.units);
        let counts: Vec<_> = now
            .map(|(now, period_start)| now.saturating_sub(*period_start))
            .collect();
        let sum: f64 = self.weights.iter().sum();
        let weights: Vec<_> = self.weights.iter().map(|weight| weight / sum).collect();
        let of_now = mismatch::ln_bayes_factor(&counts, &weights, mismatch::CONCENTRATION);
        self.period_start.ln_mismatch + of_now
    }

    /// Assigns the request with these attributes; `draw` is called when the assignment is random.
    ///
    /// # Errors
    /// `invalid_request` when the caller forces an arm that the split does not have.
    pub(crate) fn assign(
        &self,
        attributes: &dyn AssignmentAttributes,
        draw: impl FnOnce() -> u64,
    ) -> Result<ArmAssignment<'_>> {
        let forced = self.split.override_header.as_deref();
        if let Some(name) = forced.and_then(|header| attributes.header(header)) {
            return self.forced(&name);
        }
        let unit = self.unit(attributes).filter(|unit| !unit.is_empty());
        let index = match (&unit, self.split.unit.fallback) {
            (Some(unit), Fallback::Random | Fallback::Stable) => self.assigner.arm_of(unit),
            (None, Fallback::Random) => self.assigner.arm_of_draw(draw()),
            (None, Fallback::Stable) => None,
        };
        let is_random = self.split.unit.source == UnitSource::Random;
        if unit.is_none() && !is_random {
            let n_without_unit = &self.history.n_without_unit;
            n_without_unit.fetch_add(1, Ordering::Relaxed);
        }
        let Some((index, (arm, active_arm))) = index.and_then(|i| Some((i, self.arm(i)?))) else {
            return Ok(ArmAssignment::Excluded);
        };
        Ok(ArmAssignment::Assigned {
            arm,
            active_arm,
            unit: self.count_unit(unit.as_deref(), active_arm),
            propensity: self.propensities.get(index),
        })
    }

    /// Counts the unit of a request, or the request when it has none.
    fn count_unit(&self, unit: Option<&str>, arm: &ActiveArm) -> Option<AssignedUnit> {
        let Some(unit) = unit else {
            let counted = arm.observed_requests();
            if self.split.unit.source == UnitSource::Random || arm.sample.is_some() {
                counted.record_unit();
            }
            return None;
        };
        let fingerprint = xxh3_64(unit.as_bytes());
        let is_first = self.seen_units.insert(fingerprint);
        if is_first {
            arm.counters.record_unit();
        }
        Some(AssignedUnit {
            fingerprint,
            is_first,
        })
    }

    /// Returns the arm that answered a request, and the class that it answered.
    pub(super) fn arm_of_request(&self, id: &str) -> Option<(&ActiveArm, Option<Class>)> {
        let exposure = self.history.exposures.find(RequestFingerprint::new(id))?;
        let mut arms = self.arms.iter();
        let arm = arms.find(|arm| arm.number == exposure.arm)?;
        Some((arm, exposure.class))
    }

    /// Returns the arm of a unit that was seen.
    pub(super) fn arm_of_unit(&self, unit: &str) -> Option<&ActiveArm> {
        let index = self.assigner.arm_of(unit)?;
        let arm = self.arms.get(index)?;
        let fingerprint = xxh3_64(unit.as_bytes());
        self.seen_units.may_contain(fingerprint).then_some(arm)
    }

    fn forced(&self, name: &str) -> Result<ArmAssignment<'_>> {
        let mut arms = self.split.arms.iter().zip(&self.arms);
        let found = arms.find(|(arm, _)| arm.name == name);
        found
            .map(|(arm, active_arm)| ArmAssignment::Forced(arm, active_arm))
            .ok_or_else(|| {
                let arms = self.split.arms.iter();
                let names: Vec<_> = arms.map(|arm| format!("`{}`", arm.name)).collect();
                Error::invalid(format!(
                    "header `{}`: the split has the arms {}, got `{}`",
                    self.split.override_header.as_deref().unwrap_or_default(),
                    names.join(", "),
                    name.escape_debug()
                ))
            })
    }

    fn arm(&self, index: usize) -> Option<(&Arm, &Arc<ActiveArm>)> {
        self.split.arms.get(index).zip(self.arms.get(index))
    }

    fn unit<'a>(&self, attributes: &'a dyn AssignmentAttributes) -> Option<Cow<'a, str>> {
        match &self.split.unit.source {
            UnitSource::Field(path) => attributes.field(path),
            UnitSource::Header(name) => attributes.header(name),
            UnitSource::Cookie(name) => attributes.cookie(name),
            UnitSource::Random => None,
        }
    }
}

#[cfg(test)]
mod tests;
