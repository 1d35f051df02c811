//! Checks of a traffic split.
//!
//! Decision: every error begins with the path of the key in a call, such as `split[1].weight`, so
//! that a caller finds the place without counting.

use std::collections::HashSet;
use std::time::Duration;

use contract::{
    AssignmentHash, Bandit, Error, Layer, Result, Split, UnitSource, VersionSelector,
    check_traffic_name,
};

use crate::assignment::hash::COARSE_BUCKETS;

/// Maximum number of arms, far above any use.
const MAX_ARMS: usize = 64;

/// Tolerance of the sum of the weights: thirds are written with three digits.
const SUM_TOLERANCE: f64 = 0.001;

/// Rounding error of decimal fractions in `f64`, in buckets.
const ROUNDING: f64 = 1e-6;

/// Minimum period of a bandit: over less time, fluctuations of the traffic decide between the arms.
const MIN_PERIOD: Duration = Duration::from_secs(5 * 60);

/// Maximum period of a bandit; a longer one is a typing error.
const MAX_PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Rejects splits that make no sense.
pub(super) fn check(split: &Split) -> Result<()> {
    check_arms(split)?;
    check_weights(split)?;
    check_granularity(split)?;
    check_coverage(split)?;
    check_salt(split)?;
    check_unit(split)?;
    split.layer.as_ref().map_or(Ok(()), check_layer)?;
    if let Some(name) = &split.override_header {
        check_token("override.header", name)?;
    }
    match &split.bandit {
        Some(bandit) => check_bandit(split, bandit),
        None => Ok(()),
    }
}

fn check_bandit(split: &Split, bandit: &Bandit) -> Result<()> {
    if split.arms.len() < 2 {
        return Err(Error::invalid(
            "`bandit`: expected at least 2 arms in `split`, got 1",
        ));
    }
    if !(MIN_PERIOD..=MAX_PERIOD).contains(&bandit.period) {
        return Err(Error::invalid(format!(
            "`bandit.period`: expected 5 minutes to 30 days, got {:?}",
            bandit.period
        )));
    }
    if bandit.min_units == 0 {
        return Err(Error::invalid(
            "`bandit.min_units`: expected a number from 1 on, got 0",
        ));
    }
    check_floor(split, bandit.floor)
}

/// Checks the floor: an arm without traffic would never show that it is better.
fn check_floor(split: &Split, floor: f64) -> Result<()> {
    let buckets = floor * f64::from(COARSE_BUCKETS);
    let is_whole = (buckets - buckets.round()).abs() <= ROUNDING;
    let even = 1.0 / split.arms.len() as f64;
    if !(is_whole && buckets.round() >= 1.0 && floor <= even) {
        return Err(Error::invalid(format!(
            "`bandit.floor`: expected a multiple of 0.0001 from 0.0001 to the even share of {} arms, \
             got {floor}",
            split.arms.len()
        )));
    }
    for (index, arm) in split.arms.iter().enumerate() {
        if arm.weight < floor {
            return Err(Error::invalid(format!(
                "`split[{index}].weight`: expected at least `bandit.floor`, which is {floor}, got {}",
                arm.weight
            )));
        }
    }
    Ok(())
}

fn check_arms(split: &Split) -> Result<()> {
    if !(1..=MAX_ARMS).contains(&split.arms.len()) {
        return Err(Error::invalid(format!(
            "`split`: expected 1 to {MAX_ARMS} arms, got {}",
            split.arms.len()
        )));
    }
    let mut names = HashSet::new();
    for (index, arm) in split.arms.iter().enumerate() {
        let at = |key| format!("`split[{index}].{key}`");
        check_traffic_name(&arm.name).map_err(|error| error.in_context(at("name")))?;
        if !names.insert(&arm.name) {
            return Err(Error::invalid(format!(
                "{}: `{}` is the name of an arm before it; give each arm a `name` of its own",
                at("name"),
                arm.name
            )));
        }
        if VersionSelector::parse(Some(&arm.version)) == VersionSelector::Latest {
            return Err(Error::invalid(format!(
                "{}: expected a version or a label, got `{}`",
                at("version"),
                arm.version
            )));
        }
    }
    Ok(())
}

fn check_weights(split: &Split) -> Result<()> {
    for (index, arm) in split.arms.iter().enumerate() {
        if !(0.0..=1.0).contains(&arm.weight) {
            return Err(Error::invalid(format!(
                "`split[{index}].weight`: expected a number from 0 to 1, got {}",
                arm.weight
            )));
        }
    }
    let sum: f64 = split.arms.iter().map(|arm| arm.weight).sum();
    match (sum - 1.0).abs() <= SUM_TOLERANCE + f64::EPSILON {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "`split`: the weights sum to {}, expected 1 within {SUM_TOLERANCE}",
            // More digits than this are rounding.
            (sum * 1e9).round() / 1e9
        ))),
    }
}

/// Rejects weights finer than the buckets, which would silently become other weights.
fn check_granularity(split: &Split) -> Result<()> {
    if split.hash == AssignmentHash::Xxh3 {
        return Ok(());
    }
    for (index, arm) in split.arms.iter().enumerate() {
        let buckets = arm.weight * f64::from(COARSE_BUCKETS);
        if (buckets - buckets.round()).abs() > ROUNDING {
            return Err(Error::invalid(format!(
                "`split[{index}].weight`: `{}` has {COARSE_BUCKETS} buckets, so a weight is a multiple of \
                 0.0001, got {}",
                split.hash.as_str(),
                arm.weight
            )));
        }
    }
    Ok(())
}

fn check_coverage(split: &Split) -> Result<()> {
    if !(split.coverage > 0.0 && split.coverage <= 1.0) {
        return Err(Error::invalid(format!(
            "`coverage`: expected a number above 0 and up to 1, got {}",
            split.coverage
        )));
    }
    match split.hash == AssignmentHash::Md5 && split.coverage < 1.0 {
        true => Err(Error::invalid(
            "`coverage`: not supported by `md5`; leave it out, or use `xxh3`",
        )),
        false => Ok(()),
    }
}

fn check_salt(split: &Split) -> Result<()> {
    let is_missing = split.salt.as_deref().is_none_or(str::is_empty);
    let meaning = match split.hash {
        AssignmentHash::Xxh3 | AssignmentHash::Md5 => return Ok(()),
        AssignmentHash::GrowthbookV2 => "the seed of the experiment",
        AssignmentHash::Murmur3 => "the id of the experiment",
    };
    match is_missing {
        true => Err(Error::invalid(format!(
            "`salt`: `{}` needs {meaning} here",
            split.hash.as_str()
        ))),
        false => Ok(()),
    }
}

fn check_unit(split: &Split) -> Result<()> {
    match &split.unit.source {
        UnitSource::Field(path) => match path.split('.').any(str::is_empty) {
            true => Err(Error::invalid(format!(
                "`unit.name`: expected a key, or keys with dots between them, got `{}`",
                path.escape_debug()
            ))),
            false => Ok(()),
        },
        UnitSource::Header(name) | UnitSource::Cookie(name) => check_token("unit.name", name),
        UnitSource::Random if split.layer.is_some() => Err(Error::invalid(
            "`layer`: expected a unit other than `random` in a split with a layer",
        )),
        UnitSource::Random => Ok(()),
    }
}

fn check_layer(layer: &Layer) -> Result<()> {
    check_traffic_name(&layer.name).map_err(|error| error.in_context("`layer.name`"))?;
    match 0.0 <= layer.start && layer.start < layer.end && layer.end <= 1.0 {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "`layer.range`: expected two rising numbers from 0 to 1, got [{}, {}]",
            layer.start, layer.end
        ))),
    }
}

/// Checks the name of a header or cookie: the characters of an HTTP token.
fn check_token(key: &str, name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match !name.is_empty() && name.chars().all(is_allowed) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "`{key}`: expected the name of a header or cookie, got `{}`",
            name.escape_debug()
        ))),
    }
}
