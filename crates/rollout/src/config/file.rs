//! Contents of a rollout file, key by key.
//!
//! Decision: every key is optional here and has no default, so that the resolve step alone decides
//! and can name the path of a missing key.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use stats::arm_totals::Span;

use super::notify::NotificationEvent;
use super::prometheus::OnNoData;
use super::{Direction, MetricAction, OnUnknown, Strategy};

/// The document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) rollout: RolloutFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RolloutFile {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) stable: Option<String>,
    pub(super) candidate: Option<String>,
    pub(super) strategy: Option<Strategy>,
    pub(super) unit: Option<UnitFile>,
    pub(super) hash: Option<HashFile>,
    pub(super) salt: Option<String>,
    pub(super) sticky: Option<String>,
    #[serde(rename = "override")]
    pub(super) override_header: Option<OverrideFile>,
    pub(super) layer: Option<LayerFile>,
    pub(super) warmup: Option<WarmupFile>,
    pub(super) shadow: Option<ShadowFile>,
    pub(super) steps: Option<Vec<f64>>,
    pub(super) step: Option<StepFile>,
    pub(super) soak: Option<String>,
    pub(super) alpha: Option<f64>,
    pub(super) beta: Option<f64>,
    pub(super) metrics: Option<Vec<MetricFile>>,
    pub(super) guards: Option<GuardsFile>,
    pub(super) gates: Option<Vec<GateFile>>,
    pub(super) notify: Option<Vec<NotificationTargetFile>>,
    pub(super) on_rollback: Option<OnRollbackFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitFile {
    pub(super) from: UnitFrom,
    pub(super) name: Option<String>,
    pub(super) fallback: Option<FallbackFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnitFrom {
    Header,
    Cookie,
    Json,
    Grpc,
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FallbackFile {
    Random,
    Stable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HashFile {
    Xxh3,
    Md5,
    GrowthbookV2,
    Murmur3,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverrideFile {
    pub(super) header: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerFile {
    pub(super) name: String,
    pub(super) range: (f64, f64),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WarmupFile {
    pub(super) requests: Option<u64>,
    pub(super) source: Option<WarmupSourceFile>,
    pub(super) timeout: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WarmupSourceFile {
    Recorded,
    Synthetic,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ShadowFile {
    pub(super) percent: Option<f64>,
    pub(super) max_extra_load: Option<f64>,
    pub(super) min_pairs: Option<u64>,
    pub(super) atol: Option<f64>,
    pub(super) rtol: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StepFile {
    pub(super) min_time: Option<String>,
    pub(super) min_requests: Option<u64>,
    pub(super) max_time: Option<String>,
    pub(super) on_unknown: Option<OnUnknown>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricFile {
    pub(super) name: Option<String>,
    pub(super) event: Option<EventFile>,
    pub(super) at: Option<String>,
    pub(super) span: Option<Span>,
    pub(super) worse_than: Option<WorseFile>,
    pub(super) not_worse_than: Option<NotWorseFile>,
    pub(super) max_rate: Option<f64>,
    pub(super) tolerance_js: Option<f64>,
    pub(super) direction: Option<Direction>,
    pub(super) action: Option<MetricAction>,
    pub(super) weight: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventFile {
    Error,
    LatencyOver,
    ShadowDiffers,
    OutputBin,
    Feedback,
}

/// The margin of "worse": a ratio, or a ratio and a difference.
#[derive(Debug)]
pub(super) enum WorseFile {
    Ratio(f64),
    Margin(NotWorseFile),
}

/// Written by hand, because the derived choice loses the name of the wrong key.
impl<'de> Deserialize<'de> for WorseFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WorseVisitor;

        impl<'de> Visitor<'de> for WorseVisitor {
            type Value = WorseFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a ratio such as `1.25`, or `{ratio: 1.25, abs: 0.001}`")
            }

            fn visit_f64<E: de::Error>(self, ratio: f64) -> Result<WorseFile, E> {
                Ok(WorseFile::Ratio(ratio))
            }

            fn visit_u64<E: de::Error>(self, ratio: u64) -> Result<WorseFile, E> {
                Ok(WorseFile::Ratio(ratio as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WorseFile, A::Error> {
                let map = MapAccessDeserializer::new(map);
                NotWorseFile::deserialize(map).map(WorseFile::Margin)
            }
        }

        deserializer.deserialize_any(WorseVisitor)
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotWorseFile {
    pub(super) ratio: Option<f64>,
    pub(super) abs: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GuardsFile {
    pub(super) nan_output: Option<u64>,
    pub(super) consecutive_errors: Option<u64>,
    pub(super) load_failure: Option<u64>,
    pub(super) shape_change: Option<u64>,
    pub(super) memory_ratio: Option<f64>,
    pub(super) prometheus: Option<Vec<QueryFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateFile {
    pub(super) before: String,
    #[serde(rename = "type")]
    pub(super) kind: GateKindFile,
    pub(super) url: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) name: Option<String>,
    pub(super) query: Option<String>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    #[serde(rename = "for")]
    pub(super) required_for: Option<String>,
    pub(super) interval: Option<String>,
    pub(super) on_no_data: Option<OnNoData>,
    pub(super) failure_limit: Option<u32>,
}

/// A Prometheus query of a guard.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueryFile {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) query: Option<String>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) interval: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) on_no_data: Option<OnNoData>,
    pub(super) failure_limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GateKindFile {
    Manual,
    Webhook,
    Prometheus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OnRollbackFile {
    pub(super) keep_candidate_warm: Option<String>,
    pub(super) notify: Option<Vec<NotificationTargetFile>>,
}

/// The target of a notification: an address, or a kind of receiver and its address.
#[derive(Debug)]
pub(super) enum NotificationTargetFile {
    Address(String),
    Named(NamedTargetFile),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NamedTargetFile {
    pub(super) alertmanager: Option<String>,
    pub(super) slack: Option<String>,
    pub(super) webhook: Option<String>,
    pub(super) on: Option<Vec<NotificationEvent>>,
}

/// Written by hand, because the derived choice loses the name of the wrong key.
impl<'de> Deserialize<'de> for NotificationTargetFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TargetVisitor;

        impl<'de> Visitor<'de> for TargetVisitor {
            type Value = NotificationTargetFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or `alertmanager`, `slack` or `webhook` with an address")
            }

            fn visit_str<E: de::Error>(self, address: &str) -> Result<NotificationTargetFile, E> {
                Ok(NotificationTargetFile::Address(address.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<NotificationTargetFile, A::Error> {
                let map = MapAccessDeserializer::new(map);
                NamedTargetFile::deserialize(map).map(NotificationTargetFile::Named)
            }
        }

        deserializer.deserialize_any(TargetVisitor)
    }
}
