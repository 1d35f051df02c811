//! Notices: telling others that a rollout went back.
//!
//! Decision: letters are written when the rollout moves, kept in one write with the move, and posted
//! beside everything else, so that no way back waits for a receiver. What was not taken when the
//! process ends is posted by the next one; a receiver may get the same letter twice, and a kill
//! loses none.

mod letter;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use contract::{Delivery, Document, Error, Event, Gatekeeper, ModelName, Observe, Result};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Tools;
use super::record::Records;
use crate::rollout::config::rollback::Notify;
use crate::rollout::state::{Rollout, Transition};

use letter::{Letter, LetterHead};
use retry::pause;

/// The format that is written.
const FORMAT: u32 = 1;

/// How long one attempt may take; as long as a gate has by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The letters about one rollout that nobody has taken yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notices {
    format: u32,
    letters: Vec<Letter>,
}

impl Notices {
    /// Letters to everybody who is to know that a rollout went back; `public_url` is where others
    /// reach this server.
    ///
    /// # Errors
    /// `internal` when one of them cannot be written.
    pub(super) fn new(
        rollout: &Rollout,
        made: &Transition,
        public_url: Option<&str>,
    ) -> Result<Self> {
        let head = LetterHead {
            rollout,
            made,
            public_url,
        };
        let notified = rollout.config().on_rollback.notify.iter();
        let letters = notified.map(|notify| head.letter_to(notify));
        Ok(Self {
            format: FORMAT,
            letters: letters.collect::<Result<_>>()?,
        })
    }

    /// Whether nobody is left who has to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// It as text.
    ///
    /// # Errors
    /// `internal` when it cannot be written.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal(format!("notices cannot be written: {error}")))
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// `internal` when this version cannot read it.
    pub(super) fn read(text: &str) -> Result<Self> {
        let notices: Self = serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("notices cannot be read: {error}")))?;
        match notices.format {
            FORMAT => Ok(notices),
            format => Err(Error::internal(format!(
                "the stored notices have format {format}, and this version reads {FORMAT}"
            ))),
        }
    }
}

/// Whether somebody could be told.
///
/// # Errors
/// `invalid_request` with what to write instead.
pub(super) fn check(notify: &Notify, gatekeeper: &dyn Gatekeeper) -> Result<()> {
    let address = notify.address();
    if !address.contains("://") {
        return Err(Error::invalid(format!(
            "`{}` is no address; write `{{webhook: \"https://ci.example/hook\"}}` or \
             `{{alertmanager: \"http://alertmanager:9093\"}}`",
            address.escape_debug()
        )));
    }
    gatekeeper.check(&letter::url(notify))
}

/// Posts letters. It holds nothing that keeps a server at work.
#[derive(Clone, Debug)]
pub(super) struct Post {
    records: Records,
    gatekeeper: Arc<dyn Gatekeeper>,
    observe: Arc<dyn Observe>,
}

impl Post {
    /// What posts letters with these tools.
    pub(super) fn new(tools: &Tools) -> Self {
        Self {
            records: tools.records.clone(),
            gatekeeper: Arc::clone(&tools.gatekeeper),
            observe: Arc::clone(&tools.observe),
        }
    }

    /// Posts letters about a rollout until each was taken or given up.
    pub(super) async fn deliver(self, rollout: String, model: ModelName, notices: Notices) {
        let mut open = notices;
        let mut posting = JoinSet::new();
        for letter in &open.letters {
            let gatekeeper = Arc::clone(&self.gatekeeper);
            posting.spawn(post(gatekeeper, rollout.clone(), letter.clone()));
        }
        while let Some(ended) = posting.join_next().await {
            // One that panicked stays open, for the next start.
            let Ok((letter, outcome)) = ended else {
                continue;
            };
            self.observe.observe(&Event::RolloutNotified {
                model: &model,
                outcome: outcome.as_str(),
            });
            open.letters.retain(|other| *other != letter);
            if let Err(error) = self.records.keep_notices(&rollout, &open).await {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout, diagnostic, "who was told of a rollout is not kept");
            }
        }
    }
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Refused,
    GivenUp,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}

/// Posts one letter until that is settled.
async fn post(
    gatekeeper: Arc<dyn Gatekeeper>,
    rollout: String,
    letter: Letter,
) -> (Letter, Outcome) {
    let (began, to) = (Instant::now(), letter.host());
    let message = Document::new(&letter.message);
    for n_attempts in 1.. {
        match gatekeeper.tell(&letter.url, &message, TIMEOUT).await {
            Delivery::Taken => {
                tracing::info!(rollout, to, "told that a rollout went back");
                return (letter, Outcome::Delivered);
            }
            Delivery::Refused(why) => {
                tracing::error!(rollout, to, why, "a notification is refused");
                return (letter, Outcome::Refused);
            }
            Delivery::Failed(why) => match pause(n_attempts, began.elapsed()) {
                Some(pause) => {
                    let seconds = pause.as_secs();
                    tracing::warn!(rollout, to, why, seconds, "a notification is tried again");
                    tokio::time::sleep(pause).await;
                }
                None => {
                    tracing::error!(rollout, to, why, "a notification is given up");
                    return (letter, Outcome::GivenUp);
                }
            },
        }
    }
    unreachable!("the pauses end before the numbers do")
}

#[cfg(test)]
mod tests;
