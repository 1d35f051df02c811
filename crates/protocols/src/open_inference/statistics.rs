//! The statistics of the ready versions, and the units in which both transports write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::{ModelName, Result, VersionSelector, VersionStatistics};

use super::metadata::version_info;
use crate::context::Context;

/// Returns the statistics of all models, of one model, or of one version.
///
/// # Errors
/// `model_not_found`, `version_not_found`.
pub(crate) fn statistics(
    ctx: &Context,
    name: Option<&ModelName>,
    version: &VersionSelector,
) -> Result<Vec<VersionStatistics>> {
    let mut list = ctx.catalog.statistics(name)?;
    if let (Some(name), VersionSelector::Named(_)) = (name, version) {
        let info = version_info(ctx, name, version)?;
        list.retain(|statistics| statistics.version == info.version);
    }
    Ok(list)
}

/// Returns milliseconds since the epoch, 0 for never.
pub(crate) fn epoch_milliseconds(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Returns nanoseconds, which suffice for 584 years.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns rows of a batch as an integer of the wire.
pub(crate) fn batch_size(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
