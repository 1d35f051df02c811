//! The segments of a rollout's traffic: stretches of one weight and one assignment epoch.
//!
//! Rule: every segment has counters of its own, and a segment that has ended is sampled until its
//! last request has. Cold start: one segment. Recovery: the counts of this process begin at zero.

use std::sync::Arc;

use rollout::driver::{Arms, Observations};
use stats::arm_totals::ArmTotals;

use crate::route::{ActiveArm, ActiveSplit};

/// All segments that have requests, the current one last.
#[derive(Debug)]
pub(super) struct Segments {
    live: Vec<Segment>,
    /// Totals of the segments that have no more requests.
    ended: Arms<ArmTotals>,
}

#[derive(Debug)]
struct Segment {
    split: Arc<ActiveSplit>,
    assignment_epoch: u64,
    /// The last sample.
    requests: Arms<ArmTotals>,
    assigned: Arms<u64>,
}

impl Segments {
    /// Starts with the split that is in force.
    pub(super) fn new(split: Arc<ActiveSplit>, assignment_epoch: u64) -> Self {
        let mut segments = Self {
            live: Vec::new(),
            ended: Arms::default(),
        };
        segments.begin(split, assignment_epoch);
        segments
    }

    /// Begins a segment.
    pub(super) fn begin(&mut self, split: Arc<ActiveSplit>, assignment_epoch: u64) {
        self.live.push(Segment {
            split,
            assignment_epoch,
            requests: Arms::default(),
            assigned: Arms::default(),
        });
    }

    /// Returns the totals of all requests since the start.
    pub(super) fn totals(&self) -> Arms<ArmTotals> {
        let mut totals = self.ended.clone();
        for segment in &self.live {
            totals.add(&segment.arms().map(|arm| arm.counters.totals()));
        }
        totals
    }

    /// Returns the longest run of errors in each arm since the last call.
    pub(super) fn take_longest_error_runs(&self) -> Arms<u64> {
        let mut longest = Arms::default();
        for segment in &self.live {
            let runs = segment
                .arms()
                .map(|arm| arm.counters.take_longest_error_run());
            longest = longest.max(runs);
        }
        longest
    }

    /// Takes the observations since the last call, by segment.
    pub(super) fn take_observations(&mut self) -> Vec<Observations> {
        let n_ended = self.live.len().saturating_sub(1);
        // Before the sample, so that nothing is counted after it.
        let is_over: Vec<_> = (self.live.iter().enumerate())
            .map(|(index, segment)| index < n_ended && segment.has_ended())
            .collect();
        let observations = self.live.iter_mut().map(Segment::take).collect();
        let mut is_over = is_over.into_iter();
        let over = self
            .live
            .extract_if(.., |_| is_over.next().unwrap_or_default());
        for segment in over {
            self.ended
                .add(&segment.arms().map(|arm| arm.counters.totals()));
        }
        observations
    }
}

impl Segment {
    /// Returns the arms.
    fn arms(&self) -> Arms<&Arc<ActiveArm>> {
        match self.split.arms() {
            [candidate, stable] => Arms { stable, candidate },
            _ => unreachable!("the split of a rollout has two arms"),
        }
    }

    /// Returns whether neither a snapshot nor a request uses the segment any more.
    fn has_ended(&self) -> bool {
        let arms = self.arms();
        Arc::strong_count(&self.split) == 1
            && [arms.stable, arms.candidate].map(Arc::strong_count) == [1, 1]
    }

    fn take(&mut self) -> Observations {
        let arms = self.arms().map(|arm| arm.observed_requests());
        let requests = arms.map(|arm| arm.totals());
        let assigned = arms.map(|arm| arm.n_units());
        let last_requests = std::mem::replace(&mut self.requests, requests);
        let last_assigned = std::mem::replace(&mut self.assigned, assigned);
        Observations {
            weight: self.split.weights().first().copied().unwrap_or_default(),
            assignment_epoch: self.assignment_epoch,
            requests: self.requests.since(&last_requests),
            assigned: Arms {
                stable: self.assigned.stable - last_assigned.stable,
                candidate: self.assigned.candidate - last_assigned.candidate,
            },
            units: self.split.take_unit_observations(),
        }
    }
}
