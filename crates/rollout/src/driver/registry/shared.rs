//! Rollouts of a registry that shares them with other servers.

use std::sync::Arc;

use api::rollout::Status;
use contract::{NewRollout, RawJson, Result};

use super::super::Dependencies;
use super::super::documents::document;
use super::super::handles::Handles;
use super::super::record::Record;
use super::super::shared::{AppliedRollout, Exchange};
use super::super::snapshot::{RolloutHandle, RolloutSnapshot};
use super::super::task::Clock;
use super::Registry;
use crate::config::RolloutConfig;
use crate::state::Rollout;
use crate::timestamp::Timestamp;

impl Registry {
    /// Exchanges with the shared store now, so that this server routes like the others. A store that
    /// is away changes nothing.
    pub async fn exchange(&self) {
        if let Some(exchange) = &self.exchange {
            exchange.exchange().await;
        }
    }

    /// Adds the last counts to the shared store, and lets another server decide.
    pub async fn leave(&self) {
        if let Some(exchange) = &self.exchange {
            exchange.leave().await;
        }
    }

    /// Starts a rollout in the shared store, and applies it here; returns its status.
    pub(super) async fn start_shared(
        &self,
        exchange: &Exchange,
        rollout: &Rollout,
        record: &Record,
    ) -> Result<RawJson> {
        let config = rollout.config();
        let record = record.to_text()?;
        let rollout_to_share = NewRollout {
            model: &config.model,
            id: &config.id,
            record: &record,
        };
        exchange.store().create(rollout_to_share).await?;
        exchange.exchange().await;
        Ok(RolloutSnapshot::new(rollout, None)?.status)
    }

    /// Adds to a status since when the shared store is unreachable, if it is.
    pub(super) fn with_shared_state(&self, status: &RawJson) -> RawJson {
        let away_since = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.away_since());
        let Some(away_since) = away_since else {
            return status.clone();
        };
        unreachable_since(status, away_since).unwrap_or_else(|| status.clone())
    }
}

fn unreachable_since(status: &RawJson, away_since: Timestamp) -> Option<RawJson> {
    let status: Status = serde_json::from_str(status.as_str()).ok()?;
    let shared_state = Some(format!("unreachable since {away_since}"));
    let status = Status {
        shared_state,
        ..status
    };
    document(&status).ok()
}

/// Returns rollouts to stable that this server shared before, and shares no longer.
///
/// # Errors
/// When the documents of one of them cannot be built.
pub(super) fn abandon(
    dependencies: &Arc<Dependencies>,
    handles: &Handles,
    applied: Vec<AppliedRollout>,
) -> Result<()> {
    let now = Clock::start().now();
    for applied in applied {
        let rollout = applied.rollout(now)?;
        let config = rollout.config().clone();
        let snapshot = RolloutSnapshot {
            winner: Some(config.stable.clone()),
            ..RolloutSnapshot::new(&rollout, None)?
        };
        let traffic = dependencies.traffic_control.traffic(&config, 0.0, now)?;
        let assigner = traffic.assigner().clone();
        let (handle, _) = RolloutHandle::new(&config, applied.file(), snapshot, assigner);
        handles.insert(&config.id, &handle);
        if applied.weight_in_force().is_some() {
            tokio::spawn(return_to_stable(Arc::clone(dependencies), rollout, applied));
        }
    }
    Ok(())
}

async fn return_to_stable(
    dependencies: Arc<Dependencies>,
    rollout: Rollout,
    applied: AppliedRollout,
) {
    let (id, stable) = (&rollout.config().id, &rollout.config().stable);
    tracing::warn!(rollout = id, %stable, "rollout is no longer shared; returning to stable");
    if let Err(error) = finish(&dependencies, rollout.config(), applied).await {
        let diagnostic = error.diagnostic();
        tracing::error!(rollout = id, %error, diagnostic, "failed to finish rollout");
    }
}

async fn finish(
    dependencies: &Dependencies,
    config: &RolloutConfig,
    applied: AppliedRollout,
) -> Result<()> {
    let stable = config.stable.clone();
    let traffic_control = &dependencies.traffic_control;
    traffic_control.finish(config, stable, None).await?;
    let applied = applied.finished().to_text()?;
    dependencies
        .records
        .persist_applied(&config.id, applied)
        .await
}
