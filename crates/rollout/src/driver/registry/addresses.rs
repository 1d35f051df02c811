//! The addresses of a rollout file, which are checked before it starts.

use contract::{Result, Webhooks};

use super::super::notifications;
use crate::config::{GateKind, RolloutConfig};

/// Checks the addresses that gates and guards call, and those of the targets of notifications.
///
/// # Errors
/// `invalid_request` with the key that has a wrong address.
pub(super) fn check(config: &RolloutConfig, webhooks: &dyn Webhooks) -> Result<()> {
    for (key, url) in called(config) {
        let checked = webhooks.check(url);
        checked.map_err(|error| error.in_context(format!("`rollout.{key}.url`")))?;
    }
    for notify in &config.notify {
        let checked = notifications::check(&notify.target, webhooks);
        checked.map_err(|error| error.in_context(format!("`{}`", notify.key)))?;
    }
    Ok(())
}

/// Returns the addresses that gates and guards call, with the keys that have them.
fn called(config: &RolloutConfig) -> impl Iterator<Item = (String, &str)> {
    let gates = config.gates.iter().enumerate();
    let gates = gates.filter_map(|(index, gate)| match &gate.kind {
        GateKind::Manual => None,
        GateKind::Webhook { url, .. } => Some((format!("gates[{index}]"), url.as_str())),
        GateKind::Prometheus(query) => Some((format!("gates[{index}]"), query.url.as_str())),
    });
    let guards = config.guard_queries.iter().enumerate();
    let guards =
        guards.map(|(index, query)| (format!("guards.prometheus[{index}]"), query.url.as_str()));
    gates.chain(guards)
}
