//! Actions after a rollback: how long the candidate stays loaded, and the notifications.
//!
//! Decision: an address is only checked when the rollout starts, like that of a gate, because the
//! server that will post there knows which ones it can reach.

use std::time::Duration;

use super::{duration, error};
use crate::config::ConfigError;
use crate::config::file::{NotificationTargetFile, OnRollbackFile};
use crate::config::rollback::{NotificationTarget, OnRollback};

/// Maximum number of notifications: all are sent at once, and more are of no use.
const MAX_NOTIFIED: usize = 16;

/// Resolves `file`: checks it and fills in the defaults.
pub(super) fn resolve(file: OnRollbackFile) -> Result<OnRollback, ConfigError> {
    let key = "rollout.on_rollback.keep_candidate_warm";
    let default = Duration::from_secs(10 * 60);
    Ok(OnRollback {
        keep_candidate_warm: duration(key, file.keep_candidate_warm, default)?,
        notify: targets(file.notify.unwrap_or_default())?,
    })
}

fn targets(files: Vec<NotificationTargetFile>) -> Result<Vec<NotificationTarget>, ConfigError> {
    let key = "rollout.on_rollback.notify";
    if files.len() > MAX_NOTIFIED {
        let n = files.len();
        return Err(error(
            key,
            format!("expected at most {MAX_NOTIFIED} addresses, got {n}"),
        ));
    }
    let files = files.into_iter().enumerate();
    let notified = files.map(|(index, file)| target(&format!("{key}[{index}]"), file));
    notified.collect()
}

fn target(key: &str, file: NotificationTargetFile) -> Result<NotificationTarget, ConfigError> {
    let named = match file {
        NotificationTargetFile::Address(address) => {
            return Ok(NotificationTarget::Webhook(address));
        }
        NotificationTargetFile::Named(named) => named,
    };
    match (named.alertmanager, named.webhook) {
        (Some(address), None) => Ok(NotificationTarget::Alertmanager(address)),
        (None, Some(address)) => Ok(NotificationTarget::Webhook(address)),
        (None, None) | (Some(_), Some(_)) => {
            let message = "expected either `alertmanager: ADDRESS` or `webhook: ADDRESS`";
            Err(error(key, message))
        }
    }
}
