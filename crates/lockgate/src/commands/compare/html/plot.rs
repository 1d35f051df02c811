//! Plots as inline SVG, in the colours of the style.

use api::comparison::{Confusion, OutputDifference};

use super::{append, escape};
use crate::commands::compare::report::{difference, percent};

/// The width of every plot in its own units; the page scales it.
const WIDTH: f64 = 480.0;

/// The width of the margin for numbers on the left of a plot.
const MARGIN: f64 = 52.0;

/// The height of a line of bars.
const LINE: f64 = 40.0;

/// A curve over percentages.
pub(super) struct Curve {
    pub(super) name: String,
    /// Points of percent and value.
    pub(super) points: Vec<(f64, f64)>,
    pub(super) colour: &'static str,
}

/// One bar; without a value it has no length.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: Option<f64>,
    pub(super) colour: &'static str,
}

/// A part of a whole.
pub(super) struct Share {
    pub(super) name: String,
    pub(super) part: u64,
    pub(super) whole: u64,
    pub(super) colour: &'static str,
}

/// A logarithmic axis between two numbers above 0.
struct LogAxis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl LogAxis {
    /// Creates the axis for these numbers, from `start` to `end` on the page.
    fn new(numbers: impl Iterator<Item = f64> + Clone, start: f64, end: f64) -> Self {
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

    fn position(&self, number: f64) -> f64 {
        let share = (number.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Returns round numbers on the axis: 1, 2 and 5 of each power of ten while there is room.
    fn ticks(&self) -> Vec<f64> {
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

fn svg(height: f64, label: &str, content: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n{content}</svg>\n"
    )
}

/// Draws latencies from the fastest answer to the slowest one.
pub(super) fn curves(curves: &[Curve]) -> String {
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
    svg(height, "Latency", &content)
}

/// Draws horizontal bars, as long as their values.
pub(super) fn bars(bars: &[Bar]) -> String {
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
    svg(height(bars.len()), "Rows per second", &content)
}

/// Draws bars that show parts of a whole.
pub(super) fn shares(shares: &[Share]) -> String {
    let mut content = String::new();
    for (share, top) in shares.iter().zip(lines()) {
        let ratio = ratio(share.part, share.whole);
        let value = format!("{} of {} ({})", share.part, share.whole, percent(ratio));
        append(
            &mut content,
            format_args!("{}", line(&share.name, &value, top, (ratio, share.colour))),
        );
    }
    svg(height(shares.len()), "Agreement", &content)
}

/// Draws the confusion matrix; a darker cell has more rows.
pub(super) fn confusion(cells: &[Confusion]) -> String {
    let mut classes: Vec<&str> = Vec::new();
    let names = cells.iter().flat_map(|cell| [&cell.reference, &cell.other]);
    for name in names {
        if !classes.contains(&name.as_str()) {
            classes.push(name);
        }
    }
    classes.sort_by_key(|name| (name.parse::<i64>().unwrap_or(i64::MAX), *name));
    let n_classes = f64::from(u8::try_from(classes.len().max(1)).unwrap_or(u8::MAX));
    let margin = 30.0;
    let side = ((WIDTH - margin - 4.0) / n_classes).min(40.0);
    let position = |name: &str| {
        let mut positions = (0..=u8::MAX).zip(&classes);
        let found = positions.find(|(_, class)| **class == name);
        margin + f64::from(found.map_or(0, |(position, _)| position)) * side
    };
    let most = cells.iter().map(|cell| cell.rows).max().unwrap_or(1);
    let mut content = String::new();
    for class in &classes {
        let middle = position(class) + side / 2.0;
        let short: String = class.chars().take(6).collect();
        let short = escape(&short);
        append(
            &mut content,
            format_args!(
                "<text class=\"soft\" x=\"{middle:.1}\" y=\"18\" text-anchor=\"middle\">{short}</text>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{short}</text>\n",
                margin - 8.0,
                middle + 4.0
            ),
        );
        for other in &classes {
            append(
                &mut content,
                format_args!(
                    "<rect class=\"track\" x=\"{:.1}\" y=\"{:.1}\" width=\"{2:.1}\" height=\"{2:.1}\" rx=\"3\" opacity=\".35\"/>\n",
                    position(other) + 1.0,
                    position(class) + 1.0,
                    side - 2.0
                ),
            );
        }
    }
    for cell in cells {
        append(
            &mut content,
            format_args!(
                "{}",
                confusion_cell(
                    cell,
                    most,
                    [position(&cell.other), position(&cell.reference)],
                    side
                )
            ),
        );
    }
    svg(margin + n_classes * side + 4.0, "Classes", &content)
}

fn confusion_cell(cell: &Confusion, most: u64, [x, y]: [f64; 2], side: f64) -> String {
    let is_same = cell.reference == cell.other;
    // A single row must still be visible next to hundreds.
    let opacity = 0.18 + 0.5 * ratio(cell.rows, most).sqrt();
    let (colour, opacity) = match is_same {
        true => ("var(--good)", opacity),
        false => ("var(--bad)", opacity.max(0.4)),
    };
    let (reference, other) = (escape(&cell.reference), escape(&cell.other));
    let (n_rows, inner) = (cell.rows, side - 2.0);
    let (left, top) = (x + 1.0, y + 1.0);
    let (middle, base) = (x + side / 2.0, y + side / 2.0 + 4.0);
    format!(
        "<g><title>{reference} and {other}: {n_rows} rows</title><rect x=\"{left:.1}\" \
         y=\"{top:.1}\" width=\"{inner:.1}\" height=\"{inner:.1}\" rx=\"3\" fill=\"{colour}\" \
         opacity=\"{opacity:.2}\"/></g><text x=\"{middle:.1}\" y=\"{base:.1}\" \
         text-anchor=\"middle\" pointer-events=\"none\">{n_rows}</text>\n"
    )
}

/// Draws the range from the mean difference of each output to its largest one; empty when all are
/// equal.
pub(super) fn differences(outputs: &[OutputDifference]) -> String {
    let spans: Vec<_> = outputs
        .iter()
        .filter_map(|output| {
            let (mean, largest) = (output.mean_absolute?, output.largest_absolute?);
            (largest > 0.0).then_some((output, mean, largest))
        })
        .collect();
    if spans.is_empty() {
        return String::new();
    }
    let numbers = spans
        .iter()
        .flat_map(|(_, mean, largest)| [*mean, *largest]);
    let axis = LogAxis::new(numbers, 150.0, WIDTH * 2.0 - 40.0);
    let bottom = 12.0 + 28.0 * f64::from(u16::try_from(spans.len()).unwrap_or(u16::MAX));
    let mut content = String::new();
    for tick in axis.ticks() {
        let x = axis.position(tick);
        append(
            &mut content,
            format_args!(
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"6\" y2=\"{bottom}\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                bottom + 18.0,
                plain(tick)
            ),
        );
    }
    for ((output, mean, largest), line) in spans.into_iter().zip(0_u16..) {
        let y = 24.0 + 28.0 * f64::from(line);
        let (from, to) = (axis.position(mean), axis.position(largest));
        append(
            &mut content,
            format_args!(
                "<text x=\"0\" y=\"{:.1}\">{}</text><line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" \
             stroke=\"var(--a)\" stroke-width=\"3\" opacity=\".5\"/><circle cx=\"{from:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"var(--a)\">\
             <title>mean {}</title></circle><circle cx=\"{to:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"var(--b)\">\
             <title>largest {}</title></circle>\n",
                y + 4.0,
                escape(&output.name),
                difference(Some(mean)),
                difference(Some(largest)),
            ),
        );
    }
    format!(
        "<p class=\"soft\" style=\"margin-top:14px\"><span class=\"dot\" style=\"background:var(--a)\"></span>mean \
         <span class=\"dot\" style=\"background:var(--b);margin-left:14px\"></span>largest</p>\
         <div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Differences\">\n{content}</svg></div>\n",
        WIDTH * 2.0,
        bottom + 24.0
    )
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

#[expect(clippy::cast_precision_loss, reason = "a length on a page")]
fn ratio(part: u64, whole: u64) -> f64 {
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
fn plain(tick: f64) -> String {
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

    #[test]
    fn classes_stand_in_the_order_of_their_numbers() {
        let cell = |name: &str| Confusion {
            reference: name.to_owned(),
            other: name.to_owned(),
            rows: 1,
        };
        let plot = confusion(&[cell("10"), cell("9"), cell("cat")]);
        let position = |name: &str| plot.find(&format!(">{name}<")).unwrap();
        assert!(position("9") < position("10") && position("10") < position("cat"));
    }
}
