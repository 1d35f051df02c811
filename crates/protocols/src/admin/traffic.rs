//! A split as JSON, in both directions.

mod bandit;

use contract::{Arm, AssignmentHash, Error, Fallback, Layer, Result, Split, Unit, UnitSource};
use serde::{Deserialize, Serialize};

use super::version_text::VersionText;
use bandit::BanditBody;

/// The field in which most callers send the user.
const DEFAULT_FIELD: &str = "user_id";

/// A split.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `split`")]
pub(super) struct TrafficBody {
    split: Vec<ArmBody>,
    #[serde(default)]
    unit: Option<UnitBody>,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(default)]
    coverage: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<LayerBody>,
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    override_by: Option<OverrideBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bandit: Option<BanditBody>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmBody {
    version: VersionText,
    weight: f64,
    #[serde(default)]
    name: Option<String>,
}

/// A key of the body, `random`, or a location.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a key of the body, `random`, or an object such as \
                 {\"from\": \"header\", \"name\": \"x-user-id\", \"fallback\": \"random\"}"
)]
enum UnitBody {
    Key(String),
    Location(LocationBody),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationBody {
    from: Location,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    fallback: FallbackBody,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Location {
    Json,
    Header,
    Grpc,
    Cookie,
    Random,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FallbackBody {
    #[default]
    Random,
    Stable,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerBody {
    name: String,
    range: (f64, f64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideBody {
    header: String,
}

impl TrafficBody {
    /// Returns the split that a caller wrote; it is validated where it is applied.
    pub(super) fn into_split(self) -> Result<Split> {
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
            bandit: self.bandit.map(BanditBody::rule).transpose()?.flatten(),
        })
    }
}

fn arm(body: ArmBody) -> Arm {
    let version = body.version.into_text();
    Arm {
        name: body.name.unwrap_or_else(|| version.clone()),
        version,
        weight: body.weight,
    }
}

fn unit(body: Option<UnitBody>) -> Result<Unit> {
    let (from, name, fallback) = match body {
        None => (
            Location::Json,
            Some(DEFAULT_FIELD.to_owned()),
            FallbackBody::Random,
        ),
        Some(UnitBody::Key(key)) if key == "random" => {
            (Location::Random, None, FallbackBody::Random)
        }
        Some(UnitBody::Key(key)) => (Location::Json, Some(key), FallbackBody::Random),
        Some(UnitBody::Location(location)) => (location.from, location.name, location.fallback),
    };
    let name = name.ok_or_else(|| Error::invalid("`unit.name`: it is missing"));
    let source = match from {
        Location::Json => UnitSource::Field(name?),
        Location::Header | Location::Grpc => UnitSource::Header(name?),
        Location::Cookie => UnitSource::Cookie(name?),
        Location::Random => UnitSource::Random,
    };
    let fallback = match fallback {
        FallbackBody::Random => Fallback::Random,
        FallbackBody::Stable => Fallback::Stable,
    };
    Ok(Unit { source, fallback })
}

impl From<&Split> for TrafficBody {
    fn from(split: &Split) -> Self {
        let (from, name) = match &split.unit.source {
            UnitSource::Field(path) => (Location::Json, Some(path)),
            UnitSource::Header(name) => (Location::Header, Some(name)),
            UnitSource::Cookie(name) => (Location::Cookie, Some(name)),
            UnitSource::Random => (Location::Random, None),
        };
        let arms = split.arms.iter().map(|arm| ArmBody {
            version: VersionText::Text(arm.version.clone()),
            weight: arm.weight,
            name: Some(arm.name.clone()),
        });
        let layer = split.layer.as_ref();
        Self {
            split: arms.collect(),
            unit: Some(UnitBody::Location(LocationBody {
                from,
                name: name.cloned(),
                fallback: match split.unit.fallback {
                    Fallback::Random => FallbackBody::Random,
                    Fallback::Stable => FallbackBody::Stable,
                },
            })),
            hash: Some(split.hash.as_str().to_owned()),
            salt: split.salt.clone(),
            coverage: Some(split.coverage),
            layer: layer.map(|layer| LayerBody {
                name: layer.name.clone(),
                range: (layer.start, layer.end),
            }),
            override_by: split
                .override_header
                .clone()
                .map(|header| OverrideBody { header }),
            bandit: split.bandit.as_ref().map(BanditBody::from),
        }
    }
}
