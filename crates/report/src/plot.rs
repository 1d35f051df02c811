//! Plots as inline SVG, in the colours of the style.

use crate::number::percent;
use crate::page::{append, escape};

/// The width of every plot in its own units; the page scales it.
pub(crate) const WIDTH: f64 = 480.0;

/// The width of the margin for numbers on the left of a plot.
const MARGIN: f64 = 52.0;

/// The height of a line of bars.
const LINE: f64 = 40.0;

/// A curve over percentages.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The name as plain text.
    pub name: String,
    /// Points of percent and value.
    pub points: Vec<(f64, f64)>,
    /// A colour of the style.
    pub colour: &'static str,
}

/// One bar; without a value it has no length.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The name as plain text.
    pub name: String,
    /// The length.
    pub value: Option<f64>,
    /// A colour of the style.
    pub colour: &'static str,
}

/// A part of a whole.
#[derive(Clone, Debug)]
pub struct Share {
    /// The name as plain text.
    pub name: String,
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
    /// A colour of the style.
    pub colour: &'static str,
}

/// A logarithmic axis between two numbers above 0.
pub(crate) struct LogAxis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl LogAxis {
    /// Creates the axis for these numbers, from `start` to `end` on the page.
    pub(crate) fn new(numbers: impl Iterator<Item = f64> + Clone, start: f64, end: f64) -> Self {
        let numbers = numbers.filter(|number| *number > 0.0 && number.is_finite());
        let low = numbers.clone().fold(f64::INFINITY, f64::min);
        let high = numbers.fold(0.0, f64::max);
        let (low, high) = match low <= high {
            true => (low * 0.9, high * 1.1),
            false => (0.1, 1.0),
        };
        Self {
            low,
            high,
            start,
            end,
        }
    }

    /// Returns the position of a number on the page.
    pub(crate) fn position(&self, number: f64) -> f64 {
        let share = (number.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Returns round numbers on the axis: 1, 2 and 5 of each power of ten while there is room.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let powers = (self.high / self.low).log10();
        let steps: &[f64] = match powers {
            powers if powers < 1.7 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let first = self.low.log10().floor();
        // 40 powers of ten are enough: smaller differences are close to zero.
        let all = (0..=40_u8).flat_map(|power| {
            let unit = 10_f64.powf(first + f64::from(power));
            steps.iter().map(move |step| step * unit)
        });
        let mut ticks: Vec<_> = all
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect();
        while ticks.len() > 7 {
            let mut keep = false;
            ticks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        ticks
    }
}

/// Returns a plot of the usual width.
pub(crate) fn svg(height: f64, label: &str, content: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n{content}</svg>\n"
    )
}

/// Draws curves over percentages on a logarithmic axis, such as latencies from the fastest answer
/// to the slowest one; the label describes the plot to screen readers.
pub fn curves(label: &str, curves: &[Curve]) -> String {
    let (top, bottom, height) = (30.0, 226.0, 256.0);
    let values = curves.iter().flat_map(|curve| &curve.points);
    let values = values.map(|(_, value)| *value);
    let axis = LogAxis::new(values, bottom, top);
    let mut content = String::new();
    for tick in axis.ticks() {
        let y = axis.position(tick);
        append(
            &mut content,
            format_args!(
                "<line class=\"grid\" x1=\"{MARGIN}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                MARGIN - 8.0,
                y + 4.0,
                plain(tick)
            ),
        );
    }
    let x = |percent: f64| MARGIN + (WIDTH - MARGIN - 8.0) * percent / 100.0;
    for (percent, anchor) in [
        (0.0, "start"),
        (25.0, "middle"),
        (50.0, "middle"),
        (75.0, "middle"),
        (100.0, "end"),
    ] {
        append(
            &mut content,
            format_args!(
                "<text class=\"soft\" x=\"{:.1}\" y=\"246\" text-anchor=\"{anchor}\">{percent} %</text>\n",
                x(percent)
            ),
        );
    }
    let mut legend = MARGIN;
    for curve in curves {
        let mut points = String::new();
        for &(share, value) in &curve.points {
            append(
                &mut points,
                format_args!("{:.1},{:.1} ", x(share), axis.position(value)),
            );
        }
        let name = escape(&curve.name);
        append(
            &mut content,
            format_args!(
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{0}\" stroke-width=\"2.5\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"><title>{name}</title></polyline>\
             <circle cx=\"{1:.1}\" cy=\"10\" r=\"5\" fill=\"{0}\"/><text x=\"{2:.1}\" y=\"14\">{name}</text>\n",
                curve.colour,
                legend + 5.0,
                legend + 16.0,
            ),
        );
        legend += 40.0 + 7.0 * length(&curve.name);
    }
    svg(height, label, &content)
}

/// Draws horizontal bars, as long as their values; the label describes the plot to screen readers.
pub fn bars(label: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().filter_map(|bar| bar.value).fold(0.0, f64::max);
    let mut content = String::new();
    for (bar, top) in bars.iter().zip(lines()) {
        let share = match longest > 0.0 {
            true => bar.value.unwrap_or(0.0) / longest,
            false => 0.0,
        };
        let value = bar
            .value
            .map_or("-".to_owned(), |value| format!("{value:.0}"));
        append(
            &mut content,
            format_args!("{}", line(&bar.name, &value, top, (share, bar.colour))),
        );
    }
    svg(height(bars.len()), label, &content)
}

/// Draws bars that show parts of a whole; the label describes the plot to screen readers.
pub fn shares(label: &str, shares: &[Share]) -> String {
    let mut content = String::new();
    for (share, top) in shares.iter().zip(lines()) {
        let ratio = ratio(share.part, share.whole);
        let value = format!("{} of {} ({})", share.part, share.whole, percent(ratio));
        append(
            &mut content,
            format_args!("{}", line(&share.name, &value, top, (ratio, share.colour))),
        );
    }
    svg(height(shares.len()), label, &content)
}

/// Draws one bar with its name and value above it.
fn line(name: &str, value: &str, top: f64, (share, colour): (f64, &str)) -> String {
    format!(
        "<text x=\"0\" y=\"{0:.1}\">{1}</text><text x=\"{WIDTH}\" y=\"{0:.1}\" text-anchor=\"end\">{2}</text>\
         <rect class=\"track\" x=\"0\" y=\"{3:.1}\" width=\"{WIDTH}\" height=\"8\" rx=\"4\"/>\
         <rect x=\"0\" y=\"{3:.1}\" width=\"{4:.1}\" height=\"8\" rx=\"4\" fill=\"{colour}\"/>\n",
        top + 13.0,
        escape(name),
        escape(value),
        top + 20.0,
        WIDTH * share.clamp(0.0, 1.0)
    )
}

fn lines() -> impl Iterator<Item = f64> {
    (0_u16..).map(|line| f64::from(line) * LINE)
}

fn height(n_lines: usize) -> f64 {
    LINE * f64::from(u16::try_from(n_lines).unwrap_or(u16::MAX))
}

/// Returns a part as a share of the whole.
#[expect(clippy::cast_precision_loss, reason = "a length on a page")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a length on a page")]
fn length(text: &str) -> f64 {
    text.chars().count() as f64
}

/// Formats a tick of an axis.
pub(crate) fn plain(tick: f64) -> String {
    match tick {
        tick if (1e-3..1e5).contains(&tick) => {
            let digits = usize::from(tick < 1.0) * 3;
            let text = format!("{tick:.digits$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        tick => format!("{tick:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_a_few_round_numbers_whatever_is_shown() {
        let ranges = [
            (0.04, 0.06),
            (0.04, 9.0),
            (1e-9, 1e3),
            (5.0, 5.0),
            (0.0, 0.0),
        ];
        for (low, high) in ranges {
            let axis = LogAxis::new([low, high].into_iter(), 0.0, 100.0);
            let ticks = axis.ticks();
            assert!((1..=7).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            for tick in ticks {
                assert!((0.0..=100.0).contains(&axis.position(tick)), "{tick}");
            }
        }
    }

    #[test]
    fn positions_grow_with_the_numbers() {
        let axis = LogAxis::new([1.0, 100.0].into_iter(), 0.0, 100.0);
        assert!((axis.position(10.0) - 50.0).abs() < 0.5);
        assert_eq!((axis.position(0.0), axis.position(1e9)), (0.0, 100.0));
    }

    #[test]
    fn ticks_are_written_in_short() {
        let shown = [0.05, 1.0, 200.0, 1e-7].map(plain);
        assert_eq!(shown, ["0.05", "1", "200", "1e-7"]);
    }
}
