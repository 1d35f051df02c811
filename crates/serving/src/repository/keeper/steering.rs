//! What rollouts ask of the keeper.

use std::time::Duration;

use contract::{ModelName, Result, Routing, Version};
use tokio::sync::oneshot;

use super::change::VersionLoad;
use super::{Keeper, NEVER, answer};
use crate::repository::ledger::Steering;

/// How a rollout ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// The model.
    pub(crate) model: ModelName,
    /// The rollout, for the history.
    pub(crate) rollout: String,
    /// The version that answers from now on.
    pub(crate) winner: Version,
    /// The version that stays loaded for a while.
    pub(crate) warm: Option<Version>,
}

impl Keeper {
    /// Lets a rollout decide; in force when it returns.
    pub(super) fn steer(&mut self, model: &ModelName, steering: Steering) -> Result<()> {
        self.ledger.steer(model, steering)?;
        self.plan(model, NEVER, false);
        self.publish();
        Ok(())
    }

    /// Loads a version that a rollout needs, as soon as its files can be read.
    pub(super) async fn provide(
        &mut self,
        model: ModelName,
        version: Version,
        actor: String,
        done: oneshot::Sender<Result<Routing>>,
    ) {
        if let Err(error) = self.scan(None).await {
            return answer(done, Err(error));
        }
        self.ledger.forgive(&model, &version);
        self.plan(&model, Duration::ZERO, false);
        self.version_loads
            .push(VersionLoad::new(model, version, actor, done));
    }

    /// Keeps who has won, and lets operators decide again.
    pub(super) async fn settle(&mut self, ending: &Ending) -> Result<()> {
        let Ending {
            model,
            rollout,
            winner,
            warm,
        } = ending;
        let wishes = self.ledger.wishes_after(model, winner)?;
        let what = format!("version {winner} answers after the rollout {rollout}");
        let entry = self.entry(model, rollout, what, Some(winner));
        self.archive.keep(model, &wishes, &entry).await?;
        self.ledger.adopt(model, wishes);
        self.ledger.release(model, warm.clone());
        self.plan(model, NEVER, false);
        self.publish();
        self.defaults = self.ledger.defaults();
        Ok(())
    }
}
