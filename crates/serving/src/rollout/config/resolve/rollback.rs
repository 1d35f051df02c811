//! What happens after a rollback: how long the candidate stays loaded, and who is told.
//!
//! Decision: an address is only looked at when the rollout starts, like that of a gate, because the
//! server that will post there knows which ones it can reach.

use std::time::Duration;

use super::{duration, error};
use crate::rollout::config::ConfigError;
use crate::rollout::config::file::{NotifyFile, OnRollbackFile};
use crate::rollout::config::rollback::{Notify, OnRollback};

/// All of them are called at once, and nobody has more places to look at.
const MAX_NOTIFIED: usize = 16;

/// Decides what `file` leaves open.
pub(super) fn resolve(file: OnRollbackFile) -> Result<OnRollback, ConfigError> {
    let key = "rollout.on_rollback.keep_candidate_warm";
    let default = Duration::from_secs(10 * 60);
    Ok(OnRollback {
        keep_candidate_warm: duration(key, file.keep_candidate_warm, default)?,
        notify: all(file.notify.unwrap_or_default())?,
    })
}

fn all(files: Vec<NotifyFile>) -> Result<Vec<Notify>, ConfigError> {
    let key = "rollout.on_rollback.notify";
    if files.len() > MAX_NOTIFIED {
        let n = files.len();
        return Err(error(
            key,
            format!("expected at most {MAX_NOTIFIED}, got {n}"),
        ));
    }
    let files = files.into_iter().enumerate();
    let notified = files.map(|(place, file)| one(&format!("{key}[{place}]"), file));
    notified.collect()
}

fn one(key: &str, file: NotifyFile) -> Result<Notify, ConfigError> {
    let named = match file {
        NotifyFile::Address(address) => return Ok(Notify::Webhook(address)),
        NotifyFile::Named(named) => named,
    };
    match (named.alertmanager, named.webhook) {
        (Some(address), None) => Ok(Notify::Alertmanager(address)),
        (None, Some(address)) => Ok(Notify::Webhook(address)),
        (None, None) | (Some(_), Some(_)) => {
            let message = "expected either `alertmanager: ADDRESS` or `webhook: ADDRESS`";
            Err(error(key, message))
        }
    }
}
