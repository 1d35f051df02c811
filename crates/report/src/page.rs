//! The frame of a page: head, style and footer. It follows the light or dark theme of the reader.

use std::fmt;

/// The style, which defines the colours of the plots.
const STYLE: &str = include_str!("page/style.css");

/// The parts of a page. All but the title are HTML.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The title as plain text.
    pub title: &'a str,
    /// The line below the title.
    pub subtitle: &'a str,
    /// The sections.
    pub sections: &'a str,
    /// The small print at the end.
    pub footer: &'a str,
}

impl fmt::Display for Page<'_> {
    /// Writes the HTML document.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = escape(self.title);
        let Self {
            subtitle,
            sections,
            footer,
            ..
        } = self;
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n<p class=\"soft\">{subtitle}</p>\n{sections}\
             <footer>{footer}</footer>\n</main>\n</body>\n</html>\n"
        )
    }
}

/// Escapes text for HTML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Returns the colour of a series by its position.
pub fn colour(index: usize) -> &'static str {
    const COLOURS: [&str; 8] = [
        "var(--a)", "var(--b)", "var(--c)", "var(--d)", "var(--e)", "var(--f)", "var(--g)",
        "var(--h)",
    ];
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("var(--a)")
}

/// Appends formatted text.
pub fn append(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.push_str(&fmt::format(arguments));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_is_escaped_and_the_sections_are_not() {
        let page = Page {
            title: "a < b",
            subtitle: "<b>c</b>",
            sections: "<h2>d</h2>\n",
            footer: "e",
        };
        let page = page.to_string();
        assert_eq!(page.matches("a &lt; b").count(), 2);
        assert!(page.contains("<p class=\"soft\"><b>c</b></p>\n<h2>d</h2>\n<footer>e</footer>"));
    }
}
