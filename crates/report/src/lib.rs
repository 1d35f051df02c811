//! Reports as self-contained HTML pages with SVG plots.
//!
//! Decision: a page needs no other file, no script and no network, so that it can be attached to a
//! ticket and still opens years later. Each report is a module that fills the frame of
//! [`page`](mod@page) with [`plot`]s; numbers are formatted by [`number`], also for the terminal.

pub mod comparison;
pub mod number;
pub mod page;
pub mod plot;
