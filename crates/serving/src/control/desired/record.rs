//! Records of the desired state and of the history.
//!
//! Decision: a record has the version of its format, and another format is an error at startup
//! instead of a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::split::Traffic;
use contract::{Error, HistoryEntry, Result, Version};
use serde::{Deserialize, Serialize};

use super::{DesiredState, RoutingOverride, SplitOverride};

/// Version of the format that is written.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DesiredStateRecord {
    format: u32,
    generation: u64,
    #[serde(alias = "turn")]
    routing: RoutingOverrideRecord,
    before: Option<RoutingOverrideRecord>,
    loaded: BTreeSet<String>,
    unloaded: BTreeSet<String>,
    contents: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutingOverrideRecord {
    pinned: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    labels: BTreeMap<String, String>,
    split: SplitOverrideRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SplitOverrideRecord {
    #[serde(alias = "as_in_file")]
    FromFile,
    #[serde(alias = "nothing")]
    Disabled,
    #[serde(alias = "this")]
    Explicit(Box<Traffic>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRecord {
    at_millis: u64,
    actor: String,
    what: String,
    version: Option<String>,
    fingerprint: Option<String>,
}

impl DesiredState {
    /// Serializes the desired state.
    pub(crate) fn to_record(&self) -> Result<String> {
        let record = DesiredStateRecord {
            format: FORMAT,
            generation: self.generation,
            routing: RoutingOverrideRecord::from(&self.routing),
            before: self.before.as_ref().map(RoutingOverrideRecord::from),
            loaded: self.loaded.iter().map(Version::to_string).collect(),
            unloaded: self.unloaded.iter().map(Version::to_string).collect(),
            contents: self
                .contents
                .iter()
                .map(|(version, content)| (version.to_string(), content.clone()))
                .collect(),
        };
        serde_json::to_string(&record).map_err(|error| Error::internal(error.to_string()))
    }

    /// Parses a desired state.
    ///
    /// # Errors
    /// `internal` when the text is not a record of this format.
    pub(crate) fn from_record(text: &str) -> Result<Self> {
        let record: DesiredStateRecord = serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("stored desired state: {error}")))?;
        if record.format != FORMAT {
            return Err(Error::internal(format!(
                "stored desired state has format {}, but this version reads {FORMAT}",
                record.format
            )));
        }
        let versions = |texts: BTreeSet<String>| -> Result<BTreeSet<Version>> {
            texts.iter().map(|text| Version::new(text)).collect()
        };
        let contents = record.contents.into_iter();
        let contents = contents.map(|(version, content)| Ok((Version::new(&version)?, content)));
        Ok(Self {
            routing: record.routing.read()?,
            before: record.before.map(RoutingOverrideRecord::read).transpose()?,
            loaded: versions(record.loaded)?,
            unloaded: versions(record.unloaded)?,
            generation: record.generation,
            contents: contents.collect::<Result<_>>()?,
        })
    }
}

impl From<&RoutingOverride> for RoutingOverrideRecord {
    fn from(routing: &RoutingOverride) -> Self {
        let labels = routing.labels.iter();
        Self {
            pinned: routing.pinned.as_ref().map(Version::to_string),
            default: routing.default.as_ref().map(Version::to_string),
            labels: labels
                .map(|(label, version)| (label.clone(), version.to_string()))
                .collect(),
            split: match &routing.split {
                SplitOverride::FromFile => SplitOverrideRecord::FromFile,
                SplitOverride::Disabled => SplitOverrideRecord::Disabled,
                SplitOverride::Explicit(split) => {
                    SplitOverrideRecord::Explicit(Box::new(Traffic::from(split)))
                }
            },
        }
    }
}

impl RoutingOverrideRecord {
    fn read(self) -> Result<RoutingOverride> {
        let labels = self.labels.into_iter();
        let labels = labels.map(|(label, version)| Ok((label, Version::new(&version)?)));
        Ok(RoutingOverride {
            pinned: self.pinned.as_deref().map(Version::new).transpose()?,
            default: self.default.as_deref().map(Version::new).transpose()?,
            labels: labels.collect::<Result<_>>()?,
            split: match self.split {
                SplitOverrideRecord::FromFile => SplitOverride::FromFile,
                SplitOverrideRecord::Disabled => SplitOverride::Disabled,
                SplitOverrideRecord::Explicit(file) => SplitOverride::Explicit(file.into_split()?),
            },
        })
    }
}

/// Serializes an entry of the history.
pub(crate) fn entry_to_text(entry: &HistoryEntry) -> Result<String> {
    let since = entry.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = EntryRecord {
        at_millis: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        actor: entry.actor.clone(),
        what: entry.what.clone(),
        version: entry.version.as_ref().map(Version::to_string),
        fingerprint: entry.fingerprint.clone(),
    };
    serde_json::to_string(&record).map_err(|error| Error::internal(error.to_string()))
}

/// Parses an entry of the history.
pub(crate) fn entry_from_text(text: &str) -> Result<HistoryEntry> {
    let record: EntryRecord = serde_json::from_str(text)
        .map_err(|error| Error::internal(format!("stored history entry: {error}")))?;
    let since = Duration::from_millis(record.at_millis);
    Ok(HistoryEntry {
        at: UNIX_EPOCH
            .checked_add(since)
            .unwrap_or(SystemTime::UNIX_EPOCH),
        actor: record.actor,
        what: record.what,
        version: record.version.as_deref().map(Version::new).transpose()?,
        fingerprint: record.fingerprint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use contract::Bandit;

    /// A record of the first format, as stored by earlier versions.
    const FIRST_FORMAT: &str = r#"{"format":1,"generation":7,"turn":{"pinned":"1","labels":
        {"stable":"1"},"split":{"this":{"split":[{"version":"1","weight":1.0,"name":"a"}],"unit":
        {"from":"header","name":"x-user","fallback":"stable"},"hash":"md5","coverage":1.0}}},
        "before":{"pinned":null,"labels":{},"split":"as_in_file"},"loaded":["3"],"unloaded":["2"],
        "contents":{"1":"00ff"}}"#;

    #[test]
    fn a_record_of_the_first_format_is_read_and_written_again() {
        let desired = DesiredState::from_record(FIRST_FORMAT).unwrap();
        let again = DesiredState::from_record(&desired.to_record().unwrap()).unwrap();
        assert_eq!(again, desired);
        assert_eq!(desired.generation, 7);
        assert_eq!(desired.routing.labels["stable"].as_str(), "1");
        assert_eq!(desired.before.unwrap().split, SplitOverride::FromFile);
    }

    #[test]
    fn splits_are_bandits_only_where_the_record_says_so() {
        let bandit = |text: &str| match DesiredState::from_record(text).unwrap().routing.split {
            SplitOverride::Explicit(split) => split.bandit,
            SplitOverride::FromFile | SplitOverride::Disabled => None,
        };
        assert_eq!(bandit(FIRST_FORMAT), None);
        let kept = DesiredState::from_record(FIRST_FORMAT).unwrap().to_record();
        assert!(!kept.unwrap().contains("bandit"), "older servers read it");
        let text = FIRST_FORMAT.replace(
            "\"coverage\":1.0",
            r#""coverage":1.0,"bandit":{"period":"10m","min_units":50,"floor":0.02}"#,
        );
        let expected = Bandit {
            period: Duration::from_secs(600),
            min_units: 50,
            floor: 0.02,
        };
        assert_eq!(bandit(&text), Some(expected));
        let again = DesiredState::from_record(&text)
            .unwrap()
            .to_record()
            .unwrap();
        assert_eq!(bandit(&again), Some(expected));
    }

    #[test]
    fn record_of_another_format_is_rejected() {
        for text in [
            FIRST_FORMAT.replace("\"format\":1", "\"format\":2"),
            "{}".to_owned(),
        ] {
            assert!(DesiredState::from_record(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_of_the_history_is_read_as_it_was_written() {
        let entry = HistoryEntry {
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            actor: "cli".to_owned(),
            what: "pin version 1".to_owned(),
            version: Some(Version::new("1").unwrap()),
            fingerprint: None,
        };
        let text = entry_to_text(&entry).unwrap();
        assert_eq!(entry_from_text(&text).unwrap(), entry);
        assert!(entry_from_text("{}").is_err());
    }
}
