//! Where requests of a variant run: on the thread of their caller, or on threads of the model.
//!
//! Decision: other connections of a thread wait for a run that it makes, and two hand-offs cost a
//! tenth of the longest run that it may make. So cheap models are run where the request is, and
//! company is waited for only where requests wait anyway.

use std::time::Duration;

use contract::ExecutionPlace;

/// The longest run that a thread of a caller is given. Other connections of that thread wait for
/// it, and two hand-offs cost a tenth of it.
const MAX_INLINE: Duration = Duration::from_micros(200);

/// Where a request runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Execution {
    /// Where its measured cost says.
    #[default]
    Auto,
    /// Always on a thread of the model.
    Pool,
    /// On the thread of its caller whenever a session is idle.
    Inline,
}

impl Execution {
    /// Whether a caller may run a request that will take `estimate`.
    pub(super) fn allows_inline(self, estimate: Option<Duration>) -> bool {
        match self {
            Self::Pool => false,
            Self::Inline => true,
            Self::Auto => estimate.is_some_and(|estimate| estimate <= MAX_INLINE),
        }
    }

    /// Where a row runs that will take `estimate` and waits for company for at most `max_delay`,
    /// and why.
    pub(super) fn place(
        self,
        estimate: Option<Duration>,
        max_delay: Option<Duration>,
    ) -> (ExecutionPlace, String) {
        let micros = |time: Duration| format!("{:.0} µs", time.as_secs_f64() * 1e6);
        let limit = micros(MAX_INLINE);
        if max_delay.is_some_and(|delay| !delay.is_zero()) {
            let reason = "`batching.max_delay_ms` makes requests wait for company";
            return (ExecutionPlace::Pool, reason.to_owned());
        }
        match (self, estimate) {
            (Self::Pool, _) => (ExecutionPlace::Pool, "`execution` is `pool`".to_owned()),
            (Self::Inline, _) => (ExecutionPlace::Inline, "`execution` is `inline`".to_owned()),
            (Self::Auto, None) => {
                let reason = "no run of one row has been measured yet";
                (ExecutionPlace::Pool, reason.to_owned())
            }
            (Self::Auto, Some(time)) if time <= MAX_INLINE => {
                let reason = format!(
                    "a run of one row takes {}, and up to {limit} the thread of the connection \
                     is faster than a hand-off",
                    micros(time)
                );
                (ExecutionPlace::Inline, reason)
            }
            (Self::Auto, Some(time)) => {
                let reason = format!(
                    "a run of one row takes {}, and above {limit} it would hold up other \
                     connections of the thread",
                    micros(time)
                );
                (ExecutionPlace::Pool, reason)
            }
        }
    }
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
                execution.allows_inline(*estimate) != *expected
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_place_is_told_with_its_reason() {
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
            let (place, reason) = execution.place(estimate, max_delay);
            let text = format!("{}: {reason}", place.as_str());
            if !text.starts_with(expected) {
                failures.push(format!("{text}, not {expected}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
