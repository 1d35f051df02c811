//! The statistics of a version as the `ModelStatistics` message.

use contract::{BatchStatistics, CountAndTime, VersionStatistics};

use super::generated::inference as wire;
use crate::open_inference::statistics::{batch_size, epoch_milliseconds, nanoseconds};

/// Returns the message for one version.
pub(super) fn model_statistics(statistics: &VersionStatistics) -> wire::ModelStatistics {
    wire::ModelStatistics {
        name: statistics.model.to_string(),
        version: statistics.version.to_string(),
        last_inference: epoch_milliseconds(statistics.last_inference),
        inference_count: statistics.n_rows,
        execution_count: statistics.n_executions,
        inference_stats: Some(wire::InferStatistics {
            success: Some(duration(statistics.success)),
            fail: Some(duration(statistics.fail)),
            queue: Some(duration(statistics.queue)),
            compute_input: Some(duration(statistics.compute_input)),
            compute_infer: Some(duration(statistics.compute)),
            compute_output: Some(duration(statistics.compute_output)),
            // There is no cache, so nothing was found or missed in it.
            cache_hit: Some(wire::StatisticDuration::default()),
            cache_miss: Some(wire::StatisticDuration::default()),
        }),
        batch_stats: statistics.batches.iter().map(batch).collect(),
        ..wire::ModelStatistics::default()
    }
}

fn batch(batch: &BatchStatistics) -> wire::InferBatchStatistics {
    wire::InferBatchStatistics {
        batch_size: batch_size(batch.batch_rows),
        compute_input: Some(duration(batch.compute_input)),
        compute_infer: Some(duration(batch.compute)),
        compute_output: Some(duration(batch.compute_output)),
    }
}

fn duration(sum: CountAndTime) -> wire::StatisticDuration {
    wire::StatisticDuration {
        count: sum.count,
        ns: nanoseconds(sum.total),
    }
}
