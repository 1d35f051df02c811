//! Blocks of counts that evidence is made from.

use serde::{Deserialize, Serialize};
use stats::arm_totals::ArmTotals;
use stats::means::difference::Moments;
use stats::output_bins::Bin;
use stats::{ArmCounts, Counts};

/// A value for each arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arms<T> {
    /// The value of the version that served before.
    pub stable: T,
    /// The value of the version on trial.
    pub candidate: T,
}

impl<T> Arms<T> {
    /// Applies a function to both values.
    pub fn map<U>(self, mut function: impl FnMut(T) -> U) -> Arms<U> {
        Arms {
            stable: function(self.stable),
            candidate: function(self.candidate),
        }
    }

    /// Returns the value of the candidate or of stable.
    pub fn of_mut(&mut self, is_candidate: bool) -> &mut T {
        match is_candidate {
            true => &mut self.candidate,
            false => &mut self.stable,
        }
    }
}

impl Arms<u64> {
    /// Returns the larger value of each arm.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            stable: self.stable.max(other.stable),
            candidate: self.candidate.max(other.candidate),
        }
    }
}

impl Arms<ArmTotals> {
    /// Adds the totals of other requests.
    pub fn add(&mut self, other: &Self) {
        self.stable.add(&other.stable);
        self.candidate.add(&other.candidate);
    }

    /// Returns the difference to `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            stable: self.stable.since(&earlier.stable),
            candidate: self.candidate.since(&earlier.candidate),
        }
    }
}

/// The counts of a stretch of time in which the candidate had one weight. The arm of an observation
/// is drawn with that weight, whatever shares of the traffic the arms got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The traffic weight of the candidate.
    pub weight: f64,
    /// The epoch in which units were assigned.
    pub assignment_epoch: u64,
    /// The counts of each metric, in the order of the configuration.
    pub metrics: Vec<MetricBlock>,
    /// The units, or requests without a unit, that were assigned for the first time.
    pub units: Arms<u64>,
}

/// The counts of one metric in one block. Counts that do not fit the metric are ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MetricBlock {
    /// No counts.
    #[default]
    Nothing,
    /// Requests and events.
    Share {
        /// First requests of units, and requests without a unit; their events.
        trials: ArmCounts,
        /// The first event of each unit, and events of requests without a unit.
        events: Arms<u64>,
        /// Counts of shadow pairs.
        pairs: Pairs,
    },
    /// Pairs of answers, and the number of those that differed.
    Differing(Counts),
    /// Requests per class or bin of a score.
    Bins(Vec<Bin>),
    /// Rewards of both arms.
    Rewards {
        /// Rewards of stable.
        stable: Moments,
        /// Rewards of the candidate.
        candidate: Moments,
    },
}

/// Requests that both versions ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The number of pairs.
    pub n: u64,
    /// Pairs in which only stable had the event.
    pub stable_alone: u64,
    /// Pairs in which only the candidate had the event.
    pub candidate_alone: u64,
}

impl MetricBlock {
    /// Builds a block in which every trial is an observation of its own, without shadow pairs.
    #[must_use]
    pub fn of_arms(trials: ArmCounts) -> Self {
        Self::Share {
            trials,
            events: Arms {
                stable: trials.stable.events,
                candidate: trials.candidate.events,
            },
            pairs: Pairs::default(),
        }
    }
}
