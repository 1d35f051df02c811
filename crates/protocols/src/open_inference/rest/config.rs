//! A model configuration in JSON: the names of the protobuf fields, defaults included.
//!
//! Decision: numbers of 64 bits are JSON numbers, where the usual mapping of protobuf writes
//! strings, because clients of Triton read numbers.

use serde_json::{Map, Value, json};

use crate::open_inference::datatype::config_name;
use crate::open_inference::model_config::{ModelConfig, TensorConfig};

/// Returns the configuration in the format of Triton.
pub(super) fn config_json(config: &ModelConfig) -> Value {
    let inputs: Vec<_> = config.inputs.iter().map(input).collect();
    let outputs: Vec<_> = config.outputs.iter().map(output).collect();
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("name", json!(config.name));
    add("platform", json!(config.platform));
    add("backend", json!(config.backend));
    add("runtime", json!(""));
    let latest = json!({"num_versions": config.n_latest_versions});
    add("version_policy", json!({"latest": latest}));
    add("max_batch_size", json!(config.max_batch_size));
    add("input", json!(inputs));
    add("output", json!(outputs));
    add("batch_input", json!([]));
    add("batch_output", json!([]));
    add("optimization", optimization());
    if let Some(batching) = config.dynamic_batching {
        let batching = json!({
            "preferred_batch_size": [batching.preferred_batch_size],
            "max_queue_delay_microseconds": batching.max_queue_delay_microseconds,
            "preserve_ordering": false,
            "priority_levels": 0,
            "default_priority_level": 0,
            "priority_queue_policy": {},
        });
        add("dynamic_batching", batching);
    }
    add("instance_group", json!([instance_group(config)]));
    add(
        "default_model_filename",
        json!(config.default_model_filename),
    );
    add("cc_model_filenames", json!({}));
    add("metric_tags", json!({}));
    let parameters = config.parameters.iter();
    let parameters: Map<_, _> = parameters
        .map(|(name, value)| ((*name).to_owned(), json!({"string_value": value})))
        .collect();
    add("parameters", Value::Object(parameters));
    add("model_warmup", json!([]));
    Value::Object(fields)
}

fn input(tensor: &TensorConfig) -> Value {
    json!({
        "name": tensor.name,
        "data_type": config_name(tensor.data_type),
        "format": "FORMAT_NONE",
        "dims": tensor.dims,
        "is_shape_tensor": false,
        "allow_ragged_batch": false,
        "optional": tensor.is_optional,
        "is_non_linear_format_io": false,
    })
}

fn output(tensor: &TensorConfig) -> Value {
    json!({
        "name": tensor.name,
        "data_type": config_name(tensor.data_type),
        "dims": tensor.dims,
        "label_filename": "",
        "is_shape_tensor": false,
        "is_non_linear_format_io": false,
    })
}

fn optimization() -> Value {
    json!({
        "priority": "PRIORITY_DEFAULT",
        "input_pinned_memory": {"enable": true},
        "output_pinned_memory": {"enable": true},
        "gather_kernel_buffer_threshold": 0,
        "eager_batching": false,
    })
}

fn instance_group(config: &ModelConfig) -> Value {
    json!({
        "name": format!("{}_0", config.name),
        "kind": config.instance_kind.as_str(),
        "count": config.n_instances,
        "gpus": [],
        "secondary_devices": [],
        "profile": [],
        "passive": false,
        "host_policy": "",
    })
}
