//! What `watch` shows: lines that stay, and on a terminal a table below them that is drawn again.
//!
//! Decision: `indicatif` draws the table as the message of a bar without a bar, because it knows how
//! to take text back, wherever the lines above have moved it.

use std::io::{IsTerminal, stdout};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::commands::rollout::show;
use crate::output;

/// Where news go.
pub(super) struct Screen {
    /// Only on a terminal.
    table: Option<ProgressBar>,
    status: Value,
    evidence: Value,
    last_transition: String,
    note: String,
}

impl Screen {
    /// A screen; with JSON there is no table.
    pub(super) fn new(is_json: bool) -> Self {
        let is_live = stdout().is_terminal() && !is_json;
        Self {
            table: is_live.then(table),
            status: Value::Null,
            evidence: Value::Null,
            last_transition: String::new(),
            note: String::new(),
        }
    }

    /// A move, as a line that stays.
    pub(super) fn print_transition(&mut self, transition: &Value) -> Result<()> {
        let line = show::transition(transition);
        match &self.table {
            Some(table) => table.println(&line),
            None => output::line(&line)?,
        }
        self.last_transition = line;
        Ok(())
    }

    /// Something about the watching itself; until the next news, on a terminal alone.
    pub(super) fn set_note(&mut self, note: &str) {
        note.clone_into(&mut self.note);
        self.draw();
    }

    /// Where it stands now.
    pub(super) fn show_status(&mut self, status: Value) {
        self.status = status;
        self.note.clear();
        self.draw();
    }

    /// What is known now; drawn with the status that follows.
    pub(super) fn show_evidence(&mut self, evidence: &Value) {
        self.evidence = evidence.clone();
    }

    /// Leaves the last table where it is.
    pub(super) fn finish(&self) {
        if let Some(table) = &self.table {
            table.abandon();
        }
    }

    fn draw(&self) {
        let Some(table) = &self.table else {
            return;
        };
        let mut parts = vec![show::status(&self.status)];
        if !self.evidence.is_null() {
            parts.push(show::evidence(&self.evidence));
        }
        for (name, line) in [
            ("last transition", &self.last_transition),
            ("note", &self.note),
        ] {
            if !line.is_empty() {
                parts.push(format!("{name}: {line}"));
            }
        }
        table.set_message(parts.join("\n"));
        table.tick();
    }
}

fn table() -> ProgressBar {
    let table = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    match ProgressStyle::with_template("{msg}") {
        Ok(style) => table.with_style(style),
        // The template is fixed and right; without it there would be a bar above the text.
        Err(_) => table,
    }
}
