//! Traffic: which version answers when several could, as plain data.
//!
//! Decision: these are wishes as they were written; whoever applies them checks them as a whole,
//! because one weight can only be wrong beside the others.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::model::Version;

/// The longest name of an arm or a label.
const MAX_NAME_BYTES: usize = 64;

/// What decides which version of a model answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// The version that answers whenever none is named; the highest that is ready when `None`.
    pub pinned: Option<Version>,
    /// Names that are usable wherever a version is.
    pub labels: BTreeMap<String, Version>,
    /// How requests that name no version are shared out.
    pub split: Option<Split>,
    /// What the arms of the split have answered since it was set.
    pub results: Vec<ArmResult>,
    /// Every other arm beside the first.
    pub comparison: Vec<Comparison>,
    /// Whether the units follow the weights; `None` without a split.
    pub sample_ratio: Option<SampleRatio>,
    /// How many requests had no unit where the split looks for it, since it was set.
    pub n_without_unit: u64,
    /// Grows with every change.
    pub generation: u64,
    /// The rollout that decides in place of operators, while one does.
    pub rollout: Option<String>,
}

/// What one arm of a split has answered. Requests that were forced into it are left out, and so are
/// mistakes of callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmResult {
    /// The name of the arm.
    pub arm: String,
    /// Its share of the units now; a bandit moves it.
    pub weight: f64,
    /// Requests.
    pub n_requests: u64,
    /// Those that failed.
    pub n_errors: u64,
    /// Half of the answers took at most this long; `None` before the first one.
    pub p50: Option<Duration>,
    /// 95 of a hundred took at most this long.
    pub p95: Option<Duration>,
    /// 99 of a hundred took at most this long.
    pub p99: Option<Duration>,
    /// What it answered.
    pub outputs: OutputCounts,
    /// The units that were assigned to it; requests, when each is a unit of its own.
    pub n_units: u64,
    /// What its answers were worth.
    pub reward: RewardResult,
}

/// Answered rows, counted by what they said.
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

/// What answers were worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RewardResult {
    /// How often feedback came.
    pub n: u64,
    /// The mean; `None` without feedback.
    pub mean: Option<f64>,
}

/// One arm beside another.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The arm that is compared.
    pub arm: String,
    /// The arm that it is compared with.
    pub with: String,
    /// Its rate of errors minus that of the other; `None` while one of them has no requests.
    pub error_rate: Option<Difference>,
    /// Its mean reward minus that of the other; `None` while there is too little feedback.
    pub reward: Option<Difference>,
}

/// A difference, and how sure it is. All of it may be looked at as often as one likes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// What was measured.
    pub estimate: f64,
    /// The lower end of the interval that holds the true difference with probability 0.95.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The probability of such a difference when there is none.
    pub p_value: f64,
    /// Whether it stands beside all other differences of the split.
    pub is_significant: bool,
}

/// Whether the units follow the weights: if not, the split is broken and no comparison holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio {
    /// The logarithm of the evidence that they do not.
    pub ln_bf: f64,
    /// From where on they do not.
    pub limit: f64,
    /// Whether it is reached.
    pub is_mismatch: bool,
}

/// A change of what is served, as an operator asks for it. Where it says text, a label is as good
/// as a version.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Load a version, even one that the settings leave out.
    Load(Version),
    /// Stop serving a version until it is loaded again.
    Unload(Version),
    /// Let this version answer whenever none is named.
    Pin(String),
    /// Let the highest version answer again.
    Unpin,
    /// Give a version a name, or move the name to it.
    Label {
        /// The name.
        label: String,
        /// The version.
        version: String,
    },
    /// Take a name away.
    Unlabel(String),
    /// Share out the requests.
    Split(Split),
    /// Share out nothing.
    Unsplit,
    /// Go back to the pin, the labels and the split before the last change.
    RollBack,
}

/// One line of the history of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When it happened.
    pub at: SystemTime,
    /// Who did it: what the caller says about itself, or `watch` for a change of the files.
    pub actor: String,
    /// What happened.
    pub what: String,
    /// The version that it happened to.
    pub version: Option<Version>,
    /// What identified the content of the version then.
    pub fingerprint: Option<String>,
}

/// How the requests for one model are shared out between its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The arms; their order counts.
    pub arms: Vec<Arm>,
    /// What is assigned to an arm.
    pub unit: Unit,
    /// How a unit becomes a number.
    pub hash: AssignmentHash,
    /// What is hashed with the unit, so that experiments are independent; each hash has its rule.
    pub salt: Option<String>,
    /// The part of each arm's range that takes part; the rest is answered as without a split.
    pub coverage: f64,
    /// The layer that the split lies in, when several splits must not share users.
    pub layer: Option<Layer>,
    /// The header that forces an arm; nobody can when there is none.
    pub override_header: Option<String>,
    /// How the weights follow the rewards; they stay as they are when it is left out.
    pub bandit: Option<Bandit>,
}

/// Weights that follow the rewards of the arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandit {
    /// How long weights stay the same before they may move.
    pub period: Duration,
    /// The rewards that every arm needs before a weight moves.
    pub min_units: u64,
    /// The least weight of an arm.
    pub floor: f64,
}

/// One side of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its name in replies and results.
    pub name: String,
    /// The version that answers, or a label.
    pub version: String,
    /// Its share of the units.
    pub weight: f64,
}

/// What is assigned to an arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where a request carries it.
    pub source: UnitSource,
    /// What happens to a request that does not.
    pub fallback: Fallback,
}

/// Where a request carries its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSource {
    /// In a key of its body, with dots between the levels, or in its query.
    Field(String),
    /// In a header, or in the metadata of gRPC.
    Header(String),
    /// In a cookie.
    Cookie(String),
    /// Nowhere: every request is a unit of its own.
    Random,
}

/// What happens to a request without a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// It is a unit of its own.
    #[default]
    Random,
    /// It is answered as if there were no split.
    Stable,
}

/// How a unit becomes a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssignmentHash {
    /// XXH3 of salt and unit, in a million buckets.
    #[default]
    Xxh3,
    /// The MD5 digest as a number, in ten thousand buckets.
    Md5,
    /// The second rule of GrowthBook clients.
    GrowthbookV2,
    /// The rule of Optimizely clients.
    Murmur3,
}

impl Default for Bandit {
    /// Weights move every five minutes, from a hundred rewards of each arm on, and never below one
    /// in a hundred.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(300),
            min_units: 100,
            floor: 0.01,
        }
    }
}

impl AssignmentHash {
    /// Every hash.
    pub const ALL: [Self; 4] = [Self::Xxh3, Self::Md5, Self::GrowthbookV2, Self::Murmur3];

    /// Its name in settings and calls.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xxh3 => "xxh3",
            Self::Md5 => "md5",
            Self::GrowthbookV2 => "growthbook-v2",
            Self::Murmur3 => "murmur3",
        }
    }

    /// The hash of that name.
    ///
    /// # Errors
    /// `invalid_request` with the names that there are.
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
    /// Where the range begins, from 0 to 1.
    pub start: f64,
    /// Where it ends; the end is not part of it.
    pub end: f64,
}

/// A name of an arm or a label: what is safe in a header, in a path and as a metric label.
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
