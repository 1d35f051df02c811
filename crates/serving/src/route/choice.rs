//! The split of one model at work: from a request to one of its arms.
//!
//! Decision: the request is asked only for what this split needs. Randomness comes in as a number,
//! so the same request and the same number always give the same arm.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use contract::{Arm, ArmResult, Caller, Error, Fallback, Result, Split, UnitSource};

use super::results::ArmCounts;
use super::split::Assigner;

/// A checked split, with what its replies carry.
#[derive(Debug)]
pub(crate) struct ActiveSplit {
    split: Split,
    assigner: Assigner,
    arms: Vec<ArmAtWork>,
    n_without_unit: AtomicU64,
}

/// What goes with each arm.
#[derive(Debug)]
pub(crate) struct ArmAtWork {
    /// Its name, as replies carry it.
    pub(crate) name: Bytes,
    /// What it has answered.
    pub(crate) counts: Arc<ArmCounts>,
}

/// What a split says about one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice<'a> {
    /// The request belongs to an arm.
    Assigned(&'a Arm, &'a ArmAtWork),
    /// The caller forces an arm.
    Forced(&'a Arm, &'a ArmAtWork),
    /// The request takes no part.
    Outside,
}

impl ActiveSplit {
    /// Checks a split.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong.
    pub(crate) fn new(split: Split, default_salt: &str) -> Result<Self> {
        let assigner = Assigner::new(&split, default_salt)?;
        let arms = split.arms.iter().map(|arm| ArmAtWork {
            name: Bytes::copy_from_slice(arm.name.as_bytes()),
            counts: Arc::default(),
        });
        Ok(Self {
            arms: arms.collect(),
            n_without_unit: AtomicU64::new(0),
            assigner,
            split,
        })
    }

    /// The split as it was written.
    pub(crate) fn split(&self) -> &Split {
        &self.split
    }

    /// What each arm has answered.
    pub(crate) fn results(&self) -> Vec<ArmResult> {
        let arms = self.split.arms.iter().zip(&self.arms);
        arms.map(|(arm, at_work)| at_work.counts.result(&arm.name))
            .collect()
    }

    /// How many requests had no unit.
    pub(crate) fn n_without_unit(&self) -> u64 {
        self.n_without_unit.load(Ordering::Relaxed)
    }

    /// What the split says about the request of `caller`; `draw` is asked for when it is random.
    ///
    /// # Errors
    /// `invalid_request` when the caller forces an arm that the split does not have.
    pub(crate) fn choose(
        &self,
        caller: &dyn Caller,
        draw: impl FnOnce() -> u64,
    ) -> Result<Choice<'_>> {
        let forced = self.split.override_header.as_deref();
        if let Some(name) = forced.and_then(|header| caller.header(header)) {
            return self.forced(&name);
        }
        let unit = self.unit(caller).filter(|unit| !unit.is_empty());
        if unit.is_none() && self.split.unit.source != UnitSource::Random {
            self.n_without_unit.fetch_add(1, Ordering::Relaxed);
        }
        let index = match (unit, self.split.unit.fallback) {
            (Some(unit), Fallback::Random | Fallback::Stable) => self.assigner.arm_of(&unit),
            (None, Fallback::Random) => self.assigner.arm_of_draw(draw()),
            (None, Fallback::Stable) => None,
        };
        let arm = index.and_then(|index| self.arm(index));
        Ok(arm.map_or(Choice::Outside, |(arm, at_work)| {
            Choice::Assigned(arm, at_work)
        }))
    }

    fn forced(&self, name: &str) -> Result<Choice<'_>> {
        let mut arms = self.split.arms.iter().zip(&self.arms);
        let found = arms.find(|(arm, _)| arm.name == name);
        found
            .map(|(arm, at_work)| Choice::Forced(arm, at_work))
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

    fn arm(&self, index: usize) -> Option<(&Arm, &ArmAtWork)> {
        self.split.arms.get(index).zip(self.arms.get(index))
    }

    fn unit<'a>(&self, caller: &'a dyn Caller) -> Option<Cow<'a, str>> {
        match &self.split.unit.source {
            UnitSource::Field(path) => caller.field(path),
            UnitSource::Header(name) => caller.header(name),
            UnitSource::Cookie(name) => caller.cookie(name),
            UnitSource::Random => None,
        }
    }
}
