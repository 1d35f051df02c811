//! `lockgate rollout watch`: what happens to a rollout, until it has ended.
//!
//! Rule: the events are followed before the moves are read, so that none falls between, and each
//! move is told once, by its generation. A connection that breaks is made again, after a wait that
//! doubles up to [`MAX_WAIT`] until something comes.

mod screen;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::sleep;

use self::screen::Screen;
use super::{is_end, path};
use crate::client::{Client, Event, is_retryable, runtime};
use crate::output;

/// Before the first try to connect again.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A server is back within this time after it is reachable.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// Moves that are read when the connection is made; few rollouts make more.
const MAX_TRANSITIONS: usize = 100;

/// Follows a rollout.
///
/// # Errors
/// When the server does not know it, or does not answer at the beginning.
pub(super) fn run(client: &Client, rollout: &str, is_json: bool) -> Result<()> {
    let mut watch = RolloutWatcher {
        client,
        rollout,
        screen: Screen::new(is_json),
        is_json,
        last_generation: None,
        wait: FIRST_WAIT,
    };
    let result = runtime()?.block_on(watch.follow());
    watch.screen.finish();
    result
}

/// What is remembered while a rollout is followed.
struct RolloutWatcher<'a> {
    client: &'a Client,
    rollout: &'a str,
    screen: Screen,
    is_json: bool,
    /// The move that was told last.
    last_generation: Option<u64>,
    wait: Duration,
}

impl RolloutWatcher<'_> {
    async fn follow(&mut self) -> Result<()> {
        // A mistake in the address is told, and not tried again.
        self.show_status().await?;
        loop {
            match self.follow_once().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_retryable(&error) => {
                    self.screen
                        .set_note(&format!("connecting again: {error:#}"));
                }
                Err(error) => return Err(error),
            }
            sleep(self.wait).await;
            self.wait = (self.wait * 2).min(MAX_WAIT);
        }
    }

    /// Follows one connection; tells whether the rollout has ended.
    async fn follow_once(&mut self) -> Result<bool> {
        let mut events = self.client.follow(&path(self.rollout, "/events")).await?;
        self.print_new_transitions().await?;
        if self.show_status().await? {
            return Ok(true);
        }
        while let Some(event) = events.next().await? {
            self.wait = FIRST_WAIT;
            self.handle_event(&event)?;
            if self.show_status().await? {
                break;
            }
        }
        // The server may have ended the stream because it goes down, or the last move is still
        // to be told.
        self.print_new_transitions().await?;
        self.show_status().await
    }

    fn handle_event(&mut self, event: &Event) -> Result<()> {
        match event.name.as_str() {
            "transition" => self.print_transition(&event.data)?,
            "evidence" if self.is_json => print_json("evidence", &event.data)?,
            "evidence" => self.screen.show_evidence(&event.data),
            // A newer server may have more to tell.
            _ => {}
        }
        Ok(())
    }

    /// Tells the moves that were not told yet, the oldest first.
    async fn print_new_transitions(&mut self) -> Result<()> {
        let transitions = path(
            self.rollout,
            &format!("/transitions?limit={MAX_TRANSITIONS}"),
        );
        let transitions = self.client.get(&transitions).await?;
        for transition in transitions.as_array().into_iter().flatten().rev() {
            self.print_transition(transition)?;
        }
        Ok(())
    }

    fn print_transition(&mut self, transition: &Value) -> Result<()> {
        let generation = transition.get("generation").and_then(Value::as_u64);
        if generation.is_some() && generation <= self.last_generation {
            return Ok(());
        }
        self.last_generation = generation.or(self.last_generation);
        match self.is_json {
            true => print_json("transition", transition),
            false => self.screen.print_transition(transition),
        }
    }

    /// Shows where it stands; tells whether it has ended.
    async fn show_status(&mut self) -> Result<bool> {
        let status = self.client.get(&path(self.rollout, "")).await?;
        let state = status.get("state").and_then(Value::as_str);
        let has_ended = state.is_some_and(is_end);
        self.screen.show_status(status);
        Ok(has_ended)
    }
}

fn print_json(event: &str, data: &Value) -> Result<()> {
    output::line(json!({"event": event, "data": data}))?;
    Ok(())
}
