//! Forecast of the requests that a metric still needs until it passes.
//!
//! Input: the counts so far, and whether a multiple of them would pass. Rule: the rates stay as they
//! are, so that evidence grows with the counts, at the average gain per request so far; the smallest
//! multiple that passes is searched for. Cold start: without requests nothing is known. Recovery: a
//! forecast is made anew from the counts of each moment. Rejected: a forecast for rates that must
//! change first; a candidate that fails more often than its limit passes at no multiple.

/// Largest multiple of the counts so far: a forecast of more would be no more than a guess.
const MAX_FACTOR: f64 = 1000.0;

/// Steps of the search, for a precision far below the two digits that are shown.
const N_STEPS: u32 = 24;

/// Returns about how many more requests are needed, to two digits; `None` when that is not known.
/// `n` is the number of requests so far.
pub(super) fn further_requests(n: u64, passes: impl Fn(f64) -> bool) -> Option<u64> {
    if n == 0 || passes(1.0) || !passes(MAX_FACTOR) {
        return None;
    }
    // Logarithmic, because a factor of 1.1 matters as much as one of 500.
    let (mut fails, mut passing) = (0.0_f64, MAX_FACTOR.ln());
    for _ in 0..N_STEPS {
        let middle = f64::midpoint(fails, passing);
        match passes(middle.exp()) {
            true => passing = middle,
            false => fails = middle,
        }
    }
    Some(to_two_digits(n as f64 * (passing.exp() - 1.0)))
}

/// Rounds up to two significant digits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "at most a thousand times a number of requests; a larger one saturates"
)]
fn to_two_digits(n: f64) -> u64 {
    let unit = 10_f64.powf((n.max(1.0).log10().floor() - 1.0).max(0.0));
    ((n / unit).ceil().max(1.0) * unit) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence so far, its limit and the requests so far, and the forecast.
    #[test]
    fn requests_follow_from_the_gain_per_request_so_far() {
        let rows = [
            (1.0, 3.69, 100, Some(270)),
            (3.6, 3.69, 1010, Some(26)),
            (0.5, 3.69, 4217, Some(27_000)),
            (3.0, 3.0001, 10, Some(1)),
            (0.001, 3.69, 100, None),
            (0.0, 3.69, 100, None),
            (-1.31, 3.69, 100, None),
            (4.0, 3.69, 100, None),
            (1.0, 3.69, 0, None),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .map(|(so_far, limit, n, expected)| {
                let found = further_requests(n, |factor| so_far * factor >= limit);
                (so_far, n, found, expected)
            })
            .filter(|(_, _, found, expected)| found != expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
