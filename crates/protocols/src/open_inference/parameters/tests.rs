//! Tests of the parameters that the protocol reserves.

use super::*;

fn parameters<const N: usize>(list: [(&str, Parameter); N]) -> Parameters {
    list.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn text(value: &str) -> Parameter {
    Parameter::Text(value.to_owned())
}

#[test]
fn reserved_parameters_are_taken_and_the_rest_goes_to_the_model() {
    let sorted = RequestParameters::new(parameters([
        ("timeout", Parameter::Int(5000)),
        ("priority", Parameter::Uint(2)),
        ("binary_data_output", Parameter::Bool(true)),
        ("sequence_id", text("s")),
        ("sequence_start", Parameter::Bool(true)),
        ("sequence_end", Parameter::Bool(false)),
        ("temperature", Parameter::Double(0.5)),
    ]));
    let expected = RequestParameters {
        timeout: Some(Duration::from_micros(5000)),
        priority: 2,
        binary_data_output: Some(true),
        others: parameters([("temperature", Parameter::Double(0.5))]),
    };
    assert_eq!(sorted.unwrap(), expected);
}

#[test]
fn reserved_parameters_of_the_wrong_type_are_refused_by_name() {
    let cases = [
        ("timeout", text("5000")),
        ("timeout", Parameter::Int(-1)),
        ("timeout", Parameter::Double(1.0)),
        ("priority", Parameter::Int(-1)),
        ("priority", Parameter::Uint(1 << 32)),
        ("binary_data_output", Parameter::Int(1)),
        ("sequence_id", Parameter::Bool(true)),
        ("sequence_id", Parameter::Int(-1)),
        ("sequence_start", text("true")),
        ("sequence_end", Parameter::Double(1.0)),
        ("triton_enable_empty_final_response", Parameter::Bool(true)),
        ("headers", text("x")),
    ];
    let accepted: Vec<_> = cases
        .into_iter()
        .filter(|(name, value)| {
            let sorted = RequestParameters::new(parameters([(name, value.clone())]));
            !sorted.is_err_and(|error| error.message().contains(&format!("`{name}`")))
        })
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn the_earlier_deadline_counts() {
    let received = tokio::time::Instant::now().into_std();
    let after = |micros| received.checked_add(Duration::from_micros(micros));
    let cases = [
        (None, None, None),
        (Some(0), None, None),
        (Some(5), None, after(5)),
        (None, after(7), after(7)),
        (Some(5), after(7), after(5)),
        (Some(9), after(7), after(7)),
        (Some(i64::MAX), after(7), after(7)),
    ];
    let wrong: Vec<_> = cases
        .into_iter()
        .filter(|&(timeout, outer, expected)| {
            let list = timeout.map(|micros| ("timeout".to_owned(), Parameter::Int(micros)));
            let sorted = RequestParameters::new(list.into_iter().collect()).unwrap();
            sorted.deadline(received, outer) != expected
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn output_parameters_are_read_or_refused_with_the_name_of_the_output() {
    let read = |list| OutputParameters::new("y", list);
    let both = read(parameters([
        ("classification", Parameter::Int(3)),
        ("binary_data", Parameter::Bool(false)),
        ("unknown", text("x")),
    ]));
    let expected = OutputParameters {
        classification: NonZeroUsize::new(3),
        binary_data: Some(false),
    };
    assert_eq!(both.unwrap(), expected);
    let cases = [
        ("classification", Parameter::Int(0), Code::InvalidRequest),
        (
            "classification",
            Parameter::Double(1.0),
            Code::InvalidRequest,
        ),
        ("binary_data", Parameter::Int(1), Code::InvalidRequest),
        ("shared_memory_region", text("r"), Code::Unsupported),
    ];
    for (name, value, code) in cases {
        let error = read(parameters([(name, value)])).unwrap_err();
        assert_eq!(error.code(), code, "{name}");
        assert!(error.message().starts_with("output `y`: "), "{error}");
    }
}

#[test]
fn sizes_are_whole_numbers_of_bytes() {
    assert_eq!(size("binary_data_size", &Parameter::Int(16)).unwrap(), 16);
    for value in [
        Parameter::Int(-1),
        Parameter::Bool(true),
        text("16"),
        Parameter::Double(16.0),
    ] {
        assert!(size("binary_data_size", &value).is_err(), "{value:?}");
    }
}
