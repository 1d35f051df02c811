//! Tables for a terminal.

use comfy_table::{ContentArrangement, Table, presets};

/// Creates a table with a header and a frame.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}
