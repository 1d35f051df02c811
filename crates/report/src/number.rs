//! Numbers as text, for the terminal and the page.

/// Formats a share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Formats a difference of shares in percentage points, with its sign.
pub fn points(difference: f64) -> String {
    format!("{:+.1}", difference * 100.0)
}

/// Formats a p-value.
pub fn probability(p_value: f64) -> String {
    match p_value {
        p_value if p_value < 1e-3 => "less than 0.001".to_owned(),
        p_value => format!("{p_value:.3}"),
    }
}

/// Formats a ratio of times.
pub fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// Formats milliseconds with three significant digits or more.
pub fn millis(time: f64) -> String {
    match time {
        time if time < 1.0 => format!("{time:.3}"),
        time if time < 100.0 => format!("{time:.2}"),
        time => format!("{time:.0}"),
    }
}

/// Formats a difference, or `not finite`.
pub fn difference(number: Option<f64>) -> String {
    match number {
        None => "not finite".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(number) if (1e-3..1e4).contains(&number) => format!("{number:.4}"),
        Some(number) => format!("{number:.2e}"),
    }
}

/// Formats a rate, or a dash without one.
pub fn rate(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.0}"))
}

/// Formats the size of a file.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub fn size(bytes: Option<u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes) if bytes < 1 << 20 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        Some(bytes) => format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        assert_eq!([0.0412, 4.123, 412.3].map(millis), ["0.041", "4.12", "412"]);
        let differences = [None, Some(0.0), Some(0.12345), Some(1e-7), Some(2e6)].map(difference);
        assert_eq!(
            differences,
            ["not finite", "0", "0.1235", "1.00e-7", "2.00e6"]
        );
        assert_eq!([None, Some(1234.6)].map(rate), ["-", "1235"]);
        let sizes = [None, Some(1536), Some(3 << 20)].map(size);
        assert_eq!(sizes, ["-", "1.5 KiB", "3.0 MiB"]);
        assert_eq!(percent(0.9667), "96.7 %");
        assert_eq!([0.0056, -0.02].map(points), ["+0.6", "-2.0"]);
        assert_eq!(
            [0.7266, 1e-9].map(probability),
            ["0.727", "less than 0.001"]
        );
        assert_eq!(times(1.0349), "1.03");
    }
}
