//! Assignment of units to versions.
//!
//! Decision: the rules of splits are those of the router, so the router's own check runs on what is
//! written here: with the weight of every step, because a weight can be too fine for a hash.

use std::time::Duration;

use contract::{AssignmentHash, Fallback, Layer, Unit, UnitSource};
use stats::assignment::Assigner;

use super::super::file::{
    FallbackFile, HashFile, LayerFile, OverrideFile, RolloutFile, UnitFile, UnitFrom,
};
use super::super::{Assignment, ConfigError, RolloutConfig, Sticky, Strategy};
use super::{duration, error, required};

/// The key of the time for which a unit keeps its version.
const STICKY: &str = "rollout.sticky";

/// Long enough for a session of a user, short enough for many units to be counted again.
const DEFAULT_EPOCH: Duration = Duration::from_secs(3600);

/// Shorter epochs would end before the requests of their units.
const MIN_EPOCH: Duration = Duration::from_secs(60);

/// The keys about assignment of a rollout file.
#[derive(Debug)]
pub(super) struct AssignmentFile {
    unit: Option<UnitFile>,
    hash: Option<HashFile>,
    salt: Option<String>,
    override_header: Option<OverrideFile>,
    layer: Option<LayerFile>,
    sticky: Option<String>,
}

impl AssignmentFile {
    /// Takes the keys out of a file.
    pub(super) fn take(file: &mut RolloutFile) -> Self {
        Self {
            unit: file.unit.take(),
            hash: file.hash.take(),
            salt: file.salt.take(),
            override_header: file.override_header.take(),
            layer: file.layer.take(),
            sticky: file.sticky.take(),
        }
    }

    /// Fills in the defaults; `name` is the default salt of `xxh3`, which makes rollouts
    /// independent of each other.
    pub(super) fn resolve(self, strategy: Strategy, name: &str) -> Result<Assignment, ConfigError> {
        let hash = match self.hash {
            None | Some(HashFile::Xxh3) => AssignmentHash::Xxh3,
            Some(HashFile::Md5) => AssignmentHash::Md5,
            Some(HashFile::GrowthbookV2) => AssignmentHash::GrowthbookV2,
            Some(HashFile::Murmur3) => AssignmentHash::Murmur3,
        };
        let default_salt = match hash {
            AssignmentHash::Xxh3 => Some(name.to_owned()),
            AssignmentHash::Md5 | AssignmentHash::GrowthbookV2 | AssignmentHash::Murmur3 => None,
        };
        let unit = unit(self.unit)?;
        Ok(Assignment {
            sticky: sticky(self.sticky.as_deref(), strategy, &unit.source, hash)?,
            unit,
            hash,
            salt: self.salt.or(default_salt),
            override_header: self.override_header.map(|forced| forced.header),
            layer: self.layer.map(|layer| Layer {
                name: layer.name,
                start: layer.range.0,
                end: layer.range.1,
            }),
        })
    }
}

fn unit(file: Option<UnitFile>) -> Result<Unit, ConfigError> {
    let Some(file) = file else {
        return Ok(Unit {
            source: UnitSource::Random,
            fallback: Fallback::Random,
        });
    };
    Ok(Unit {
        source: unit_source(file.from, file.name)?,
        fallback: match file.fallback {
            None | Some(FallbackFile::Random) => Fallback::Random,
            Some(FallbackFile::Stable) => Fallback::Stable,
        },
    })
}

/// Resolves the time for which a unit keeps its version.
fn sticky(
    text: Option<&str>,
    strategy: Strategy,
    source: &UnitSource,
    hash: AssignmentHash,
) -> Result<Sticky, ConfigError> {
    let has_own_salt = hash == AssignmentHash::Xxh3;
    let length = match text {
        None if strategy == Strategy::Ab || *source == UnitSource::Random || !has_own_salt => {
            return Ok(Sticky::Rollout);
        }
        None => return Ok(Sticky::Epoch(DEFAULT_EPOCH)),
        Some("rollout") => return Ok(Sticky::Rollout),
        Some(text) => duration(STICKY, Some(text.to_owned()), DEFAULT_EPOCH)?,
    };
    let message = if *source == UnitSource::Random {
        "needs `rollout.unit`; without one every request is assigned anew".to_owned()
    } else if !has_own_salt {
        format!(
            "expected `rollout` with the hash `{}`, because other programs compute its \
             assignments too; use `hash: xxh3` for an epoch",
            hash.as_str()
        )
    } else if length < MIN_EPOCH {
        format!("expected `rollout` or at least {MIN_EPOCH:?}, such as `1h`, got {length:?}")
    } else {
        return Ok(Sticky::Epoch(length));
    };
    Err(error(STICKY, message))
}

fn unit_source(from: UnitFrom, name: Option<String>) -> Result<UnitSource, ConfigError> {
    let make = match from {
        // gRPC metadata are headers.
        UnitFrom::Header | UnitFrom::Grpc => UnitSource::Header,
        UnitFrom::Cookie => UnitSource::Cookie,
        UnitFrom::Json => UnitSource::Field,
        UnitFrom::Random => return Ok(UnitSource::Random),
    };
    required("rollout.unit.name", name).map(make)
}

/// Checks the split of every step as the router does.
pub(super) fn check(config: &RolloutConfig) -> Result<(), ConfigError> {
    let check = |key: String, weight| {
        let refused = Assigner::new(&config.split(weight, 0), "").err();
        refused.map_or(Ok(()), |refused| Err(error(key, refused.message())))
    };
    check("rollout".to_owned(), 0.5)?;
    for (index, &weight) in config.steps.iter().enumerate() {
        check(format!("rollout.steps[{index}]"), weight)?;
    }
    Ok(())
}
