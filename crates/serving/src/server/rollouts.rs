//! Implementation of `Rollouts` for the server.

use contract::{
    BoxFuture, Error, OperatorAction, RawJson, Result, RolloutWatch, Rollouts, SimulationInput,
};
use rollout::config::RolloutConfig;
use rollout::simulate;

use super::Server;

impl Rollouts for Server {
    fn start<'a>(&'a self, file: &'a str, actor: &'a str) -> BoxFuture<'a, Result<RawJson>> {
        Box::pin(self.rollouts.start(file, actor))
    }

    fn list(&self) -> RawJson {
        self.rollouts.list()
    }

    fn status(&self, id: &str) -> Result<RawJson> {
        self.rollouts.status(id)
    }

    fn evidence(&self, id: &str) -> Result<RawJson> {
        self.rollouts.evidence(id)
    }

    fn verdict(&self, id: &str) -> Result<RawJson> {
        self.rollouts.verdict(id)
    }

    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<RawJson>> {
        Box::pin(self.rollouts.transitions(id, limit))
    }

    fn apply_action<'a>(
        &'a self,
        id: &'a str,
        action: OperatorAction,
    ) -> BoxFuture<'a, Result<RawJson>> {
        Box::pin(self.rollouts.apply_action(id, action))
    }

    fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>> {
        self.rollouts.watch(id)
    }

    fn assign(&self, id: &str, unit: &str) -> Result<RawJson> {
        self.rollouts.assign(id, unit)
    }

    fn simulate(
        &self,
        file: &str,
        input: &SimulationInput,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<RawJson> {
        let config = RolloutConfig::parse(file);
        let config = config.map_err(|error| Error::invalid(error.to_string()))?;
        let summary = simulate::request::run_all(&config, input, is_cancelled)?;
        let text = serde_json::to_string(&summary);
        let text =
            text.map_err(|error| Error::internal(format!("failed to serialize summary: {error}")))?;
        Ok(RawJson::new(&text))
    }
}
