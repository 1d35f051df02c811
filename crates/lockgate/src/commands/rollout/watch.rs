//! `lockgate rollout watch`: prints the transitions and the evidence of a rollout until it has
//! ended.
//!
//! Rule: the subscription to events precedes the reading of past transitions, so that none is
//! missed, and each transition is printed once, by its generation. After a broken connection it
//! reconnects, after a wait that doubles up to [`MAX_WAIT`] until an event arrives.

mod screen;

use std::time::Duration;

use anyhow::Result;
use api::rollout::{Status, Transition};
use client::{Client, Event, runtime};
use serde_json::{Value, json};
use tokio::time::sleep;

use self::screen::Screen;
use super::path;
use crate::commands::reply::read;
use crate::output;

/// The wait before the first attempt to reconnect.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait between two attempts: the delay after a server is reachable again.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// The transitions that are read after connecting; few rollouts have more.
const MAX_TRANSITIONS: usize = 100;

/// Watches a rollout until it has ended.
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

/// State of watching a rollout.
struct RolloutWatcher<'a> {
    client: &'a Client,
    rollout: &'a str,
    screen: Screen,
    is_json: bool,
    /// The generation of the last transition that was printed.
    last_generation: Option<u64>,
    wait: Duration,
}

impl RolloutWatcher<'_> {
    async fn follow(&mut self) -> Result<()> {
        // A wrong address or name is reported at once, not retried.
        self.show_status().await?;
        loop {
            match self.follow_once().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_retryable(&error) => {
                    self.screen.set_note(&format!("reconnecting: {error:#}"));
                }
                Err(error) => return Err(error),
            }
            sleep(self.wait).await;
            self.wait = (self.wait * 2).min(MAX_WAIT);
        }
    }

    /// Follows the events of one connection; returns whether the rollout has ended.
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
        // The server may have ended the stream because it shuts down, or the last transition has
        // not been printed yet.
        self.print_new_transitions().await?;
        self.show_status().await
    }

    fn handle_event(&mut self, event: &Event) -> Result<()> {
        match event.name.as_str() {
            "transition" => self.print_transition(&event.data)?,
            "evidence" if self.is_json => print_json("evidence", &event.data)?,
            "evidence" => self.screen.show_evidence(read(&event.data)?),
            // A newer server may send other events.
            _ => {}
        }
        Ok(())
    }

    /// Prints the transitions that were not printed yet, the oldest first.
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
        let made: Transition = read(transition)?;
        let generation = Some(made.generation);
        if generation <= self.last_generation {
            return Ok(());
        }
        self.last_generation = generation;
        match self.is_json {
            true => print_json("transition", transition),
            false => self.screen.print_transition(&made),
        }
    }

    /// Shows the status; returns whether the rollout has ended.
    async fn show_status(&mut self) -> Result<bool> {
        let status: Status = read(&self.client.get(&path(self.rollout, "")).await?)?;
        let has_ended = status.state.is_final();
        self.screen.show_status(status);
        Ok(has_ended)
    }
}

fn print_json(event: &str, data: &Value) -> Result<()> {
    output::line(json!({"event": event, "data": data}))?;
    Ok(())
}

/// Returns whether the same call may succeed later.
fn is_retryable(error: &anyhow::Error) -> bool {
    let client_error = error.downcast_ref::<client::Error>();
    client_error.is_some_and(client::Error::is_retryable)
}
