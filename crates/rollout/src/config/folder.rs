//! Rollout file in the folder of its model, which may leave out what the folder says.
//!
//! Decision: the keys that are left out are written into the text, and the rest stays as its author
//! wrote it. So what runs is one complete file, which every server reads alike, also after a
//! restart.

use contract::{ModelName, Version};

use super::{ConfigError, file, read};

/// A rollout file whose `id`, `model`, `stable` and `candidate` may be left out.
#[derive(Debug)]
pub struct FolderFile<'a> {
    text: &'a str,
    has_id: bool,
    model: Option<String>,
    stable: Option<String>,
    candidate: Option<String>,
}

impl<'a> FolderFile<'a> {
    /// Reads the text of a file; values are checked once it is complete.
    ///
    /// # Errors
    /// [`ConfigError`] with the path of a key that is unknown or has a value of another type.
    pub fn parse(text: &'a str) -> Result<Self, ConfigError> {
        let file::RolloutFile {
            id,
            model,
            stable,
            candidate,
            ..
        } = read(text)?;
        Ok(Self {
            text,
            has_id: id.is_some(),
            model,
            stable,
            candidate,
        })
    }

    /// Returns the candidate of the file.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no version.
    pub fn candidate(&self) -> Result<Option<Version>, ConfigError> {
        let candidate = self.candidate.as_deref();
        let version = candidate.map(|candidate| {
            Version::new(candidate).map_err(|refused| ConfigError {
                key: "rollout.candidate".to_owned(),
                message: refused.message().to_owned(),
            })
        });
        version.transpose()
    }

    /// Returns the text with the keys that were left out.
    ///
    /// # Errors
    /// [`ConfigError`] when the file belongs to another model, or its keys are not where they can
    /// be added.
    ///
    /// ```
    /// use contract::{ModelName, Version};
    /// use rollout::config::{RolloutConfig, folder::FolderFile};
    ///
    /// let file = FolderFile::parse("rollout:\n  steps: [5, 50]\n").unwrap();
    /// let [one, two] = ["1", "2"].map(|version| Version::new(version).unwrap());
    /// let text = file.completed(&ModelName::new("digits").unwrap(), &one, &two).unwrap();
    /// let config = RolloutConfig::parse(&text).unwrap();
    /// assert_eq!((config.id.as_str(), config.stable), ("digits-2", one));
    /// ```
    pub fn completed(
        &self,
        model: &ModelName,
        stable: &Version,
        candidate: &Version,
    ) -> Result<String, ConfigError> {
        if let Some(other) = self.model.as_deref().filter(|name| *name != model.as_str()) {
            return Err(ConfigError {
                key: "rollout.model".to_owned(),
                message: format!("expected `{model}`, the model of the folder, got `{other}`"),
            });
        }
        let keys = [
            ("id", self.has_id, format!("{model}-{candidate}")),
            ("model", self.model.is_some(), model.to_string()),
            ("stable", self.stable.is_some(), stable.to_string()),
            ("candidate", self.candidate.is_some(), candidate.to_string()),
        ];
        let missing = keys.into_iter().filter(|(_, is_given, _)| !is_given);
        let missing: Vec<_> = missing.map(|(key, _, value)| (key, value)).collect();
        with_keys(self.text, &missing).ok_or_else(|| ConfigError {
            key: "rollout".to_owned(),
            message: "expected a line `rollout:` with its keys below it".to_owned(),
        })
    }
}

/// Adds keys at the start of the map `rollout`; `None` when there is no line that begins it.
fn with_keys(text: &str, keys: &[(&str, String)]) -> Option<String> {
    let head = "rollout:";
    let mut lines = text.split_inclusive('\n');
    let mut before: String = lines
        .by_ref()
        .take_while(|line| !line.starts_with(head))
        .collect();
    let rest = text.get(before.len()..)?.strip_prefix(head)?;
    before.push_str(head);
    // No version or model has a character that ends a quoted text, except quotes.
    let pair = |(key, value): &(&str, String)| format!("{key}: {}", quoted(value));
    if let Some(flow) = rest.trim_start().strip_prefix('{') {
        let pairs: String = keys.iter().map(|key| pair(key) + ", ").collect();
        return Some(format!("{before} {{{pairs}{flow}"));
    }
    let is_key = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let first = rest.lines().skip(1).find(is_key)?;
    let indent = first.get(..first.len() - first.trim_start().len())?;
    let pairs: String = keys
        .iter()
        .map(|key| format!("{indent}{}\n", pair(key)))
        .collect();
    let (comment, block) = rest.split_once('\n')?;
    Some(format!("{before}{comment}\n{pairs}{block}"))
}

/// Returns a value as a quoted YAML text.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RolloutConfig;

    fn completed(text: &str) -> Result<RolloutConfig, ConfigError> {
        let model = ModelName::new("it's").unwrap();
        let [stable, candidate] = ["1.10", "2"].map(|version| Version::new(version).unwrap());
        let text = FolderFile::parse(text)?.completed(&model, &stable, &candidate)?;
        RolloutConfig::parse(&text)
    }

    #[test]
    fn missing_keys_are_added_in_every_style() {
        for text in [
            "rollout:\n  id: a\n  steps: [5, 50]\n",
            "# ours\n---\nrollout:   # digits\n\n# why\n    steps: [5, 50]\n    id: a",
            "rollout: {steps: [5, 50], id: a}",
            "rollout: {\n  steps: [5, 50],\n  id: a\n}\n",
        ] {
            let config = completed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((config.id.as_str(), config.model.as_str()), ("a", "it's"));
            let versions = [config.stable.as_str(), config.candidate.as_str()];
            assert_eq!(versions, ["1.10", "2"], "{text}");
            assert_eq!(config.steps, [0.05, 0.5]);
        }
    }

    #[test]
    fn given_keys_stay() {
        let text = "rollout: {id: a, model: \"it's\", stable: 7, candidate: 8}";
        let config = completed(text).unwrap();
        assert_eq!(
            (config.stable.as_str(), config.candidate.as_str()),
            ("7", "8")
        );
    }

    #[test]
    fn another_model_and_another_style_are_refused() {
        for (text, key) in [
            ("rollout: {id: a, model: other}", "rollout.model"),
            ("{\"rollout\": {\"id\": \"a\"}}", "rollout"),
            ("rollout: {stepz: [5]}", "rollout.stepz"),
            ("rollout: {id: a, candidate: 1.10}", "rollout.candidate"),
        ] {
            assert_eq!(completed(text).unwrap_err().key, key, "{text}");
        }
        let file = FolderFile::parse("rollout: {candidate: new}").unwrap();
        assert_eq!(file.candidate().unwrap_err().key, "rollout.candidate");
    }
}
