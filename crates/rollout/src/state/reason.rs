//! Reasons of transitions, in the words of people.
//!
//! Decision: a reason carries the numbers that made it, because it is read when the evidence has
//! long changed. Records of earlier versions have fewer numbers and stay readable.

use std::fmt;

use api::rollout::GuardKind;
use serde::{Deserialize, Serialize};
use stats::Counts;

use super::phase::HoldReason;
use crate::evidence::Window;
use crate::numbers::percent;

/// The reason of a transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The candidate is loaded and compatible.
    Loaded,
    /// The candidate cannot be loaded, or is incompatible with stable.
    LoadFailed(String),
    /// The candidate is not in the repository.
    CandidateMissing,
    /// The warm-up is done.
    WarmedUp,
    /// The warm-up failed.
    WarmupFailed(String),
    /// The artifact of the candidate was replaced.
    CandidateChanged,
    /// Enough pairs of answers were compared, and they agree.
    ShadowAgrees,
    /// Stable was measured before the promotion.
    BaselineMeasured,
    /// Every blocking metric passes.
    NotWorse,
    /// The candidate is worse, seen in this window; no metric stands out.
    Worse(Window),
    /// The candidate is worse, most of all in one metric.
    WorseMetric(WorseMetric),
    /// A guard, in a record of an earlier version.
    Guard(GuardKind),
    /// A guard has reached its limit.
    GuardReached {
        /// The guard.
        guard: GuardKind,
        /// Its count, or ratio.
        count: f64,
        /// Its limit.
        limit: f64,
    },
    /// No verdict within `max_time`, so `on_unknown` decides.
    OnUnknown,
    /// The candidate has all traffic.
    AllTraffic,
    /// The soak ended well.
    Soaked,
    /// A hold began.
    Held(HoldReason),
    /// A hold ended.
    Released(HoldReason),
    /// A gate answered that the rollout must be rolled back, in a record of an earlier version.
    Gate,
    /// A gate answered that the rollout must be rolled back.
    GateAnswer {
        /// The gate.
        gate: String,
        /// Its answer in words.
        answer: String,
    },
    /// A query of Prometheus rolled back, for this reason.
    Query(String),
    /// An operator acted, with this reason.
    Operator(String),
}

/// The metric in which a candidate is worse, with the counts that show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorseMetric {
    /// Its name.
    pub metric: String,
    /// The window of the evidence.
    pub window: Window,
    /// The unit of the counts.
    pub counted: Counted,
    /// The counts of the candidate.
    pub candidate: Counts,
    /// The rate that it is compared with: that of stable, or the largest acceptable one.
    pub against: f64,
}

/// The unit of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Requests.
    Requests,
    /// Units of the assignment, such as users.
    Units,
    /// Pairs of answers to shadow requests.
    ShadowRequests,
}

impl Reason {
    /// Returns the reason as one of a closed list of words, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::LoadFailed(_) => "load_failed",
            Self::CandidateMissing => "candidate_missing",
            Self::WarmedUp => "warmed_up",
            Self::WarmupFailed(_) => "warmup_failed",
            Self::CandidateChanged => "candidate_changed",
            Self::ShadowAgrees => "shadow_agrees",
            Self::BaselineMeasured => "baseline_measured",
            Self::NotWorse => "not_worse",
            Self::Worse(_) | Self::WorseMetric(_) => "worse",
            Self::Guard(guard) | Self::GuardReached { guard, .. } => guard.as_str(),
            Self::OnUnknown => "on_unknown",
            Self::AllTraffic => "all_traffic",
            Self::Soaked => "soaked",
            Self::Held(reason) | Self::Released(reason) => reason.as_str(),
            Self::Gate | Self::GateAnswer { .. } => "gate",
            Self::Query(_) => "prometheus",
            Self::Operator(_) => "operator",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded => f.write_str("the candidate is loaded"),
            Self::LoadFailed(why) => write!(f, "the candidate cannot be used: {why}"),
            Self::CandidateMissing => f.write_str("the files of the candidate are missing"),
            Self::WarmedUp => f.write_str("the warm-up succeeded"),
            Self::WarmupFailed(why) => write!(f, "the warm-up failed: {why}"),
            Self::CandidateChanged => f.write_str("the files of the candidate changed"),
            Self::ShadowAgrees => f.write_str("the shadow requests agree"),
            Self::BaselineMeasured => f.write_str("the rates of stable are known"),
            Self::NotWorse => f.write_str("the candidate is not worse"),
            Self::Worse(window) => write!(f, "worse {}", words(*window)),
            Self::WorseMetric(metric) => metric.fmt(f),
            Self::Guard(guard) => write!(f, "guard `{}`", guard.as_str()),
            Self::GuardReached {
                guard,
                count,
                limit,
            } => {
                let name = guard.as_str();
                write!(
                    f,
                    "guard `{name}`: {} (limit {limit})",
                    seen(*guard, *count)
                )
            }
            Self::OnUnknown => f.write_str("no verdict in time"),
            Self::AllTraffic => f.write_str("the candidate has all traffic"),
            Self::Soaked => f.write_str("the soak found nothing worse"),
            Self::Held(reason) => write!(f, "held: {}", reason.as_str()),
            Self::Released(reason) => write!(f, "no longer held: {}", reason.as_str()),
            Self::Gate => f.write_str("a gate asked for a rollback"),
            Self::GateAnswer { gate, answer } => {
                write!(f, "gate `{gate}` asked for a rollback: {answer}")
            }
            Self::Query(why) => write!(f, "Prometheus query {why}"),
            Self::Operator(words) if words.is_empty() => f.write_str("an operator"),
            Self::Operator(words) => write!(f, "an operator: {words}"),
        }
    }
}

impl fmt::Display for WorseMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = &self.metric;
        let window = match self.window {
            Window::Start | Window::Step => "",
            Window::Soak => " since the promotion",
        };
        let Counts { n, events } = self.candidate;
        let Some(rate) = self.candidate.rate() else {
            return write!(f, "{metric} worse in shadow requests{window}");
        };
        let (rate, against) = (percent(rate), percent(self.against));
        let counted = self.counted.as_str();
        write!(
            f,
            "{metric} {rate} against {against}, {events} of {n} {counted}{window}"
        )
    }
}

impl Counted {
    fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Units => "users",
            Self::ShadowRequests => "shadow requests",
        }
    }
}

fn words(window: Window) -> &'static str {
    match window {
        Window::Start => "since the start",
        Window::Step => "since the last change of weight",
        Window::Soak => "since the promotion",
    }
}

fn seen(guard: GuardKind, count: f64) -> String {
    match guard {
        GuardKind::NanOutput => format!("{count} answers with NaN or infinity"),
        GuardKind::ConsecutiveErrors => format!("{count} errors in a row"),
        GuardKind::LoadFailure => format!("{count} failed loads"),
        GuardKind::ShapeChange => format!("{count} answers of another name, type or shape"),
        GuardKind::MemoryRatio => format!("{count:.2} times the memory of stable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worse_metric_has_both_rates_and_its_counts() {
        let metric = |counted, window, n, events| {
            Reason::WorseMetric(WorseMetric {
                metric: "errors".to_owned(),
                window,
                counted,
                candidate: Counts { n, events },
                against: 0.005,
            })
        };
        let rows = [
            (
                metric(Counted::Units, Window::Start, 275, 14),
                "errors 5.1 % against 0.5 %, 14 of 275 users",
            ),
            (
                metric(Counted::Requests, Window::Soak, 1000, 100),
                "errors 10 % against 0.5 %, 100 of 1000 requests since the promotion",
            ),
            (
                metric(Counted::Requests, Window::Start, 0, 0),
                "errors worse in shadow requests",
            ),
        ];
        for (reason, expected) in rows {
            assert_eq!(reason.to_string(), expected);
        }
    }

    #[test]
    fn a_guard_has_its_count_and_limit() {
        let reason = Reason::GuardReached {
            guard: GuardKind::ConsecutiveErrors,
            count: 20.0,
            limit: 20.0,
        };
        let expected = "guard `consecutive_errors`: 20 errors in a row (limit 20)";
        assert_eq!(reason.to_string(), expected);
    }

    #[test]
    fn reasons_in_records_of_earlier_versions_are_read() {
        let rows = [
            (r#"{"worse": "start"}"#, "worse since the start"),
            (r#"{"guard": "nan_output"}"#, "guard `nan_output`"),
            (r#""gate""#, "a gate asked for a rollback"),
        ];
        for (stored, expected) in rows {
            let reason: Reason = serde_json::from_str(stored).unwrap();
            assert_eq!(reason.to_string(), expected);
        }
    }
}
