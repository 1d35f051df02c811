//! `traffic` in `model.yaml`: the split that a model starts with.
//!
//! Decision: the format is that of the call, and also that of the stored split, so that there is
//! one format to know.

mod bandit;

use contract::{Arm, AssignmentHash, Error, Fallback, Layer, Result, Split, Unit, UnitSource};
use serde::{Deserialize, Serialize};

use bandit::BanditFile;

/// Key of the body in which most callers name the user.
const DEFAULT_FIELD: &str = "user_id";

/// `traffic`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrafficFile {
    /// The arms.
    pub(crate) split: Vec<ArmFile>,
    /// The unit that is assigned to an arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<UnitFile>,
    /// The hash of a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<String>,
    /// The salt that is hashed with the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<String>,
    /// The part of each range that takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) coverage: Option<f64>,
    /// The layer of the split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<LayerFile>,
    /// The override, by which a caller forces an arm.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub(crate) override_by: Option<OverrideFile>,
    /// The bandit that updates the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bandit: Option<BanditFile>,
}

/// One of `split`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArmFile {
    /// A version or a label.
    pub(crate) version: VersionFile,
    /// Its traffic weight.
    pub(crate) weight: f64,
    /// Its name; the text of `version` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

/// A version, with or without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a version or a label")]
pub(crate) enum VersionFile {
    /// Without quotes.
    Number(u64),
    /// With quotes, or with a letter.
    Text(String),
}

/// `unit`: a key of the body, `random`, or a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a key of the body, `random`, or `{from: header, name: x-user-id}`"
)]
pub(crate) enum UnitFile {
    /// A key, or `random`.
    Key(String),
    /// A source.
    Source(UnitSourceFile),
}

/// `unit` in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnitSourceFile {
    /// The kind of the source.
    pub(crate) from: FromFile,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The treatment of a request without a unit.
    #[serde(default)]
    pub(crate) fallback: FallbackFile,
}

/// `unit.from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromFile {
    /// A key of the body, or of the query.
    Json,
    /// A header.
    Header,
    /// The metadata of gRPC, which are headers.
    Grpc,
    /// A cookie.
    Cookie,
    /// Each request for itself.
    Random,
}

/// `unit.fallback`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FallbackFile {
    /// Each request for itself.
    #[default]
    Random,
    /// As if there were no split.
    Stable,
}

/// `layer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LayerFile {
    /// Its name.
    pub(crate) name: String,
    /// Start and end.
    pub(crate) range: (f64, f64),
}

/// `override`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverrideFile {
    /// The header that names an arm.
    pub(crate) header: String,
}

impl TrafficFile {
    /// Converts the file into a split, which is validated when it is applied.
    ///
    /// # Errors
    /// `invalid_request` for an unknown word.
    pub(crate) fn split(self) -> Result<Split> {
        let hash = self.hash.as_deref().map(AssignmentHash::parse).transpose();
        Ok(Split {
            arms: self.split.into_iter().map(arm).collect(),
            unit: unit(self.unit)?,
            hash: hash
                .map_err(|error| error.in_context("`hash`"))?
                .unwrap_or_default(),
            salt: self.salt,
            coverage: self.coverage.unwrap_or(1.0),
            layer: self.layer.map(|layer| Layer {
                name: layer.name,
                start: layer.range.0,
                end: layer.range.1,
            }),
            override_header: self.override_by.map(|by| by.header),
            bandit: self.bandit.map(BanditFile::rule).transpose()?.flatten(),
        })
    }
}

fn arm(file: ArmFile) -> Arm {
    let version = match file.version {
        VersionFile::Number(number) => number.to_string(),
        VersionFile::Text(text) => text,
    };
    Arm {
        name: file.name.unwrap_or_else(|| version.clone()),
        version,
        weight: file.weight,
    }
}

fn unit(file: Option<UnitFile>) -> Result<Unit> {
    let unit = match file {
        None => UnitSourceFile {
            from: FromFile::Json,
            name: Some(DEFAULT_FIELD.to_owned()),
            fallback: FallbackFile::default(),
        },
        Some(UnitFile::Key(key)) => UnitSourceFile {
            from: match key.as_str() {
                "random" => FromFile::Random,
                _ => FromFile::Json,
            },
            name: Some(key),
            fallback: FallbackFile::default(),
        },
        Some(UnitFile::Source(unit)) => unit,
    };
    let name = unit
        .name
        .ok_or_else(|| Error::invalid("`unit.name`: it is missing"));
    let source = match unit.from {
        FromFile::Json => UnitSource::Field(name?),
        FromFile::Header | FromFile::Grpc => UnitSource::Header(name?),
        FromFile::Cookie => UnitSource::Cookie(name?),
        FromFile::Random => UnitSource::Random,
    };
    let fallback = match unit.fallback {
        FallbackFile::Random => Fallback::Random,
        FallbackFile::Stable => Fallback::Stable,
    };
    Ok(Unit { source, fallback })
}

impl From<&Split> for TrafficFile {
    fn from(split: &Split) -> Self {
        let (from, name) = match &split.unit.source {
            UnitSource::Field(path) => (FromFile::Json, Some(path)),
            UnitSource::Header(name) => (FromFile::Header, Some(name)),
            UnitSource::Cookie(name) => (FromFile::Cookie, Some(name)),
            UnitSource::Random => (FromFile::Random, None),
        };
        let arms = split.arms.iter().map(|arm| ArmFile {
            version: VersionFile::Text(arm.version.clone()),
            weight: arm.weight,
            name: Some(arm.name.clone()),
        });
        Self {
            split: arms.collect(),
            unit: Some(UnitFile::Source(UnitSourceFile {
                from,
                name: name.cloned(),
                fallback: match split.unit.fallback {
                    Fallback::Random => FallbackFile::Random,
                    Fallback::Stable => FallbackFile::Stable,
                },
            })),
            hash: Some(split.hash.as_str().to_owned()),
            salt: split.salt.clone(),
            coverage: Some(split.coverage),
            layer: split.layer.as_ref().map(|layer| LayerFile {
                name: layer.name.clone(),
                range: (layer.start, layer.end),
            }),
            override_by: split
                .override_header
                .clone()
                .map(|header| OverrideFile { header }),
            bandit: split.bandit.as_ref().map(BanditFile::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use contract::Bandit;

    fn read(yaml: &str) -> Result<Split, String> {
        let file: TrafficFile = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        file.split().map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_short_split_has_defaults_for_the_rest() {
        let split =
            read("split: [{version: 1, weight: 0.9}, {version: canary, weight: 0.1}]").unwrap();
        assert_eq!(split.unit.source, UnitSource::Field("user_id".to_owned()));
        assert_eq!((split.hash, split.coverage), (AssignmentHash::Xxh3, 1.0));
        let names: Vec<_> = split.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["1", "canary"]);
    }

    #[test]
    fn a_unit_is_a_key_or_a_location_or_nothing() {
        let source = |unit: &str| {
            let yaml = format!("split: [{{version: 1, weight: 1}}]\nunit: {unit}");
            read(&yaml).map(|split| split.unit.source)
        };
        assert_eq!(
            source("user.id"),
            Ok(UnitSource::Field("user.id".to_owned()))
        );
        assert_eq!(source("random"), Ok(UnitSource::Random));
        let cookie = "{from: cookie, name: sid, fallback: stable}";
        assert_eq!(source(cookie), Ok(UnitSource::Cookie("sid".to_owned())));
        let grpc = "{from: grpc, name: x-user}";
        assert_eq!(source(grpc), Ok(UnitSource::Header("x-user".to_owned())));
        assert!(
            source("{from: header}")
                .unwrap_err()
                .contains("`unit.name`")
        );
        assert!(source("{from: air, name: a}").is_err());
    }

    #[test]
    fn a_split_survives_being_kept() {
        let yaml = "
            split: [{version: 1, weight: 0.25, name: control}, {version: v2.0, weight: 0.75}]
            unit: {from: header, name: x-user-id, fallback: stable}
            hash: murmur3
            salt: '1886780721'
            coverage: 0.5
            layer: {name: checkout, range: [0.0, 0.5]}
            override: {header: x-lockgate-arm}
            bandit: {period: 1h30m, min_units: 50, floor: 0.02}";
        let split = read(yaml).unwrap();
        let kept = serde_json::to_string(&TrafficFile::from(&split)).unwrap();
        let again: TrafficFile = serde_json::from_str(&kept).unwrap();
        assert_eq!(again.split().unwrap(), split);
    }

    #[test]
    fn a_bandit_is_a_switch_or_what_differs_from_the_defaults() {
        let bandit = |text: &str| {
            let yaml = format!("split: [{{version: 1, weight: 1}}]\nbandit: {text}");
            read(&yaml).map(|split| split.bandit)
        };
        let default = Bandit::default();
        assert_eq!(bandit("true"), Ok(Some(default)));
        assert_eq!(bandit("{}"), Ok(Some(default)));
        assert_eq!(bandit("false"), Ok(None));
        let floor = Bandit {
            floor: 0.05,
            ..default
        };
        assert_eq!(bandit("{floor: 0.05}"), Ok(Some(floor)));
        let period = Bandit {
            period: Duration::from_secs(5400),
            ..default
        };
        assert_eq!(bandit("{period: 1h30m}"), Ok(Some(period)));
        for (text, word) in [
            ("{perod: 5m}", "perod"),
            ("{period: soon}", "`bandit.period`"),
            ("{period: -5m}", "`bandit.period`"),
            ("maybe", "`true`"),
            ("[5m]", "`true`"),
        ] {
            let error = bandit(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn invalid_values_are_rejected() {
        let arms = "split: [{version: 1, weight: 1}]";
        for yaml in [
            format!("{arms}\nsalted: a"),
            format!("{arms}\nhash: sha1"),
            "split: [{version: 1, wieght: 1}]".to_owned(),
            "unit: a".to_owned(),
        ] {
            assert!(read(&yaml).is_err(), "{yaml}");
        }
    }
}
