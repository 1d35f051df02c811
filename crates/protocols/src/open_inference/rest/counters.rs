//! Statistics in JSON.

use contract::{BatchStatistics, CountAndTime, VersionStatistics};
use serde_json::{Value, json};

use crate::open_inference::statistics::{batch_size, epoch_milliseconds, nanoseconds};

/// Returns the statistics in the format of Triton.
pub(super) fn statistics_json(list: &[VersionStatistics]) -> Value {
    let versions: Vec<_> = list.iter().map(version).collect();
    json!({"model_stats": versions})
}

fn version(statistics: &VersionStatistics) -> Value {
    let never = count_and_time(CountAndTime::default());
    let batches: Vec<_> = statistics.batches.iter().map(batch).collect();
    json!({
        "name": statistics.model.as_str(),
        "version": statistics.version.as_str(),
        "last_inference": epoch_milliseconds(statistics.last_inference),
        "inference_count": statistics.n_rows,
        "execution_count": statistics.n_executions,
        "inference_stats": {
            "success": count_and_time(statistics.success),
            "fail": count_and_time(statistics.fail),
            "queue": count_and_time(statistics.queue),
            "compute_input": count_and_time(statistics.compute_input),
            "compute_infer": count_and_time(statistics.compute),
            "compute_output": count_and_time(statistics.compute_output),
            "cache_hit": never,
            "cache_miss": never,
        },
        "response_stats": {},
        "batch_stats": batches,
        "memory_usage": [],
    })
}

fn batch(batch: &BatchStatistics) -> Value {
    json!({
        "batch_size": batch_size(batch.batch_rows),
        "compute_input": count_and_time(batch.compute_input),
        "compute_infer": count_and_time(batch.compute),
        "compute_output": count_and_time(batch.compute_output),
    })
}

fn count_and_time(value: CountAndTime) -> Value {
    json!({"count": value.count, "ns": nanoseconds(value.total)})
}
