//! `bandit` of `traffic`: a switch, or the keys that differ from their defaults.
//!
//! Decision: deserialized by hand, because an untagged enum would not name the wrong key.

use std::fmt;
use std::time::Duration;

use contract::{Bandit, Error, Result};
use jiff::SignedDuration;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `bandit`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum BanditFile {
    /// On with the defaults, or off.
    Switch(bool),
    /// On.
    Rule(RuleFile),
}

/// `bandit` in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RuleFile {
    /// Time for which weights stay the same, such as `5m`.
    period: Option<String>,
    /// The rewards that every arm needs.
    min_units: Option<u64>,
    /// The lowest weight.
    floor: Option<f64>,
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = BanditFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false`, or keys among `period`, `min_units` and `floor`")
    }

    fn visit_bool<E>(self, is_on: bool) -> Result<BanditFile, E> {
        Ok(BanditFile::Switch(is_on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BanditFile, A::Error> {
        RuleFile::deserialize(MapAccessDeserializer::new(map)).map(BanditFile::Rule)
    }
}

impl<'de> Deserialize<'de> for BanditFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

impl BanditFile {
    /// Converts the file into a rule, which is validated when it is applied.
    ///
    /// # Errors
    /// `invalid_request` for an invalid time.
    pub(crate) fn rule(self) -> Result<Option<Bandit>> {
        let file = match self {
            Self::Switch(false) => return Ok(None),
            Self::Switch(true) => RuleFile::default(),
            Self::Rule(file) => file,
        };
        let default = Bandit::default();
        let period = file.period.as_deref().map(time).transpose()?;
        Ok(Some(Bandit {
            period: period.unwrap_or(default.period),
            min_units: file.min_units.unwrap_or(default.min_units),
            floor: file.floor.unwrap_or(default.floor),
        }))
    }
}

fn time(text: &str) -> Result<Duration> {
    let parsed = text.parse().ok();
    let time = parsed.and_then(|time: SignedDuration| Duration::try_from(time).ok());
    time.ok_or_else(|| {
        Error::invalid(format!(
            "`bandit.period`: expected a time such as `5m` or `1h30m`, got `{}`",
            text.escape_debug()
        ))
    })
}

impl From<&Bandit> for BanditFile {
    fn from(rule: &Bandit) -> Self {
        // Validated times are far below the largest one.
        let period = SignedDuration::try_from(rule.period).unwrap_or(SignedDuration::MAX);
        Self::Rule(RuleFile {
            period: Some(format!("{period:#}")),
            min_units: Some(rule.min_units),
            floor: Some(rule.floor),
        })
    }
}
