//! Traffic splits: assignment of a unit to an arm.
//!
//! Inputs: a checked [`Split`] and the unit of a request, or a random number for a request that has
//! none. Rule: each arm owns the half-open range that begins where the weights before it end, and
//! `coverage` of its weight long; so a larger coverage moves no unit between arms, and an arm that
//! is declared first only gains units when its weight grows. `md5` instead follows a rule that many
//! services have in their own code: weights are added up in declared order, in `f64`, and the first
//! sum that is not below the number wins. Cold start: none, because there is no state. Recovery:
//! none needed. Rejected: remembering the arm of a unit in a cookie or a table, which grows away
//! from the weights and differs between replicas.

mod check;

use contract::{AssignmentHash, Result, Split};

use super::hash::{self, COARSE_BUCKETS, FINE_BUCKETS};

/// Assigns units to the arms of one split.
///
/// ```
/// # fn main() -> contract::Result<()> {
/// use contract::{Arm, AssignmentHash, Fallback, Split, Unit, UnitSource};
///
/// let arm = |version: &str, weight| Arm {
///     name: version.to_owned(),
///     version: version.to_owned(),
///     weight,
/// };
/// let split = Split {
///     arms: vec![arm("1", 0.5), arm("2", 0.5)],
///     unit: Unit {
///         source: UnitSource::Field("user_id".to_owned()),
///         fallback: Fallback::Random,
///     },
///     hash: AssignmentHash::Md5,
///     salt: None,
///     coverage: 1.0,
///     layer: None,
///     override_header: None,
///     bandit: None,
/// };
/// let assigner = stats::assignment::Assigner::new(&split, "")?;
/// assert_eq!(assigner.arm_of("user_42"), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Assigner {
    hash: AssignmentHash,
    salt: Box<str>,
    layer: Option<LayerRange>,
    arm_ranges: ArmRanges,
}

/// The range of the units in the layer of the split.
#[derive(Clone, Debug)]
struct LayerRange {
    salt: Box<str>,
    start: f64,
    end: f64,
}

/// The ranges of the arms. Arms without weight are left out.
#[derive(Clone, Debug)]
enum ArmRanges {
    /// Index and weight; the upper end of a range belongs to it.
    Cumulative(Vec<(usize, f64)>),
    /// Index, start and end; the upper end of a range does not belong to it.
    HalfOpen(Vec<(usize, f64, f64)>),
}

impl Assigner {
    /// Checks a split and builds its assigner. `default_salt` is the salt of `xxh3` when the split
    /// has none.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong, and what would be right.
    pub fn new(split: &Split, default_salt: &str) -> Result<Self> {
        check::check(split)?;
        let salt = split.salt.as_deref().unwrap_or(match split.hash {
            AssignmentHash::Xxh3 => default_salt,
            AssignmentHash::Md5 | AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => "",
        });
        let layer = split.layer.as_ref().map(|layer| LayerRange {
            salt: layer_salt(split.hash, &layer.name).into(),
            start: layer.start,
            end: layer.end,
        });
        Ok(Self {
            hash: split.hash,
            salt: salt.into(),
            layer,
            arm_ranges: arm_ranges(split),
        })
    }

    /// Returns the index of the arm of a unit; `None` when the unit takes no part.
    #[must_use]
    pub fn arm_of(&self, unit: &str) -> Option<usize> {
        if let Some(layer) = &self.layer {
            let number = layer_number(self.hash, &layer.salt, unit);
            if !(layer.start..layer.end).contains(&number) {
                return None;
            }
        }
        self.arm_ranges.find(self.number(self.bucket_of(unit)))
    }

    /// Returns the number of buckets of a hash, which is the resolution of its weights.
    pub const fn n_buckets(hash: AssignmentHash) -> u32 {
        match hash {
            AssignmentHash::Xxh3 => FINE_BUCKETS,
            AssignmentHash::Md5 | AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => {
                COARSE_BUCKETS
            }
        }
    }

    /// Returns the bucket of the unit.
    #[must_use]
    pub fn bucket_of(&self, unit: &str) -> u32 {
        match self.hash {
            AssignmentHash::Xxh3 => hash::xxh3(&self.salt, unit),
            AssignmentHash::Md5 => hash::md5(&self.salt, unit),
            AssignmentHash::GrowthbookV2 => hash::growthbook_v2(&self.salt, unit),
            AssignmentHash::Murmur3 => hash::murmur3(&self.salt, unit),
        }
    }

    /// Returns the index of an arm for a request without a unit, from a random number. Layers are
    /// of units, so such a request is in none.
    pub fn arm_of_draw(&self, draw: u64) -> Option<usize> {
        if self.layer.is_some() {
            return None;
        }
        let bucket = u32::try_from(draw % u64::from(FINE_BUCKETS)).unwrap_or_default();
        let number = match self.hash {
            AssignmentHash::Xxh3 => f64::from(bucket),
            AssignmentHash::Md5 | AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => {
                f64::from(bucket) / f64::from(FINE_BUCKETS)
            }
        };
        self.arm_ranges.find(number)
    }

    /// Returns the number that is compared with the ranges: the bucket itself for `xxh3`, whose
    /// ranges are whole buckets, and the fraction that the clients of other tools compute for their
    /// hashes.
    fn number(&self, bucket: u32) -> f64 {
        match self.hash {
            AssignmentHash::Xxh3 => f64::from(bucket),
            AssignmentHash::Md5 | AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => {
                f64::from(bucket) / f64::from(COARSE_BUCKETS)
            }
        }
    }
}

/// Returns the salt of a layer. Layers of GrowthBook are its namespaces, which use the first of its
/// rules.
fn layer_salt(hash: AssignmentHash, name: &str) -> String {
    match hash {
        AssignmentHash::GrowthbookV2 => format!("__{name}"),
        AssignmentHash::Xxh3 | AssignmentHash::Md5 | AssignmentHash::Murmur3 => {
            format!("layer/{name}")
        }
    }
}

fn layer_number(hash: AssignmentHash, salt: &str, unit: &str) -> f64 {
    match hash {
        AssignmentHash::GrowthbookV2 => f64::from(hash::growthbook_v1(salt, unit)) / 1000.0,
        AssignmentHash::Xxh3 | AssignmentHash::Md5 | AssignmentHash::Murmur3 => {
            f64::from(hash::xxh3(salt, unit)) / f64::from(FINE_BUCKETS)
        }
    }
}

fn arm_ranges(split: &Split) -> ArmRanges {
    let arms = split.arms.iter().enumerate();
    if split.hash == AssignmentHash::Md5 {
        let weighted = arms.filter(|(_, arm)| arm.weight > 0.0);
        return ArmRanges::Cumulative(weighted.map(|(index, arm)| (index, arm.weight)).collect());
    }
    let edge = |share: f64| match split.hash {
        AssignmentHash::Xxh3 => (share * f64::from(FINE_BUCKETS)).round(),
        AssignmentHash::Md5 | AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => share,
    };
    let mut start = 0.0;
    let mut ranges = Vec::with_capacity(split.arms.len());
    for (index, arm) in arms.filter(|(_, arm)| arm.weight > 0.0) {
        let end = start + split.coverage * arm.weight;
        ranges.push((index, edge(start), edge(end)));
        start += arm.weight;
    }
    ArmRanges::HalfOpen(ranges)
}

impl ArmRanges {
    fn find(&self, number: f64) -> Option<usize> {
        match self {
            Self::Cumulative(arms) => {
                let mut sum = 0.0;
                let found = arms.iter().find(|(_, weight)| {
                    sum += weight;
                    number <= sum
                });
                // A sum just below 1 leaves the last number without an arm: the first arm takes it.
                found.or(arms.first()).map(|(index, _)| *index)
            }
            Self::HalfOpen(ranges) => ranges
                .iter()
                .find(|(_, start, end)| (*start..*end).contains(&number))
                .map(|(index, ..)| *index),
        }
    }
}

#[cfg(test)]
mod tests;
