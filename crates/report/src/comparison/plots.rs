//! Plots of one pair of versions: the confusion matrix and the differences of the outputs.

use api::comparison::{Confusion, OutputDifference};

use crate::number::difference;
use crate::page::{append, escape};
use crate::plot::{LogAxis, WIDTH, plain, ratio, svg};

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
        let plot = confusion(&[cell("10"), cell("9"), cell("cat")]);
        let position = |name: &str| plot.find(&format!(">{name}<")).unwrap();
        assert!(position("9") < position("10") && position("10") < position("cat"));
    }
}
