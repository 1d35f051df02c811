//! Options as settings write them: accepted values, and the errors of wrong ones.

use super::*;

fn settings(provider: Option<&str>, options: &[(&str, &str)]) -> Result<Settings> {
    let options: BTreeMap<_, _> = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Settings::new(provider, &options)
}

#[test]
fn nothing_given_means_all_optimisations_without_spinning_on_the_cpu() {
    let settings = settings(None, &[]).unwrap();
    assert_eq!(settings.provider.name(), "cpu");
    assert_eq!(settings.optimization, GraphOptimizationLevel::All);
    assert!(!settings.allow_spinning);
    assert_eq!((settings.arena, settings.memory_pattern), (None, None));
    assert!(settings.has_optional_inputs);
    assert_eq!(settings.entries, []);
}

#[test]
fn mistakes_are_reported_with_the_right_form() {
    let cases = [
        (
            Some("tpu"),
            ("arena", "true"),
            "unknown provider `tpu`; known are `cpu`",
        ),
        (
            None,
            ("arenas", "true"),
            "unknown option `arenas`; with provider `cpu` these are known: `allow_spinning`, \
             `allowed_batch_sizes`, `arena`",
        ),
        (
            None,
            ("arena", "yes"),
            "option `arena`: expected `true`, `false`, got `yes`",
        ),
        (
            None,
            ("graph_optimization", "most"),
            "expected `all`, `layout`, `extended`, `basic`, `off`, got `most`",
        ),
        (None, ("precision", "bf16"), "unknown option `precision`"),
        (
            Some("openvino"),
            ("precision", "f16"),
            "option `precision`: expected `f32`, `bf16`, got `f16`",
        ),
        (
            Some("openvino"),
            ("num_streams", "300"),
            "option `num_streams`: expected a number, got `300`",
        ),
        (
            Some("cuda"),
            ("device_id", "first"),
            "option `device_id`: expected a number, got `first`",
        ),
        (
            Some("openvino"),
            ("cache_dir", "a\0b"),
            "option \"cache_dir\" contains a NUL character",
        ),
    ];
    let mut wrong = Vec::new();
    for (provider, option, expected) in cases {
        let message = settings(provider, &[option])
            .map(|_| ())
            .unwrap_err()
            .to_string();
        if !message.contains(expected) {
            wrong.push((option, message));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn entries_of_the_runtime_pass_as_they_are() {
    let entry = ("session.dynamic_block_base", "4");
    let settings = settings(None, &[entry]).unwrap();
    assert_eq!(settings.entries, [(entry.0.to_owned(), entry.1.to_owned())]);
}

#[test]
fn openvino_gets_a_precision_even_when_none_was_set() {
    let config = |options: &[(&str, &str)]| {
        let Provider::OpenVino(options) = settings(Some("openvino"), options).unwrap().provider
        else {
            panic!("another provider");
        };
        options.load_config()
    };
    assert_eq!(
        config(&[]),
        r#"{"CPU":{"INFERENCE_PRECISION_HINT":"f32","PERFORMANCE_HINT":"LATENCY"}}"#
    );
    assert_eq!(
        config(&[("precision", "bf16"), ("performance_hint", "throughput")]),
        r#"{"CPU":{"INFERENCE_PRECISION_HINT":"bf16","PERFORMANCE_HINT":"THROUGHPUT"}}"#
    );
}

#[test]
fn cuda_plans_convolutions_by_rules_unless_set_otherwise() {
    let search = |options: &[(&str, &str)]| {
        let Provider::Cuda(options) = settings(Some("cuda"), options).unwrap().provider else {
            panic!("another provider");
        };
        (options.conv_algo_search, options.prefer_nhwc, options.tf32)
    };
    assert_eq!(search(&[]), (ConvSearch::Heuristic, false, true));
    let options = [
        ("conv_algo_search", "exhaustive"),
        ("prefer_nhwc", "true"),
        ("tf32", "false"),
    ];
    assert_eq!(search(&options), (ConvSearch::Exhaustive, true, false));
}

#[test]
fn sizes_and_searches_that_do_not_exist_are_refused() {
    let message = |provider, option| settings(provider, &[option]).unwrap_err().to_string();
    let text = message(None, ("allowed_batch_sizes", "8;32"));
    let expected = "expected `auto`, `any` or numbers of rows such as `1, 8, 32`, got `8;32`";
    assert!(text.contains(expected), "{text}");
    let text = message(Some("cuda"), ("conv_algo_search", "default"));
    let expected = "expected `heuristic`, `exhaustive`, got `default`";
    assert!(text.contains(expected), "{text}");
}
