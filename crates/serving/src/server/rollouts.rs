//! Rollouts of the server, for callers.

use contract::{Act, Assumptions, BoxFuture, Document, Error, Result, RolloutWatch, Rollouts};

use super::Server;
use crate::rollout::config::RolloutConfig;
use crate::rollout::simulate;

impl Rollouts for Server {
    fn start<'a>(&'a self, file: &'a str, actor: &'a str) -> BoxFuture<'a, Result<Document>> {
        Box::pin(self.rollouts.start(file, actor))
    }

    fn list(&self) -> Document {
        self.rollouts.list()
    }

    fn status(&self, id: &str) -> Result<Document> {
        self.rollouts.status(id)
    }

    fn evidence(&self, id: &str) -> Result<Document> {
        self.rollouts.evidence(id)
    }

    fn verdict(&self, id: &str) -> Result<Document> {
        self.rollouts.verdict(id)
    }

    fn moves<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<Document>> {
        Box::pin(self.rollouts.moves(id, limit))
    }

    fn act<'a>(&'a self, id: &'a str, act: Act) -> BoxFuture<'a, Result<Document>> {
        Box::pin(self.rollouts.act(id, act))
    }

    fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>> {
        self.rollouts.watch(id)
    }

    fn assign(&self, id: &str, unit: &str) -> Result<Document> {
        self.rollouts.assign(id, unit)
    }

    fn following(&self) -> Result<Document> {
        self.rollouts.following()
    }

    fn follow<'a>(&'a self, told: &'a Document) -> BoxFuture<'a, Result<Vec<(String, Document)>>> {
        Box::pin(self.rollouts.follow(told))
    }

    fn count_replica(&self, id: &str, replica: &str, counts: &Document) -> Result<Document> {
        self.rollouts.count_replica(id, replica, counts)
    }

    fn simulate(&self, file: &str, assumptions: &Assumptions) -> Result<Document> {
        let config = RolloutConfig::parse(file);
        let config = config.map_err(|error| Error::invalid(error.to_string()))?;
        let summary = simulate::request::play(&config, assumptions)?;
        let text = serde_json::to_string(&summary);
        let text = text.map_err(|error| Error::internal(format!("a summary: {error}")))?;
        Ok(Document::new(&text))
    }
}
