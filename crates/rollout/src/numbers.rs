//! Numbers as text for people: shares and durations, to two significant digits.

use std::time::Duration;

/// Formats a share as a percentage with two significant digits.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let units = [10.0, 1.0, 0.1, 0.01];
    let n_decimals = units.iter().position(|unit| percent >= *unit);
    let text = format!("{percent:.*}", n_decimals.unwrap_or(3));
    match text.contains('.') {
        true => format!("{} %", text.trim_end_matches('0').trim_end_matches('.')),
        false => format!("{text} %"),
    }
}

/// Formats a duration in its largest unit of which there are at least two, rounded up.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let units = [(86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s")];
    let large = units.into_iter().find(|(unit, _)| seconds >= 2.0 * unit);
    let (unit, name) = large.unwrap_or((1.0, "s"));
    format!("{} {name}", (seconds / unit).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_significant_digits() {
        let rows = [
            (0.0, "0 %"),
            (0.000_123, "0.012 %"),
            (0.005, "0.5 %"),
            (0.0509, "5.1 %"),
            (0.12, "12 %"),
            (1.0, "100 %"),
        ];
        for (share, expected) in rows {
            assert_eq!(percent(share), expected);
        }
    }

    #[test]
    fn durations_have_one_unit() {
        let rows = [
            (0, "0 s"),
            (100, "100 s"),
            (121, "3 min"),
            (7200, "2 h"),
            (200_000, "3 days"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }
}
