//! `bandit` of a split: a boolean, or the keys that differ from their defaults.
//!
//! Decision: deserialized by hand, because an untagged enum would not name the key that is wrong.

use std::fmt;
use std::time::Duration;

use contract::{Error, Result};
use jiff::SignedDuration;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A bandit: the weights follow the rewards.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Bandit {
    /// On with all defaults, or off.
    Enabled(bool),
    /// On, with settings.
    Rule(BanditRule),
}

/// Settings of a bandit; a key that is left out has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BanditRule {
    /// The time for which weights stay the same, at least and by default `5m`.
    #[schema(nullable = false)]
    pub period: Option<String>,
    /// The rewards that every arm needs, 100 when left out.
    #[schema(nullable = false, minimum = 1)]
    pub min_units: Option<u64>,
    /// The least weight of an arm, 0.01 when left out.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    pub floor: Option<f64>,
}

struct BanditVisitor;

impl<'de> Visitor<'de> for BanditVisitor {
    type Value = Bandit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false`, or an object with `period`, `min_units` and `floor`")
    }

    fn visit_bool<E>(self, is_on: bool) -> Result<Bandit, E> {
        Ok(Bandit::Enabled(is_on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bandit, A::Error> {
        BanditRule::deserialize(MapAccessDeserializer::new(map)).map(Bandit::Rule)
    }
}

impl<'de> Deserialize<'de> for Bandit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BanditVisitor)
    }
}

impl Bandit {
    /// Returns the settings, or `None` for a bandit that is off.
    pub(super) fn into_rule(self) -> Result<Option<contract::Bandit>> {
        let rule = match self {
            Self::Enabled(false) => return Ok(None),
            Self::Enabled(true) => BanditRule::default(),
            Self::Rule(rule) => rule,
        };
        let default = contract::Bandit::default();
        let period = rule.period.as_deref().map(parse_period).transpose()?;
        Ok(Some(contract::Bandit {
            period: period.unwrap_or(default.period),
            min_units: rule.min_units.unwrap_or(default.min_units),
            floor: rule.floor.unwrap_or(default.floor),
        }))
    }
}

fn parse_period(text: &str) -> Result<Duration> {
    let parsed = text.parse().ok();
    let time = parsed.and_then(|time: SignedDuration| Duration::try_from(time).ok());
    time.ok_or_else(|| {
        Error::invalid(format!(
            "`bandit.period`: expected a time such as `5m` or `1h30m`, got `{}`",
            text.escape_debug()
        ))
    })
}

impl From<&contract::Bandit> for Bandit {
    fn from(rule: &contract::Bandit) -> Self {
        // Durations that passed the check are far below the greatest one.
        let period = SignedDuration::try_from(rule.period).unwrap_or(SignedDuration::MAX);
        Self::Rule(BanditRule {
            period: Some(format!("{period:#}")),
            min_units: Some(rule.min_units),
            floor: Some(rule.floor),
        })
    }
}
