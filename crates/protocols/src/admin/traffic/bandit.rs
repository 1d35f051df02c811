//! `bandit` of a split as JSON: a boolean, or the keys that differ from their defaults.
//!
//! Decision: parsed by hand, because an untagged enum would not name the key that is wrong.

use std::fmt;
use std::time::Duration;

use contract::{Bandit, Error, Result};
use jiff::SignedDuration;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The forms that a caller may write.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum BanditBody {
    /// On with the defaults, or off.
    Enabled(bool),
    /// On, with settings.
    Rule(BanditRuleBody),
}

/// The settings in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BanditRuleBody {
    /// The time for which weights stay the same, such as `5m`.
    period: Option<String>,
    /// The rewards that every arm needs.
    min_units: Option<u64>,
    /// The least weight.
    floor: Option<f64>,
}

struct BanditVisitor;

impl<'de> Visitor<'de> for BanditVisitor {
    type Value = BanditBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false`, or an object with `period`, `min_units` and `floor`")
    }

    fn visit_bool<E>(self, is_on: bool) -> Result<BanditBody, E> {
        Ok(BanditBody::Enabled(is_on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BanditBody, A::Error> {
        BanditRuleBody::deserialize(MapAccessDeserializer::new(map)).map(BanditBody::Rule)
    }
}

impl<'de> Deserialize<'de> for BanditBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BanditVisitor)
    }
}

impl BanditBody {
    /// Returns the bandit settings. They are validated when they are applied.
    ///
    /// # Errors
    /// `invalid_request` for a malformed duration.
    pub(super) fn rule(self) -> Result<Option<Bandit>> {
        let body = match self {
            Self::Enabled(false) => return Ok(None),
            Self::Enabled(true) => BanditRuleBody::default(),
            Self::Rule(body) => body,
        };
        let default = Bandit::default();
        let period = body.period.as_deref().map(parse_period).transpose()?;
        Ok(Some(Bandit {
            period: period.unwrap_or(default.period),
            min_units: body.min_units.unwrap_or(default.min_units),
            floor: body.floor.unwrap_or(default.floor),
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

impl From<&Bandit> for BanditBody {
    fn from(rule: &Bandit) -> Self {
        // Durations that passed the check are far below the greatest one.
        let period = SignedDuration::try_from(rule.period).unwrap_or(SignedDuration::MAX);
        Self::Rule(BanditRuleBody {
            period: Some(format!("{period:#}")),
            min_units: Some(rule.min_units),
            floor: Some(rule.floor),
        })
    }
}
