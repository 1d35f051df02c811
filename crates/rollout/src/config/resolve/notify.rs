//! Notifications of a rollout file.
//!
//! Decision: an address is only checked when the rollout starts, like that of a gate, because the
//! server that will post there knows which ones it can reach.

use super::error;
use crate::config::ConfigError;
use crate::config::file::{NotificationTargetFile, OnRollbackFile};
use crate::config::notify::{NotificationEvent, NotificationTarget, Notify};

/// Maximum number of targets of a list; more are of no use.
const MAX_TARGETS: usize = 16;

/// Resolves the targets of `notify`, and those of `on_rollback.notify`, which it takes out.
pub(super) fn resolve(
    files: Option<Vec<NotificationTargetFile>>,
    rollback: &mut OnRollbackFile,
) -> Result<Vec<Notify>, ConfigError> {
    let mut notified = all_events(files)?;
    notified.extend(on_rollback(rollback.notify.take())?);
    Ok(notified)
}

fn all_events(files: Option<Vec<NotificationTargetFile>>) -> Result<Vec<Notify>, ConfigError> {
    let targets = targets("rollout.notify", files)?;
    let notified = targets.into_iter().map(|(key, target, on)| {
        let events = match on {
            None => default_events(&target),
            Some(events) => checked(&format!("{key}.on"), &target, events)?,
        };
        Ok(Notify {
            key,
            target,
            events,
        })
    });
    notified.collect()
}

/// Resolves the targets of `on_rollback.notify`, which get rollbacks and nothing else.
fn on_rollback(files: Option<Vec<NotificationTargetFile>>) -> Result<Vec<Notify>, ConfigError> {
    let targets = targets("rollout.on_rollback.notify", files)?;
    let notified = targets.into_iter().map(|(key, target, on)| match on {
        None => Ok(Notify {
            key,
            target,
            events: vec![NotificationEvent::RolledBack],
        }),
        Some(_) => Err(error(format!("{key}.on"), "is only for `rollout.notify`")),
    });
    notified.collect()
}

fn default_events(target: &NotificationTarget) -> Vec<NotificationEvent> {
    let events = target.possible_events().iter().copied();
    events.filter(|event| event.is_default()).collect()
}

fn checked(
    key: &str,
    target: &NotificationTarget,
    events: Vec<NotificationEvent>,
) -> Result<Vec<NotificationEvent>, ConfigError> {
    let possible = target.possible_events();
    let wrong = events.iter().find(|event| !possible.contains(event));
    if let Some(wrong) = wrong {
        let names: Vec<_> = possible.iter().map(|event| event.as_str()).collect();
        let message = format!(
            "`{}` is no alert; expected some of {}",
            wrong.as_str(),
            names.join(", ")
        );
        return Err(error(key, message));
    }
    match events.is_empty() {
        true => Err(error(key, "is empty; leave out the target instead")),
        false => Ok(events),
    }
}

type Target = (String, NotificationTarget, Option<Vec<NotificationEvent>>);

fn targets(
    key: &str,
    files: Option<Vec<NotificationTargetFile>>,
) -> Result<Vec<Target>, ConfigError> {
    let files = files.unwrap_or_default();
    if files.len() > MAX_TARGETS {
        let n = files.len();
        return Err(error(
            key,
            format!("expected at most {MAX_TARGETS} addresses, got {n}"),
        ));
    }
    let files = files.into_iter().enumerate();
    let targets = files.map(|(index, file)| target(format!("{key}[{index}]"), file));
    targets.collect()
}

fn target(key: String, file: NotificationTargetFile) -> Result<Target, ConfigError> {
    let named = match file {
        NotificationTargetFile::Address(address) => {
            return Ok((key, NotificationTarget::Webhook(address), None));
        }
        NotificationTargetFile::Named(named) => named,
    };
    let targets = [
        named.alertmanager.map(NotificationTarget::Alertmanager),
        named.slack.map(NotificationTarget::Slack),
        named.webhook.map(NotificationTarget::Webhook),
    ];
    let mut targets = targets.into_iter().flatten();
    match (targets.next(), targets.next()) {
        (Some(target), None) => Ok((key, target, named.on)),
        (None, _) | (_, Some(_)) => {
            let message =
                "expected one of `alertmanager: ADDRESS`, `slack: ADDRESS` or `webhook: ADDRESS`";
            Err(error(key, message))
        }
    }
}
