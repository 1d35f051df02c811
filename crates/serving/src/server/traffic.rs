//! Implementation of `Traffic`, `Recorder` and `FeedbackSink` for the server.

use std::time::Duration;

use contract::{
    BoxFuture, Catalog, Change, Feedback, FeedbackSink, HistoryEntry, ModelName, NamedTensor,
    Recorder, Result, Routing, Traffic,
};
use tokio::sync::oneshot;

use super::{Server, controller_is_gone};
use crate::control::controller::{ChangeRequest, Command};

impl Traffic for Server {
    fn change<'a>(
        &'a self,
        name: &'a ModelName,
        change: Change,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<Routing>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let request = ChangeRequest {
                model: name.clone(),
                change,
                actor: actor.to_owned(),
            };
            self.send(Command::Change { request, done }).await?;
            answer.await.map_err(|_| controller_is_gone())?
        })
    }

    fn history<'a>(
        &'a self,
        name: &'a ModelName,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HistoryEntry>>> {
        Box::pin(async move {
            self.model(name)?;
            self.persistence.history(name, limit).await
        })
    }
}

impl Recorder for Server {
    fn record<'a>(
        &'a self,
        name: &'a ModelName,
        n_requests: usize,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<NamedTensor>>>> {
        Box::pin(async move {
            self.model(name)?;
            Ok(self.tap.record(name, n_requests).collect(timeout).await)
        })
    }
}

impl FeedbackSink for Server {
    fn feedback(&self, feedback: &[Feedback]) -> Vec<Result<()>> {
        let snapshot = self.published.load();
        let items = feedback.iter();
        items.map(|item| snapshot.table.attribute(item)).collect()
    }
}
