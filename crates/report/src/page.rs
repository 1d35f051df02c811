//! The frame of a page: head, style and footer. It follows the light or dark theme of the reader.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style, which defines the colours of the plots.
const STYLE: &str = include_str!("page/style.css");

/// The parts of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The title.
    pub title: &'a str,
    /// The line below the title.
    pub subtitle: &'a str,
    /// The sections.
    pub sections: &'a Markup,
    /// The small print at the end.
    pub footer: &'a str,
}

impl Page<'_> {
    /// Returns the HTML document.
    #[must_use]
    pub fn into_html(self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body { main {
                    h1 { (self.title) }
                    p.soft { (self.subtitle) }
                    (self.sections)
                    footer { (self.footer) }
                } }
            }
        };
        page.into_string()
    }
}

/// Returns the colour of a series by its position.
pub fn colour(index: usize) -> &'static str {
    const COLOURS: [&str; 10] = [
        "var(--a)", "var(--b)", "var(--c)", "var(--d)", "var(--e)", "var(--f)", "var(--g)",
        "var(--h)", "var(--i)", "var(--j)",
    ];
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("var(--a)")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ten_versions_have_ten_colours_in_light_and_dark() {
        let colours: BTreeSet<_> = (0..10).map(colour).collect();
        assert_eq!(colours.len(), 10);
        for colour in colours {
            let name = colour.trim_start_matches("var(").trim_end_matches(')');
            assert_eq!(STYLE.matches(&format!("{name}: #")).count(), 2, "{name}");
        }
    }

    #[test]
    fn the_title_is_escaped_and_the_sections_are_not() {
        let page = Page {
            title: "a < b",
            subtitle: "c",
            sections: &html! { h2 { "d" } },
            footer: "e",
        };
        let page = page.into_html();
        assert_eq!(page.matches("a &lt; b").count(), 2);
        assert!(page.contains("<p class=\"soft\">c</p><h2>d</h2><footer>e</footer>"));
    }
}
