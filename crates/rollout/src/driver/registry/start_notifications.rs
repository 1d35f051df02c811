//! Notifications about the start of a rollout.

use contract::Result;

use super::super::notifications::{Notification, Occasion};
use super::Registry;
use crate::state::Rollout;
use crate::timestamp::Timestamp;

impl Registry {
    /// Creates the notifications about a start, and those that resolve the alert which the last
    /// rollout of the model has left.
    pub(super) fn notifications_of_start(
        &self,
        rollout: &Rollout,
        actor: &str,
        now: Timestamp,
    ) -> Result<Vec<Notification>> {
        let handles = self.handles.load();
        let model = &rollout.config().model;
        let of_model = handles.values().filter(|handle| handle.model == *model);
        let snapshots = of_model.map(|handle| handle.snapshot());
        let last = snapshots.max_by_key(|snapshot| snapshot.since);
        let alerts = last.iter().flat_map(|last| &last.open_alerts);
        let resolved = alerts.map(|alert| alert.resolution(now));
        let mut notifications = resolved.collect::<Result<Vec<_>>>()?;
        let public_url = self.dependencies.public_url.as_deref();
        let started = Occasion::started(rollout, actor, public_url);
        notifications.extend(started.notifications()?);
        Ok(notifications)
    }
}
