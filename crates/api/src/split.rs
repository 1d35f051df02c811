//! A traffic split: the body of `PUT .../traffic`, a part of the routing rules, `traffic` in
//! `model.yaml`, and the record of a split over restarts.
//!
//! Decision: it is one shape, so that there is one to know. Values are validated where a split is
//! applied, because one weight can only be wrong together with the others.

mod bandit;

use contract::{AssignmentHash, Error, Fallback, Result, Split, UnitSource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::version::VersionText;

pub use bandit::{Bandit, BanditRule};

/// The field in which most callers send the user.
const DEFAULT_FIELD: &str = "user_id";

/// The traffic split of requests that name no version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `split`")]
pub struct Traffic {
    /// The arms; their order counts.
    pub split: Vec<Arm>,
    /// The unit that is assigned to an arm; the field `user_id` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub unit: Option<Unit>,
    /// The hash of a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = hash_schema)]
    pub hash: Option<String>,
    /// Text that is hashed with the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub salt: Option<String>,
    /// The part of each arm that takes part, 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    pub coverage: Option<f64>,
    /// The part of all units that may take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub layer: Option<Layer>,
    /// The header by which tests force an arm.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub override_by: Option<Override>,
    /// A bandit: the weights follow the rewards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bandit: Option<Bandit>,
}

/// One arm of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SplitArm)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// A version or a label.
    pub version: VersionText,
    /// Traffic weight; all weights sum to 1 within 0.001.
    #[schema(minimum = 0, maximum = 1)]
    pub weight: f64,
    /// Name in replies; the version when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
}

/// The unit that is assigned to an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a key of the body, `random`, or an object such as \
                 {\"from\": \"header\", \"name\": \"x-user-id\", \"fallback\": \"random\"}"
)]
pub enum Unit {
    /// A key of the body or query, with dots between the levels, or `random`.
    Key(String),
    /// A location in the request.
    Location(UnitLocation),
}

/// A location in the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitLocation {
    /// The part of the request.
    pub from: LocationKind,
    /// The key, header or cookie; not for `random`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The treatment of requests without a unit.
    #[serde(default)]
    pub fallback: UnitFallback,
}

/// The part of a request that holds its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocationKind {
    /// A key of the body or of the query.
    Json,
    /// A header.
    Header,
    /// A metadata key of gRPC, which is a header.
    Grpc,
    /// A cookie.
    Cookie,
    /// None: every request is its own unit.
    Random,
}

/// The treatment of requests without a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitFallback {
    /// Each is its own unit.
    #[default]
    Random,
    /// They are answered as without a split.
    Stable,
}

/// The part of all units that may take part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Splits with disjoint ranges of one layer share no unit.
    pub name: String,
    /// Start and end; the end is not part of it.
    pub range: (f64, f64),
}

/// The header by which tests force an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The header that names the arm.
    pub header: String,
}

fn hash_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The hash of a unit"))
        .enum_values(Some(AssignmentHash::ALL.map(AssignmentHash::as_str)))
        .build()
}

impl Traffic {
    /// Returns the split that a user wrote.
    ///
    /// # Errors
    /// `invalid_request` for an unknown hash, a location without a name, or a malformed duration.
    pub fn into_split(self) -> Result<Split> {
        let hash = self.hash.as_deref().map(AssignmentHash::parse).transpose();
        Ok(Split {
            arms: self.split.into_iter().map(Into::into).collect(),
            unit: unit(self.unit)?,
            hash: hash
                .map_err(|error| error.in_context("`hash`"))?
                .unwrap_or_default(),
            salt: self.salt,
            coverage: self.coverage.unwrap_or(1.0),
            layer: self.layer.map(|layer| contract::Layer {
                name: layer.name,
                start: layer.range.0,
                end: layer.range.1,
            }),
            override_header: self.override_by.map(|by| by.header),
            bandit: self.bandit.map(Bandit::into_rule).transpose()?.flatten(),
        })
    }
}

impl From<Arm> for contract::Arm {
    fn from(arm: Arm) -> Self {
        let version = arm.version.into_text();
        Self {
            name: arm.name.unwrap_or_else(|| version.clone()),
            version,
            weight: arm.weight,
        }
    }
}

fn unit(unit: Option<Unit>) -> Result<contract::Unit> {
    let (from, name, fallback) = match unit {
        None => (
            LocationKind::Json,
            Some(DEFAULT_FIELD.to_owned()),
            UnitFallback::default(),
        ),
        Some(Unit::Key(key)) if key == "random" => {
            (LocationKind::Random, None, UnitFallback::default())
        }
        Some(Unit::Key(key)) => (LocationKind::Json, Some(key), UnitFallback::default()),
        Some(Unit::Location(location)) => (location.from, location.name, location.fallback),
    };
    let name = name.ok_or_else(|| Error::invalid("`unit.name`: it is missing"));
    let source = match from {
        LocationKind::Json => UnitSource::Field(name?),
        LocationKind::Header | LocationKind::Grpc => UnitSource::Header(name?),
        LocationKind::Cookie => UnitSource::Cookie(name?),
        LocationKind::Random => UnitSource::Random,
    };
    let fallback = match fallback {
        UnitFallback::Random => Fallback::Random,
        UnitFallback::Stable => Fallback::Stable,
    };
    Ok(contract::Unit { source, fallback })
}

impl From<&Split> for Traffic {
    fn from(split: &Split) -> Self {
        let arms = split.arms.iter().map(|arm| Arm {
            version: VersionText::Text(arm.version.clone()),
            weight: arm.weight,
            name: Some(arm.name.clone()),
        });
        let layer = split.layer.as_ref();
        let override_header = split.override_header.clone();
        Self {
            split: arms.collect(),
            unit: Some(Unit::Location(UnitLocation::from(&split.unit))),
            hash: Some(split.hash.as_str().to_owned()),
            salt: split.salt.clone(),
            coverage: Some(split.coverage),
            layer: layer.map(|layer| Layer {
                name: layer.name.clone(),
                range: (layer.start, layer.end),
            }),
            override_by: override_header.map(|header| Override { header }),
            bandit: split.bandit.as_ref().map(Bandit::from),
        }
    }
}

impl From<&contract::Unit> for UnitLocation {
    fn from(unit: &contract::Unit) -> Self {
        let (from, name) = match &unit.source {
            UnitSource::Field(path) => (LocationKind::Json, Some(path)),
            UnitSource::Header(name) => (LocationKind::Header, Some(name)),
            UnitSource::Cookie(name) => (LocationKind::Cookie, Some(name)),
            UnitSource::Random => (LocationKind::Random, None),
        };
        Self {
            from,
            name: name.cloned(),
            fallback: match unit.fallback {
                Fallback::Random => UnitFallback::Random,
                Fallback::Stable => UnitFallback::Stable,
            },
        }
    }
}

#[cfg(test)]
mod tests;
