//! `Traffic`: changes the routing rules of a model. The rules and the results of its splits are
//! plain data.
//!
//! Decision: the rules are unchecked, as the operator wrote them; the code that applies them checks
//! them as a whole, because one weight can only be wrong together with the others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::infer::BoxFuture;
use crate::model::{ModelName, Version};

/// The longest name of an arm or a label.
const MAX_NAME_BYTES: usize = 64;

/// Routing rules of a model, and the results of its split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// The version that answers requests without a version.
    pub pinned: Option<Version>,
    /// The version that answers them while none is pinned, where new versions wait; the highest
    /// that is ready when `None`.
    pub default: Option<Version>,
    /// Names that are usable wherever a version is.
    pub labels: BTreeMap<String, Version>,
    /// The traffic split of the requests that name no version.
    pub split: Option<Split>,
    /// The results of the arms since the split was set.
    pub results: Vec<ArmResult>,
    /// The comparison of every other arm with the first.
    pub comparison: Vec<Comparison>,
    /// The test for a sample-ratio mismatch; `None` without a split.
    pub sample_ratio: Option<SampleRatio>,
    /// The requests without a unit where the split looks for it, since the split was set.
    pub n_without_unit: u64,
    /// Grows with every change.
    pub generation: u64,
    /// The rollout whose routing override is in force, if any.
    pub rollout: Option<String>,
}

/// Results of one arm of a split. Forced requests are left out, and so are mistakes of callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmResult {
    /// The name of the arm.
    pub arm: String,
    /// Its current traffic weight; a bandit changes it.
    pub weight: f64,
    /// Requests.
    pub n_requests: u64,
    /// Requests that failed.
    pub n_errors: u64,
    /// The median latency; `None` before the first answer.
    pub p50: Option<Duration>,
    /// The 95th percentile of the latency.
    pub p95: Option<Duration>,
    /// The 99th percentile of the latency.
    pub p99: Option<Duration>,
    /// Its answers, counted.
    pub outputs: OutputCounts,
    /// The units that were assigned to it; the requests, when each is its own unit.
    pub n_units: u64,
    /// The rewards of its answers.
    pub reward: RewardResult,
}

/// Answered rows, counted by class or by score.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OutputCounts {
    /// No output could be counted, so far.
    #[default]
    Nothing,
    /// By class, modulo the number of counts.
    Classes(Vec<u64>),
    /// By score: below 0, the tenths from 0 to 1, above 1.
    Scores(Vec<u64>),
}

/// Rewards of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RewardResult {
    /// The number of rewards.
    pub n: u64,
    /// The mean; `None` without feedback.
    pub mean: Option<f64>,
}

/// Comparison of two arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The arm that is compared.
    pub arm: String,
    /// The arm that it is compared with.
    pub with: String,
    /// Its error rate minus that of the other; `None` while one of them has no requests.
    pub error_rate: Option<Difference>,
    /// Its mean reward minus that of the other; `None` while there is too little feedback.
    pub reward: Option<Difference>,
}

/// A difference with its interval and p-value. All of it is always-valid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The measured difference.
    pub estimate: f64,
    /// The lower end of the interval that holds the true difference with probability 0.95.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The p-value: the probability of such a difference when there is none.
    pub p_value: f64,
    /// True when it is significant among all differences of the split.
    pub is_significant: bool,
}

/// Test for a sample-ratio mismatch: when the units do not follow the weights, the split is broken
/// and no comparison holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio {
    /// The natural logarithm of the Bayes factor for a mismatch.
    pub ln_bf: f64,
    /// The value of `ln_bf` from which on there is a mismatch.
    pub limit: f64,
    /// True when the limit is reached.
    pub is_mismatch: bool,
}

/// A change of the desired state that an operator requests. A version that is given as text may be
/// a label.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Load a version, even one that the settings leave out.
    Load(Version),
    /// Stop serving a version until it is loaded again.
    Unload(Version),
    /// Let this version answer requests without a version.
    Pin(String),
    /// Let the highest version answer again.
    Unpin,
    /// Attach a label to a version, or move the label to it.
    Label {
        /// The label.
        label: String,
        /// The version.
        version: String,
    },
    /// Remove a label.
    Unlabel(String),
    /// Set a traffic split.
    Split(Split),
    /// Remove the traffic split.
    Unsplit,
    /// Restore the pin, the labels and the split before the last change.
    RollBack,
}

/// One line of the history of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The time of the change.
    pub at: SystemTime,
    /// The actor: the name that the caller gave, or `watch` for a change of the files.
    pub actor: String,
    /// A description of the change.
    pub what: String,
    /// The changed version.
    pub version: Option<Version>,
    /// The fingerprint of the version at that time.
    pub fingerprint: Option<String>,
}

/// A traffic split: a rule that divides the requests for one model between its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The arms; their order counts.
    pub arms: Vec<Arm>,
    /// The unit that is assigned to an arm.
    pub unit: Unit,
    /// The hash that maps a unit to a bucket.
    pub hash: AssignmentHash,
    /// The text that is hashed with the unit, so that splits are independent; each hash has its own
    /// rule for it.
    pub salt: Option<String>,
    /// The part of each arm's range that takes part; the rest is answered as without a split.
    pub coverage: f64,
    /// The layer of the split, when several splits must not share users.
    pub layer: Option<Layer>,
    /// The header that forces an arm; `None` allows no override.
    pub override_header: Option<String>,
    /// The bandit that changes the weights; `None` keeps them constant.
    pub bandit: Option<Bandit>,
}

/// Settings of a bandit, whose weights follow the rewards of the arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandit {
    /// The time between two changes of the weights.
    pub period: Duration,
    /// The rewards that every arm needs before a weight changes.
    pub min_units: u64,
    /// The least weight of an arm.
    pub floor: f64,
}

/// One alternative of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its name in replies and results.
    pub name: String,
    /// The version that answers, or a label.
    pub version: String,
    /// Its traffic weight.
    pub weight: f64,
}

/// The unit of a split, such as a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The part of a request that holds it.
    pub source: UnitSource,
    /// The treatment of a request without it.
    pub fallback: Fallback,
}

/// Part of a request that holds its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSource {
    /// A key of the body, with dots between the levels, or of the query.
    Field(String),
    /// A header, or a gRPC metadata key.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// None: every request is its own unit.
    Random,
}

/// Treatment of a request without a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// It is its own unit.
    #[default]
    Random,
    /// It is answered as if there were no split.
    Stable,
}

crate::named_enum! {
    /// Hash that maps a unit to a bucket.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum AssignmentHash {
        /// XXH3 of salt and unit, in a million buckets.
        #[default]
        Xxh3 = "xxh3",
        /// The MD5 digest as a number, in ten thousand buckets.
        Md5 = "md5",
        /// Version 2 of the hash of GrowthBook clients.
        GrowthbookV2 = "growthbook-v2",
        /// The hash of Optimizely clients.
        Murmur3 = "murmur3",
    }
    /// Returns its name in settings and calls.
    fn as_str
}

impl Default for Bandit {
    /// Weights change every five minutes, from a hundred rewards of each arm on, and never fall
    /// below 0.01.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(300),
            min_units: 100,
            floor: 0.01,
        }
    }
}

impl AssignmentHash {
    /// Returns the hash of that name.
    ///
    /// # Errors
    /// `invalid_request` with the known names.
    pub fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|hash| hash.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|hash| format!("`{}`", hash.as_str()));
            Error::invalid(format!(
                "expected one of {}, got `{}`",
                names.join(", "),
                name.escape_debug()
            ))
        })
    }
}

/// A layer: splits with disjoint ranges of one layer never share a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// The start of the range, from 0 to 1.
    pub start: f64,
    /// The end of the range, which is not part of it.
    pub end: f64,
}

/// Checks the name of an arm or a label, which must be safe in a header, in a path and as a metric
/// label.
///
/// # Errors
/// `invalid_request` unless it has 1 to 64 ASCII letters, digits, dots, dashes and underscores.
pub fn check_traffic_name(name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(is_allowed) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "a name has 1 to {MAX_NAME_BYTES} letters, digits, dots, dashes and underscores, \
             got `{}`",
            name.escape_debug()
        ))),
    }
}

/// Changes the traffic of models. May be called from many tasks at once.
pub trait Traffic: Send + Sync + fmt::Debug {
    /// Applies a change for `actor` and returns the new routing rules once they are persisted.
    /// Loading returns when the version serves.
    ///
    /// # Errors
    /// `model_not_found`, `version_not_found`, `invalid_request` for an invalid change, and the
    /// reason why a version failed to load.
    fn change<'a>(
        &'a self,
        name: &'a ModelName,
        change: Change,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<Routing>>;

    /// Returns the last `limit` changes of a model, the newest first.
    ///
    /// # Errors
    /// `model_not_found`, or `internal` when they cannot be read.
    fn history<'a>(
        &'a self,
        name: &'a ModelName,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HistoryEntry>>>;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_are_found_by_their_names() {
        for hash in AssignmentHash::ALL {
            assert_eq!(AssignmentHash::parse(hash.as_str()).unwrap(), hash);
        }
        let error = AssignmentHash::parse("sha1").unwrap_err();
        assert!(error.message().contains("`growthbook-v2`"), "{error}");
    }

    #[test]
    fn names_that_would_spoil_a_header_or_a_path_are_refused() {
        let refused = ["", "a b", "a/b", "a\n", "é", "a:b"];
        let accepted: Vec<_> = refused
            .iter()
            .filter(|name| check_traffic_name(name).is_ok())
            .collect();
        assert!(accepted.is_empty(), "{accepted:?}");
        assert!(check_traffic_name(&"a".repeat(65)).is_err());
        for name in ["stable", "canary-2", "v1.0_b"] {
            assert!(check_traffic_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn hashes_are_listed_once_and_spelled_differently() {
        let names: BTreeSet<_> = AssignmentHash::ALL.map(AssignmentHash::as_str).into();
        assert_eq!(names.len(), AssignmentHash::ALL.len());
    }

    #[test]
    fn unknown_hash_is_rejected_with_the_known_names() {
        for name in ["", "XXH3", "xxh3 ", "md5\n"] {
            let error = AssignmentHash::parse(name).unwrap_err();
            assert_eq!(error.code(), crate::error::Code::InvalidRequest);
            for hash in AssignmentHash::ALL {
                let is_named = error.message().contains(&format!("`{}`", hash.as_str()));
                assert!(is_named, "{error}");
            }
            let got = format!("got `{}`", name.escape_debug());
            assert!(error.message().ends_with(&got), "{error}");
        }
    }

    #[test]
    fn defaults_change_the_least() {
        assert_eq!(AssignmentHash::default(), AssignmentHash::Xxh3);
        assert_eq!(Fallback::default(), Fallback::Random);
        assert_eq!(OutputCounts::default(), OutputCounts::Nothing);
        let routing = Routing::default();
        assert!(routing.pinned.is_none() && routing.split.is_none() && routing.rollout.is_none());
        let Bandit {
            period,
            min_units,
            floor,
        } = Bandit::default();
        // Two arms at the floor still leave nearly everything to a third.
        assert!(period > Duration::ZERO && min_units > 0 && floor > 0.0 && floor < 0.1);
    }

    #[test]
    fn the_longest_name_is_counted_in_bytes() {
        for (n_bytes, is_allowed) in [(0, false), (1, true), (64, true), (65, false)] {
            let name = "a".repeat(n_bytes);
            assert_eq!(check_traffic_name(&name).is_ok(), is_allowed, "{n_bytes}");
        }
        assert!(check_traffic_name(&"ü".repeat(32)).is_err());
    }

    proptest! {
        #[test]
        fn a_name_that_is_accepted_is_safe_in_a_header_a_path_and_a_label(name in any::<String>()) {
            let is_safe = |c: char| c.is_ascii_graphic() && !"/\\\"`'%?#&=;,:{}<>".contains(c);
            if check_traffic_name(&name).is_ok() {
                prop_assert!(name.chars().all(is_safe), "{:?}", name);
            }
        }

        #[test]
        fn a_name_of_allowed_characters_is_accepted(name in "[A-Za-z0-9._-]{1,64}") {
            prop_assert!(check_traffic_name(&name).is_ok());
        }

        #[test]
        fn a_refusal_is_one_line_whatever_was_asked(name in any::<String>()) {
            if let Err(error) = check_traffic_name(&name) {
                prop_assert!(!error.message().contains(['\n', '\r']), "{}", error);
            }
            if let Err(error) = AssignmentHash::parse(&name) {
                prop_assert!(!error.message().contains(['\n', '\r']), "{}", error);
            }
        }
    }
}
