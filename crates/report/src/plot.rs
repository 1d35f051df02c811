//! Plots as inline SVG, in the colours of the style.

use maud::{Markup, html};

use crate::number::{percent, rate};

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
pub(crate) fn svg(height: f64, label: &str, content: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(label) { (content) }
    }
}

/// Formats a position or length.
pub(crate) fn units(length: f64) -> String {
    format!("{length:.1}")
}

/// Draws curves over percentages on a logarithmic axis, such as latencies from the fastest answer
/// to the slowest one; the label describes the plot to screen readers. The legend is text above the
/// plot, so that it takes as many lines as its names need.
pub fn curves(label: &str, curves: &[Curve]) -> Markup {
    const MARKS: [(f64, &str); 5] = [
        (0.0, "start"),
        (25.0, "middle"),
        (50.0, "middle"),
        (75.0, "middle"),
        (100.0, "end"),
    ];
    let (top, bottom, height) = (8.0, 204.0, 234.0);
    let values = curves.iter().flat_map(|curve| &curve.points);
    let values = values.map(|(_, value)| *value);
    let axis = LogAxis::new(values, bottom, top);
    let x = |percent: f64| units(MARGIN + (WIDTH - MARGIN - 8.0) * percent / 100.0);
    let content = html! {
        @for tick in axis.ticks() {
            @let y = axis.position(tick);
            line.grid x1=(MARGIN) x2=(WIDTH) y1=(units(y)) y2=(units(y)) {}
            text.soft x=(units(MARGIN - 8.0)) y=(units(y + 4.0)) text-anchor="end" { (plain(tick)) }
        }
        @for (percent, anchor) in MARKS {
            text.soft x=(x(percent)) y="224" text-anchor=(anchor) { (percent) " %" }
        }
        @for curve in curves {
            @let points = curve.points.iter();
            polyline points={
                @for &(share, value) in points { (x(share)) "," (units(axis.position(value))) " " }
            } fill="none" stroke=(curve.colour) stroke-width="2.5" stroke-linejoin="round"
                stroke-linecap="round" { title { (curve.name) } }
        }
    };
    html! {
        div.legend {
            @for curve in curves {
                span { span.dot style={ "background:" (curve.colour) } {} (curve.name) }
            }
        }
        (svg(height, label, &content))
    }
}

/// Draws horizontal bars, as long as their values; the label describes the plot to screen readers.
pub fn bars(label: &str, bars: &[Bar]) -> Markup {
    let longest = bars.iter().filter_map(|bar| bar.value).fold(0.0, f64::max);
    let lines = bars.iter().map(|bar| {
        let share = match longest > 0.0 {
            true => bar.value.unwrap_or(0.0) / longest,
            false => 0.0,
        };
        (&*bar.name, rate(bar.value), share, bar.colour)
    });
    lines_of(label, lines)
}

/// Draws bars that show parts of a whole; the label describes the plot to screen readers.
pub fn shares(label: &str, shares: &[Share]) -> Markup {
    let lines = shares.iter().map(|share| {
        let ratio = ratio(share.part, share.whole);
        let value = format!("{} of {} ({})", share.part, share.whole, percent(ratio));
        (&*share.name, value, ratio, share.colour)
    });
    lines_of(label, lines)
}

/// Draws a bar for each name, value, share of the width and colour, with name and value above it.
fn lines_of<'a>(
    label: &str,
    bars: impl ExactSizeIterator<Item = (&'a str, String, f64, &'static str)>,
) -> Markup {
    let height = LINE * f64::from(u16::try_from(bars.len()).unwrap_or(u16::MAX));
    let content = html! {
        @for ((name, value, share, colour), line) in bars.zip(0_u16..) {
            @let top = f64::from(line) * LINE;
            @let (base, bar) = (units(top + 13.0), units(top + 20.0));
            text x="0" y=(base) { (name) }
            text x=(WIDTH) y=(base) text-anchor="end" { (value) }
            rect.track x="0" y=(bar) width=(WIDTH) height="8" rx="4" {}
            @let width = units(WIDTH * share.clamp(0.0, 1.0));
            rect x="0" y=(bar) width=(width) height="8" rx="4" fill=(colour) {}
        }
    };
    svg(height, label, &content)
}

/// Returns a part as a share of the whole.
#[expect(clippy::cast_precision_loss, reason = "a length on a page")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
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
    fn a_legend_names_every_curve_outside_of_the_plot() {
        let curve = |index: usize| Curve {
            name: format!("version {index}"),
            points: vec![(0.0, 1.0), (100.0, 2.0)],
            colour: "var(--a)",
        };
        let plot = curves("Latency", &(0..10).map(curve).collect::<Vec<_>>()).into_string();
        let (legend, plot) = plot.split_once("<svg").unwrap();
        assert_eq!(legend.matches("version ").count(), 10);
        assert_eq!(plot.matches("<polyline").count(), 10);
    }

    #[test]
    fn ticks_are_written_in_short() {
        let shown = [0.05, 1.0, 200.0, 1e-7].map(plain);
        assert_eq!(shown, ["0.05", "1", "200", "1e-7"]);
    }
}
