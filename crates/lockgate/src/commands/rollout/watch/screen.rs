//! Display of `watch`: permanent lines, and on a terminal a table below them that is redrawn.
//!
//! Decision: `indicatif` draws the table as the message of a progress bar without a bar, because it
//! can erase and redraw text below lines that scroll.

use std::io::{IsTerminal, stdout};

use anyhow::Result;
use api::rollout::{RolloutReport, Status, Transition};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::rollout::show;
use crate::output;

/// The output of `watch`.
pub(super) struct Screen {
    /// The table; `None` unless the output is a terminal.
    table: Option<ProgressBar>,
    status: Option<Status>,
    evidence: Option<RolloutReport>,
    note: String,
}

impl Screen {
    /// Creates a screen; with JSON there is no table.
    pub(super) fn new(is_json: bool) -> Self {
        let is_live = stdout().is_terminal() && !is_json;
        Self {
            table: is_live.then(table),
            status: None,
            evidence: None,
            note: String::new(),
        }
    }

    /// Prints a transition as a permanent line.
    pub(super) fn print_transition(&self, transition: &Transition) -> Result<()> {
        let line = show::transition(transition);
        match &self.table {
            Some(table) => table.println(&line),
            None => output::line(&line)?,
        }
        Ok(())
    }

    /// Shows a note about the connection until the next status, on a terminal only.
    pub(super) fn set_note(&mut self, note: &str) {
        note.clone_into(&mut self.note);
        self.draw();
    }

    /// Shows the current status.
    pub(super) fn show_status(&mut self, status: Status) {
        self.status = Some(status);
        self.note.clear();
        self.draw();
    }

    /// Stores the current evidence, which is drawn with the next status.
    pub(super) fn show_evidence(&mut self, evidence: RolloutReport) {
        self.evidence = Some(evidence);
    }

    /// Leaves the last table on the screen.
    pub(super) fn finish(&self) {
        if let Some(table) = &self.table {
            table.abandon();
        }
    }

    fn draw(&self) {
        let Some(table) = &self.table else {
            return;
        };
        let mut parts: Vec<_> = self.status.iter().map(show::status).collect();
        parts.extend(self.evidence.as_ref().map(show::evidence));
        if !self.note.is_empty() {
            parts.push(format!("note: {}", self.note));
        }
        table.set_message(parts.join("\n"));
        table.tick();
    }
}

fn table() -> ProgressBar {
    let table = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    match ProgressStyle::with_template("{msg}") {
        Ok(style) => table.with_style(style),
        // The template is a constant and valid; the fallback shows a bar above the text.
        Err(_) => table,
    }
}
