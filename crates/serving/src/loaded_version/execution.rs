//! Execution target of the requests of a loaded version: the thread of the caller, or the pool.
//!
//! Decision: other connections of a thread wait for a run on it, and two hand-offs cost a tenth of
//! the longest run that it may make. So cheap models run where the request is, and a batch delay
//! applies only where requests wait anyway. The measured cost never moves a model to that thread
//! when it says nothing about the next request, or was far too low once.

use std::time::Duration;

use contract::ExecutionTarget;

/// The longest run on the thread of a caller. Other connections of that thread wait for it, and two
/// hand-offs cost a tenth of it.
const MAX_INLINE: Duration = Duration::from_micros(200);

/// The threads that requests run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Execution {
    /// The threads that the measured cost suggests.
    #[default]
    Auto,
    /// Always on a thread of the model.
    Pool,
    /// On the thread of its caller whenever a session is idle.
    Inline,
}

/// Reasons not to trust a measured cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hazards<'a> {
    /// The reason why the cost depends on the values of the inputs.
    pub(super) data_dependent_cost: Option<&'a str>,
    /// The time of the first run that was too long for the thread of its caller.
    pub(super) overrun: Option<Duration>,
}

impl Hazards<'_> {
    fn reason(&self) -> Option<String> {
        if let Some(reason) = self.data_dependent_cost {
            return Some(format!(
                "the cost of a run depends on the values of its inputs because of {reason}"
            ));
        }
        let overrun = self.overrun?;
        Some(format!(
            "a run on the thread of the connection took {}, longer than the expected maximum of {}",
            micros(overrun),
            micros(MAX_INLINE)
        ))
    }
}

impl Execution {
    /// Returns whether a caller may run a request that will take `estimate`.
    pub(super) fn allows_inline(self, estimate: Option<Duration>, hazards: &Hazards<'_>) -> bool {
        let is_safe = hazards.data_dependent_cost.is_none() && hazards.overrun.is_none();
        match self {
            Self::Pool => false,
            Self::Inline => true,
            Self::Auto => is_safe && estimate.is_some_and(|estimate| estimate <= MAX_INLINE),
        }
    }

    /// Returns where a row runs that will take `estimate` with a batch delay of at most
    /// `max_delay`, and why.
    pub(super) fn target(
        self,
        estimate: Option<Duration>,
        max_delay: Option<Duration>,
        hazards: &Hazards<'_>,
    ) -> (ExecutionTarget, String) {
        let limit = micros(MAX_INLINE);
        if max_delay.is_some_and(|delay| !delay.is_zero()) {
            let reason = "`batching.max_delay_ms` makes requests wait for others";
            return (ExecutionTarget::Pool, reason.to_owned());
        }
        if let (Self::Auto, Some(reason)) = (self, hazards.reason()) {
            return (ExecutionTarget::Pool, reason);
        }
        match (self, estimate) {
            (Self::Pool, _) => (ExecutionTarget::Pool, "`execution` is `pool`".to_owned()),
            (Self::Inline, _) => (
                ExecutionTarget::Inline,
                "`execution` is `inline`".to_owned(),
            ),
            (Self::Auto, None) => {
                let reason = "no run of one row has been measured yet";
                (ExecutionTarget::Pool, reason.to_owned())
            }
            (Self::Auto, Some(time)) if time <= MAX_INLINE => {
                let reason = format!(
                    "a run of one row takes {}, and up to {limit} the thread of the connection \
                     is faster than a hand-off",
                    micros(time)
                );
                (ExecutionTarget::Inline, reason)
            }
            (Self::Auto, Some(time)) => {
                let reason = format!(
                    "a run of one row takes {}, and above {limit} it would hold up other \
                     connections of the thread",
                    micros(time)
                );
                (ExecutionTarget::Pool, reason)
            }
        }
    }
}

fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(n: u64) -> Option<Duration> {
        Some(Duration::from_micros(n))
    }

    #[test]
    fn only_short_or_forced_runs_are_given_to_the_caller() {
        let cases = [
            (Execution::Auto, None, false),
            (Execution::Auto, micros(200), true),
            (Execution::Auto, micros(201), false),
            (Execution::Pool, micros(1), false),
            (Execution::Inline, micros(5000), true),
            (Execution::Inline, None, true),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(execution, estimate, expected)| {
                execution.allows_inline(*estimate, &Hazards::default()) != *expected
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_execution_target_is_reported_with_its_reason() {
        let cases = [
            (
                Execution::Auto,
                micros(13),
                None,
                "inline: a run of one row takes 13 µs, and",
            ),
            (
                Execution::Auto,
                micros(1300),
                micros(0),
                "pool: a run of one row takes 1300 µs",
            ),
            (
                Execution::Auto,
                None,
                None,
                "pool: no run of one row has been measured",
            ),
            (
                Execution::Auto,
                micros(13),
                micros(1),
                "pool: `batching.max_delay_ms`",
            ),
            (
                Execution::Pool,
                micros(13),
                None,
                "pool: `execution` is `pool`",
            ),
            (
                Execution::Inline,
                micros(1300),
                None,
                "inline: `execution` is `inline`",
            ),
        ];
        let mut failures = Vec::new();
        for (execution, estimate, max_delay, expected) in cases {
            let (target, reason) = execution.target(estimate, max_delay, &Hazards::default());
            let text = format!("{}: {reason}", target.as_str());
            if !text.starts_with(expected) {
                failures.push(format!("{text}, not {expected}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn a_cost_that_cannot_be_trusted_keeps_runs_off_the_thread_of_the_caller() {
        let values = Hazards {
            data_dependent_cost: Some("operator `Loop`"),
            overrun: None,
        };
        let overrun = Hazards {
            data_dependent_cost: None,
            overrun: micros(2500),
        };
        let cases = [
            (
                values,
                "the cost of a run depends on the values of its inputs because of operator `Loop`",
            ),
            (
                overrun,
                "a run on the thread of the connection took 2500 µs, longer than the expected",
            ),
        ];
        for (hazards, expected) in cases {
            assert!(!Execution::Auto.allows_inline(micros(1), &hazards));
            assert!(Execution::Inline.allows_inline(micros(1), &hazards));
            let (target, reason) = Execution::Auto.target(micros(1), None, &hazards);
            assert_eq!(target, ExecutionTarget::Pool);
            assert!(reason.starts_with(expected), "{reason}");
            let (target, _) = Execution::Inline.target(micros(1), None, &hazards);
            assert_eq!(target, ExecutionTarget::Inline);
        }
    }
}
