//! Plots of one pair of versions: the confusion matrix and the differences of the outputs.

use api::comparison::{Confusion, OutputDifference};
use maud::{Markup, html};

use crate::number::difference;
use crate::plot::{LogAxis, WIDTH, plain, ratio, svg, units};

/// Draws the confusion matrix; a darker cell has more rows.
pub(super) fn confusion(cells: &[Confusion]) -> Markup {
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
    let inner = units(side - 2.0);
    let content = html! {
        @for class in &classes {
            @let middle = position(class) + side / 2.0;
            @let short: String = class.chars().take(6).collect();
            text.soft x=(units(middle)) y="18" text-anchor="middle" { (short) }
            text.soft x=(units(margin - 8.0)) y=(units(middle + 4.0)) text-anchor="end" { (short) }
            @for other in &classes {
                rect.track x=(units(position(other) + 1.0)) y=(units(position(class) + 1.0))
                    width=(inner) height=(inner) rx="3" opacity=".35" {}
            }
        }
        @for cell in cells {
            @let (x, y) = (position(&cell.other), position(&cell.reference));
            @let (colour, opacity) = shade(cell, most);
            g {
                title { (cell.reference) " and " (cell.other) ": " (cell.rows) " rows" }
                rect x=(units(x + 1.0)) y=(units(y + 1.0)) width=(inner) height=(inner) rx="3"
                    fill=(colour) opacity=(format!("{opacity:.2}")) {}
            }
            text x=(units(x + side / 2.0)) y=(units(y + side / 2.0 + 4.0)) text-anchor="middle"
                pointer-events="none" { (cell.rows) }
        }
    };
    svg(margin + n_classes * side + 4.0, "Classes", &content)
}

/// Returns the colour and the opacity of a cell.
fn shade(cell: &Confusion, most: u64) -> (&'static str, f64) {
    // A single row must still be visible next to hundreds.
    let opacity = 0.18 + 0.5 * ratio(cell.rows, most).sqrt();
    match cell.reference == cell.other {
        true => ("var(--good)", opacity),
        false => ("var(--bad)", opacity.max(0.4)),
    }
}

/// Draws the range from the mean difference of each output to its largest one; empty when all are
/// equal.
pub(super) fn differences(outputs: &[OutputDifference]) -> Markup {
    let spans: Vec<_> = outputs
        .iter()
        .filter_map(|output| {
            let (mean, largest) = (output.mean_absolute?, output.largest_absolute?);
            (largest > 0.0).then_some((output, mean, largest))
        })
        .collect();
    if spans.is_empty() {
        return Markup::default();
    }
    let numbers = spans
        .iter()
        .flat_map(|(_, mean, largest)| [*mean, *largest]);
    let axis = LogAxis::new(numbers, 150.0, WIDTH * 2.0 - 40.0);
    let bottom = 12.0 + 28.0 * f64::from(u16::try_from(spans.len()).unwrap_or(u16::MAX));
    let content = html! {
        @for tick in axis.ticks() {
            @let x = units(axis.position(tick));
            line.grid x1=(x) x2=(x) y1="6" y2=(bottom) {}
            text.soft x=(x) y=(units(bottom + 18.0)) text-anchor="middle" { (plain(tick)) }
        }
        @for ((output, mean, largest), line) in spans.into_iter().zip(0_u16..) {
            @let base = 24.0 + 28.0 * f64::from(line);
            @let (from, to) = (units(axis.position(mean)), units(axis.position(largest)));
            @let y = units(base);
            text x="0" y=(units(base + 4.0)) { (output.name) }
            line x1=(from) x2=(to) y1=(y) y2=(y) stroke="var(--a)" stroke-width="3" opacity=".5" {}
            circle cx=(from) cy=(y) r="5" fill="var(--a)" {
                title { "mean " (difference(Some(mean))) }
            }
            circle cx=(to) cy=(y) r="5" fill="var(--b)" {
                title { "largest " (difference(Some(largest))) }
            }
        }
    };
    let (width, height) = (WIDTH * 2.0, bottom + 24.0);
    html! {
        p.soft style="margin-top:14px" {
            span.dot style="background:var(--a)" {} "mean "
            span.dot style="background:var(--b);margin-left:14px" {} "largest"
        }
        div.scroll {
            svg.wide viewBox={ "0 0 " (width) " " (height) } role="img" aria-label="Differences" {
                (content)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stand_in_the_order_of_their_numbers() {
        let cell = |name: &str| Confusion {
            reference: name.to_owned(),
            other: name.to_owned(),
            rows: 1,
        };
        let plot = confusion(&[cell("10"), cell("9"), cell("cat")]).into_string();
        let position = |name: &str| plot.find(&format!(">{name}<")).unwrap();
        assert!(position("9") < position("10") && position("10") < position("cat"));
    }
}
