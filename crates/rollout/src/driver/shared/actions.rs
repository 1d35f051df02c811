//! Operator actions at a server that does not decide, and their answers.
//!
//! Rule: the action goes to the deciding server through the store, and its answer comes back under
//! the id of the request. Recovery: an action that no server takes in time is taken back, so that it
//! has no effect later; one that was taken but not answered may have had its effect.

use std::sync::Arc;
use std::time::Duration;

use contract::{
    ActionKind, ActionRequest, BoxFuture, Code, Error, OperatorAction, RawJson, Result,
    SharedRollouts,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::{Sharing, random_name, unreadable};

/// Time after which an action is taken back: another server takes over a rollout sooner.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two looks for an answer.
const POLL: Duration = Duration::from_millis(100);

/// An action in the store.
#[derive(Debug, Serialize, Deserialize)]
struct ActionDocument {
    kind: String,
    actor: String,
    reason: String,
    generation: Option<u64>,
}

/// An answer in the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerDocument {
    Status(Box<RawValue>),
    Error { code: String, message: String },
}

/// Asks the deciding server for an action; returns its answer.
///
/// # Errors
/// Those of the action, or `unavailable` when no server answers in time.
pub(super) async fn request(
    sharing: &Sharing,
    id: &str,
    action: &OperatorAction,
) -> Result<RawJson> {
    let request = ActionRequest {
        id: random_name(),
        action: action_text(action)?,
    };
    let store = &sharing.store;
    store.request_action(id, &request).await?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        sleep(POLL).await;
        if let Some(answer) = store.take_answer(&request.id).await? {
            return read_answer(&answer);
        }
    }
    let message = match store.withdraw_action(id, &request).await? {
        true => format!("no server decides about rollout `{id}` now; try again"),
        false => format!("no answer about rollout `{id}`; its status shows whether it changed"),
    };
    Err(Error::new(Code::Unavailable, message))
}

fn action_text(action: &OperatorAction) -> Result<String> {
    let document = ActionDocument {
        kind: action.kind.as_str().to_owned(),
        actor: action.actor.clone(),
        reason: action.reason.clone(),
        generation: action.generation,
    };
    serde_json::to_string(&document)
        .map_err(|error| Error::internal(format!("failed to serialize action: {error}")))
}

/// Parses an action.
///
/// # Errors
/// `internal` when this version does not know it.
pub(super) fn read_action(text: &str) -> Result<OperatorAction> {
    let document: ActionDocument =
        serde_json::from_str(text).map_err(|error| unreadable("an operator action", &error))?;
    let kind = ActionKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == document.kind);
    Ok(OperatorAction {
        kind: kind.ok_or_else(|| Error::internal(format!("unknown action `{}`", document.kind)))?,
        actor: document.actor,
        reason: document.reason,
        generation: document.generation,
    })
}

/// Answers a request when its action was applied, without waiting for it.
pub(super) fn answer(
    store: &Arc<dyn SharedRollouts>,
    request: String,
    answer: BoxFuture<'static, Result<RawJson>>,
) {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let answered = match answer_text(answer.await) {
            Ok(text) => store.answer_action(&request, &text).await,
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            let diagnostic = error.diagnostic();
            tracing::warn!(%error, diagnostic, "failed to answer operator action");
        }
    });
}

/// Returns an answer as text.
fn answer_text(answer: Result<RawJson>) -> Result<String> {
    let document = match answer {
        Ok(status) => RawValue::from_string(status.as_str().to_owned()).map(AnswerDocument::Status),
        Err(error) => Ok(AnswerDocument::Error {
            code: error.code().as_str().to_owned(),
            message: error.message().to_owned(),
        }),
    };
    let text = document.and_then(|document| serde_json::to_string(&document));
    text.map_err(|error| Error::internal(format!("failed to serialize answer: {error}")))
}

fn read_answer(text: &str) -> Result<RawJson> {
    let document = serde_json::from_str(text).map_err(|error| unreadable("an answer", &error))?;
    match document {
        AnswerDocument::Status(status) => Ok(RawJson::new(status.get())),
        AnswerDocument::Error { code, message } => {
            let known = Code::ALL.into_iter().find(|known| known.as_str() == code);
            Err(Error::new(known.unwrap_or(Code::Internal), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_arrives_as_it_was_sent() {
        let action = OperatorAction {
            kind: ActionKind::Hold,
            actor: "ada".to_owned(),
            reason: "a \"break\"\nat noon".to_owned(),
            generation: Some(7),
        };
        assert_eq!(read_action(&action_text(&action).unwrap()).unwrap(), action);
        let later = r#"{"kind":"dance","actor":"a","reason":"","generation":null}"#;
        assert_eq!(read_action(later).unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn an_answer_comes_back_as_it_was_given() {
        let status = RawJson::new(r#"{"b": 1, "a": 2}"#);
        let text = answer_text(Ok(status.clone())).unwrap();
        assert_eq!(read_answer(&text).unwrap(), status);
        let refused = Error::new(Code::Conflict, "a stale generation");
        let answer = read_answer(&answer_text(Err(refused)).unwrap()).unwrap_err();
        assert_eq!(
            (answer.code(), answer.message()),
            (Code::Conflict, "a stale generation")
        );
    }
}
