//! `GET /api/rollouts/{rollout}/events`: the events of a rollout, as server-sent events.
//!
//! Rule: the stream ends when the rollout has ended, when the caller goes, and when the server
//! drains. It begins with the next event: earlier ones are in the transitions.

use std::sync::Arc;

use bytes::Bytes;
use contract::{RawJson, Result, RolloutEvent, RolloutWatch};
use futures_util::stream::{BoxStream, StreamExt, unfold};

use super::{id, rollouts};
use crate::context::Context;
use crate::rest::{Call, Reply};

/// Handles `GET .../events`.
pub(super) async fn follow(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let watch = rollouts(&ctx)?.watch(&id(&call)?)?;
    Ok(Reply::events(events(watch)))
}

fn events(watch: Box<dyn RolloutWatch>) -> BoxStream<'static, Bytes> {
    unfold(watch, |mut watch| async move {
        let rollout_event = watch.next().await?;
        Some((encode(&rollout_event), watch))
    })
    .boxed()
}

fn encode(rollout_event: &RolloutEvent) -> Bytes {
    let (name, document) = match rollout_event {
        RolloutEvent::Transition(document) => ("transition", document),
        RolloutEvent::Evidence(document) => ("evidence", document),
    };
    event(name, document).into()
}

/// Encodes one event; a line break in the data begins another line of data.
fn event(name: &str, document: &RawJson) -> String {
    let mut event = format!("event: {name}\n");
    for line in document.as_str().lines() {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_document_is_a_line_of_data() {
        let document = RawJson::new("{\n\"a\": 1\r\n}");
        let expected = "event: evidence\ndata: {\ndata: \"a\": 1\ndata: }\n\n";
        assert_eq!(event("evidence", &document), expected);
    }
}
