//! The configuration of a model as Triton's `ModelConfig` message.

use super::generated::inference as wire;
use crate::open_inference::datatype::config_name;
use crate::open_inference::model_config::{
    DynamicBatching, InstanceKind, ModelConfig, TensorConfig,
};

/// Returns the message for `config`.
pub(super) fn model_config(config: ModelConfig) -> wire::ModelConfig {
    let parameter = |(name, value): (&'static str, String)| {
        let value = wire::ModelParameter {
            string_value: value,
        };
        (name.to_owned(), value)
    };
    wire::ModelConfig {
        instance_group: vec![wire::ModelInstanceGroup {
            name: format!("{}_0", config.name),
            count: config.n_instances,
            kind: instance_kind(config.instance_kind).into(),
            ..wire::ModelInstanceGroup::default()
        }],
        name: config.name,
        platform: config.platform,
        backend: config.backend,
        version_policy: Some(latest(config.n_latest_versions)),
        max_batch_size: config.max_batch_size,
        input: config.inputs.into_iter().map(input).collect(),
        output: config.outputs.into_iter().map(output).collect(),
        default_model_filename: config.default_model_filename.to_owned(),
        scheduling_choice: config.dynamic_batching.map(scheduling),
        optimization: Some(optimization()),
        parameters: config.parameters.into_iter().map(parameter).collect(),
        ..wire::ModelConfig::default()
    }
}

fn latest(num_versions: u32) -> wire::ModelVersionPolicy {
    use wire::model_version_policy::{Latest, PolicyChoice};
    wire::ModelVersionPolicy {
        policy_choice: Some(PolicyChoice::Latest(Latest { num_versions })),
    }
}

fn instance_kind(kind: InstanceKind) -> wire::model_instance_group::Kind {
    match kind {
        InstanceKind::Auto => wire::model_instance_group::Kind::Auto,
        InstanceKind::Cpu => wire::model_instance_group::Kind::Cpu,
    }
}

fn data_type(tensor: &TensorConfig) -> i32 {
    wire::DataType::from_str_name(config_name(tensor.data_type))
        .unwrap_or_default()
        .into()
}

fn input(tensor: TensorConfig) -> wire::ModelInput {
    wire::ModelInput {
        data_type: data_type(&tensor),
        name: tensor.name,
        dims: tensor.dims,
        optional: tensor.is_optional,
        ..wire::ModelInput::default()
    }
}

fn output(tensor: TensorConfig) -> wire::ModelOutput {
    wire::ModelOutput {
        data_type: data_type(&tensor),
        name: tensor.name,
        dims: tensor.dims,
        ..wire::ModelOutput::default()
    }
}

fn scheduling(batching: DynamicBatching) -> wire::model_config::SchedulingChoice {
    wire::model_config::SchedulingChoice::DynamicBatching(wire::ModelDynamicBatching {
        preferred_batch_size: vec![batching.preferred_batch_size],
        max_queue_delay_microseconds: batching.max_queue_delay_microseconds,
        ..wire::ModelDynamicBatching::default()
    })
}

fn optimization() -> wire::ModelOptimizationPolicy {
    use wire::model_optimization_policy::PinnedMemoryBuffer;
    wire::ModelOptimizationPolicy {
        input_pinned_memory: Some(PinnedMemoryBuffer { enable: true }),
        output_pinned_memory: Some(PinnedMemoryBuffer { enable: true }),
        ..wire::ModelOptimizationPolicy::default()
    }
}

#[cfg(test)]
mod tests {
    use contract::ElementType;

    use super::*;

    #[test]
    fn every_element_type_has_a_number_in_the_configuration() {
        for element_type in ElementType::ALL {
            let known = wire::DataType::from_str_name(config_name(element_type));
            assert!(known.is_some(), "{element_type}");
        }
    }
}
