//! Implementation of `Lifecycle` for the server.

use contract::{BoxFuture, Lifecycle, ModelName, Result};
use tokio::sync::oneshot;

use super::{Server, controller_is_gone};
use crate::control::controller::Command;

impl Lifecycle for Server {
    fn load<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let model = name.clone();
            self.send(Command::Load { model, done }).await?;
            answer.await.map_err(|_| controller_is_gone())?
        })
    }

    fn unload<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let model = name.clone();
            self.send(Command::Unload { model, done }).await?;
            answer.await.map_err(|_| controller_is_gone())?
        })
    }
}
