//! Goals of benchmark cases and their evaluation.
//!
//! Decision: a goal is an entry in the table of cases: a bound, and a function that takes the
//! number from the figures of a case. A number is nearly always a ratio within one run, because
//! times of one machine do not hold for another.

use std::fmt;

use serde::Serialize;

use super::figures::Figures;
use super::unit::Unit;

/// A goal of a case.
#[derive(Debug)]
pub(super) struct Goal {
    /// The measured number and its reference, as text.
    pub(super) text: &'static str,
    pub(super) bound: Bound,
    pub(super) unit: Unit,
    /// Returns the number; `None` when a contender was left out.
    pub(super) value: fn(&Figures) -> Option<f64>,
}

/// The bound of the number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Outcome of a goal.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Reached,
    Missed,
    /// The goal does not count here, for this reason; the number is reported nevertheless.
    Waived(String),
    /// There is no number, for this reason.
    NotMeasured(String),
}

/// A goal with its number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) case: &'static str,
    /// The text of the goal with its bound.
    pub(super) goal: String,
    pub(super) value: Option<f64>,
    /// The number with its unit.
    pub(super) measured: String,
    pub(super) outcome: Outcome,
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Unit {
    /// Formats the number with its unit, and with the significant digits.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Share => format!("{value:.2}"),
            Self::Times => format!("{value:.1} x"),
            Self::Percent => format!("{value:.1} %"),
            Self::Microseconds => format!("{value:.0} us"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Seconds => format!("{value:.1} s"),
            Self::Deadlines => format!("{value:.0} x the deadline"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

impl Goal {
    /// Evaluates the goal on the figures of `case`; an error is the reason why there are none.
    pub(super) fn evaluate(&self, case: &'static str, figures: Result<&Figures, &str>) -> Verdict {
        let value = figures.ok().and_then(self.value);
        let outcome = match (value, figures) {
            (_, Err(reason)) => Outcome::NotMeasured(reason.to_owned()),
            (None, Ok(_)) => Outcome::NotMeasured("what it compares was left out".to_owned()),
            (Some(_), Ok(figures)) if figures.waiver.is_some() => {
                Outcome::Waived(figures.waiver.clone().unwrap_or_default())
            }
            (Some(value), Ok(_)) if self.bound.holds(value) => Outcome::Reached,
            (Some(_), Ok(_)) => Outcome::Missed,
        };
        Verdict {
            case,
            goal: self.to_string(),
            value,
            measured: value.map_or_else(String::new, |value| self.unit.write(value)),
            outcome,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, number) = match self.bound {
            Bound::AtLeast(number) => ("at least", number),
            Bound::AtMost(number) => ("at most", number),
        };
        write!(
            formatter,
            "{}: {side} {}",
            self.text,
            self.unit.write(number)
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached => formatter.write_str("reached"),
            Self::Missed => formatter.write_str("**missed**"),
            Self::Waived(reason) => write!(formatter, "no goal here: {reason}"),
            Self::NotMeasured(reason) => write!(formatter, "not measured: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Round;

    const GOAL: Goal = Goal {
        text: "requests/s of the echo",
        bound: Bound::AtLeast(0.55),
        unit: Unit::Share,
        value: |figures| figures.value("share"),
    };

    fn figures(share: f64) -> Figures {
        let mut round = Round::default();
        round.set("share", Unit::Share, share);
        Figures::of("case", &[round])
    }

    #[test]
    fn a_bound_itself_is_good_enough() {
        let table = [
            (Bound::AtLeast(0.5), 0.5, true),
            (Bound::AtLeast(0.5), 0.499, false),
            (Bound::AtMost(60.0), 60.0, true),
            (Bound::AtMost(60.0), 60.1, false),
            (Bound::AtLeast(0.5), f64::NAN, false),
            (Bound::AtMost(0.5), f64::NAN, false),
        ];
        let wrong: Vec<_> = table
            .into_iter()
            .filter(|(bound, value, expected)| bound.holds(*value) != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_number_has_its_unit() {
        let table = [
            (Unit::Share, "1.23"),
            (Unit::Times, "1.2 x"),
            (Unit::Percent, "1.2 %"),
            (Unit::Microseconds, "1 us"),
            (Unit::Milliseconds, "1.2 ms"),
            (Unit::Seconds, "1.2 s"),
            (Unit::Deadlines, "1 x the deadline"),
            (Unit::Count, "1"),
        ];
        for (unit, expected) in table {
            assert_eq!(unit.write(1.234), expected);
        }
    }

    #[test]
    fn a_number_is_judged_and_written() {
        let (good, bad) = (figures(0.58), figures(0.5));
        let verdict = GOAL.evaluate("case", Ok(&good));
        assert_eq!(verdict.goal, "requests/s of the echo: at least 0.55");
        assert_eq!(verdict.measured, "0.58");
        assert_eq!(verdict.outcome, Outcome::Reached);
        assert_eq!(GOAL.evaluate("case", Ok(&bad)).outcome, Outcome::Missed);
    }

    #[test]
    fn what_is_not_measured_is_never_reached() {
        let verdict = GOAL.evaluate("case", Err("no AMX"));
        assert_eq!(verdict.outcome, Outcome::NotMeasured("no AMX".to_owned()));
        assert_eq!(verdict.value, None);
        let empty = Figures::of("case", &[Round::default()]);
        let verdict = GOAL.evaluate("case", Ok(&empty));
        assert!(matches!(verdict.outcome, Outcome::NotMeasured(_)));
    }

    #[test]
    fn a_waived_goal_shows_its_number_and_the_reason() {
        let mut figures = figures(0.1);
        figures.waiver = Some("no AMX".to_owned());
        let verdict = GOAL.evaluate("case", Ok(&figures));
        assert_eq!(verdict.measured, "0.10");
        assert_eq!(verdict.outcome, Outcome::Waived("no AMX".to_owned()));
    }
}
