//! Reading against serde_json, and what is refused and how.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const LIMITS: JsonLimits = JsonLimits {
    depth: 100,
    elements: 1 << 20,
};

fn read(json: &str, element_type: ElementType) -> Result<Tensor> {
    read_nested(json.as_bytes(), element_type, &LIMITS)
}

fn message(result: Result<Tensor>) -> String {
    result.expect_err("refused").message().to_owned()
}

#[test]
fn the_shape_is_that_of_the_arrays() {
    let cases: [(&str, &[usize]); 8] = [
        ("1.5", &[]),
        (" [ ] ", &[0]),
        ("[1]", &[1]),
        ("[[1, 2, 3],\n\t[4, 5, 6]]", &[2, 3]),
        ("[[],[]]", &[2, 0]),
        ("[[[1],[2]],[[3],[4]],[[5],[6]]]", &[3, 2, 1]),
        ("[[[]]]", &[1, 1, 0]),
        ("[[[[7]]]]", &[1, 1, 1, 1]),
    ];
    for (json, shape) in cases {
        let tensor = read(json, ElementType::F32).unwrap();
        assert_eq!(tensor.shape().dims(), shape, "{json}");
    }
}

#[test]
fn ragged_arrays_are_refused_with_both_places() {
    let cases = [
        (
            "[[1,2,3,4],[1,2,3,4],[1,2,3]]",
            "ragged array: [2] has 3 elements, [0] has 4",
        ),
        (
            "[[1],[[2]]]",
            "ragged array: [1][0] is an array, [0][0] is a value",
        ),
        ("[1,[2]]", "ragged array: [1] is an array, [0] is a value"),
        ("[[1],2]", "ragged array: [1] is a value, [0] is an array"),
        ("[[],2]", "ragged array: [1] is a value, [0] is an array"),
        (
            "[[],[[]]]",
            "ragged array: [1][0] is an array, [0][0] is a value",
        ),
        (
            "[[[1,2]],[[1]]]",
            "ragged array: [1][0] has 1 elements, [0][0] has 2",
        ),
        ("[[[1]],[]]", "ragged array: [1] has 0 elements, [0] has 1"),
    ];
    for (json, expected) in cases {
        assert_eq!(message(read(json, ElementType::F32)), expected, "{json}");
    }
}

/// A text, the element type to read, and the refusal.
const WRONG_VALUES: &[(&str, ElementType, &str)] = &[
    (
        "[[1,2],[3,\"x\"]]",
        ElementType::F32,
        "at [1][1]: expected a number for FP32, got `\"x\"`",
    ),
    (
        "[1,300]",
        ElementType::U8,
        "at [1]: `300` does not fit UINT8 (0 to 255)",
    ),
    (
        "[-1]",
        ElementType::U64,
        "at [0]: `-1` does not fit UINT64 (0 to 18446744073709551615)",
    ),
    (
        "[1.5]",
        ElementType::I32,
        "at [0]: expected a whole number that fits INT32, got `1.5`",
    ),
    (
        "true",
        ElementType::I32,
        "expected a number for INT32, got `true`",
    ),
    (
        "[1e39]",
        ElementType::F32,
        "at [0]: `1e39` is too large for FP32",
    ),
    (
        "[2]",
        ElementType::Bool,
        "at [0]: expected `true`, `false`, 0 or 1 for BOOL, got `2`",
    ),
    (
        "[1]",
        ElementType::Bytes,
        "at [0]: expected a string for BYTES, got `1`",
    ),
    (
        "[1,]",
        ElementType::F32,
        "at [1]: expected a number for FP32, got `]`",
    ),
    (
        "[1 2]",
        ElementType::F32,
        "malformed JSON at byte 3: expected `,` or `]`, got `2`",
    ),
    (
        "[1",
        ElementType::F32,
        "malformed JSON at byte 2: expected `,` or `]`, got the end of the text",
    ),
    (
        "[1]]",
        ElementType::F32,
        "malformed JSON at byte 3: expected the end of the text, got `]`",
    ),
    (
        "",
        ElementType::F32,
        "expected a number for FP32, got the end of the text",
    ),
    (
        "[nul]",
        ElementType::F32,
        "at [0]: expected a number for FP32, got `nul`",
    ),
    (
        "[null]",
        ElementType::I64,
        "at [0]: expected a number for INT64, got `null`",
    ),
    (
        "[{}]",
        ElementType::F32,
        "at [0]: expected a number for FP32, got `{`",
    ),
];

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    for (json, element_type, expected) in WRONG_VALUES {
        assert_eq!(message(read(json, *element_type)), *expected, "{json}");
    }
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(
        read(&nested(100), ElementType::F32).unwrap().shape().rank(),
        100
    );
    let expected = "JSON nesting depth exceeds maximum allowed limit (100), `max_json_depth`";
    assert_eq!(message(read(&nested(101), ElementType::F32)), expected);
    assert_eq!(
        message(read(&"[".repeat(1 << 20), ElementType::F32)),
        expected
    );
}

#[test]
fn more_elements_than_the_limit_are_refused() {
    let limits = JsonLimits {
        depth: 100,
        elements: 3,
    };
    assert!(read_nested(b"[1,2,3]", ElementType::U8, &limits).is_ok());
    assert_eq!(
        message(read_nested(b"[1,2,3,4]", ElementType::U8, &limits)),
        "the tensor exceeds the limit of 3 elements (`max_elements`)"
    );
    let shape = Shape::from([1 << 40]);
    assert!(read_with_shape(b"[]", ElementType::U8, shape, &limits).is_err());
}

#[test]
fn values_of_a_given_shape_may_be_nested_in_any_way() {
    let shape = || Shape::from([2, 2]);
    let read = |json: &str| read_with_shape(json.as_bytes(), ElementType::I16, shape(), &LIMITS);
    let expected = Tensor::from_values(shape(), vec![1_i16, 2, 3, 4]).unwrap();
    for json in [
        "[1,2,3,4]",
        "[[1,2],[3,4]]",
        "[[1],[2,3],4]",
        "[[[[1,2,3,4]]]]",
        "[[],1,2,3,4]",
    ] {
        assert_eq!(read(json).unwrap(), expected, "{json}");
    }
    let prefix = "shape does not match true shape of 'data' field: [2, 2] has 4 elements, got ";
    assert_eq!(message(read("[1,2,3]")), format!("{prefix}3"));
    assert_eq!(
        message(read("[1,2,3,4,5,6]")),
        format!("{prefix}at least 5")
    );
    let empty = read_with_shape(b"[]", ElementType::F32, Shape::from([0, 3]), &LIMITS).unwrap();
    assert_eq!(empty.shape().dims(), [0, 3]);
}

#[test]
fn the_limit_holds_in_a_long_row_of_like_numbers() {
    let limits = JsonLimits {
        depth: 100,
        elements: 64,
    };
    let row = |n: usize| format!("[{}]", vec!["0.25"; n].join(","));
    let read = |n: usize| read_nested(row(n).as_bytes(), ElementType::F32, &limits);
    assert_eq!(read(64).unwrap().to_vec::<f32>().unwrap(), [0.25; 64]);
    let expected = "the tensor exceeds the limit of 64 elements (`max_elements`)";
    assert_eq!(message(read(65)), expected);
}

#[test]
fn a_wrong_value_behind_many_like_ones_is_refused_with_its_place() {
    let row = |end: &str| format!("[{}{end}", "0.25,".repeat(40));
    let cases = [
        (
            "0.2x]",
            "malformed JSON at byte 204: expected `,` or `]`, got `x`",
        ),
        ("00.5]", "at [40]: expected a number for FP32, got `00.5`"),
        ("]", "at [40]: expected a number for FP32, got `]`"),
        ("[1]]", "ragged array: [40] is an array, [0] is a value"),
    ];
    for (end, expected) in cases {
        assert_eq!(
            message(read(&row(end), ElementType::F32)),
            expected,
            "{end}"
        );
    }
}

#[test]
fn each_element_type_reads_its_own_values() {
    let flags = read("[true,false,1,0]", ElementType::Bool).unwrap();
    assert_eq!(flags.data().as_ref(), [1, 0, 1, 0]);
    let large = read(
        "[-9223372036854775808,9223372036854775807]",
        ElementType::I64,
    )
    .unwrap();
    assert_eq!(large.to_vec::<i64>().unwrap(), [i64::MIN, i64::MAX]);
    let unsigned = read("18446744073709551615", ElementType::U64).unwrap();
    assert_eq!(unsigned.to_vec::<u64>().unwrap(), [u64::MAX]);
    let integral = read("[1.0,2e2,-0]", ElementType::I32).unwrap();
    assert_eq!(integral.to_vec::<i32>().unwrap(), [1, 200, 0]);
    let halves = read("[1.0,-2.0,65504]", ElementType::F16).unwrap();
    assert_eq!(halves.data().as_ref(), [0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b]);
}

#[test]
fn numbers_that_are_none_are_read_as_python_writes_them() {
    let values = read("[NaN,Infinity,-Infinity,null,-0.0]", ElementType::F32).unwrap();
    let values = values.to_vec::<f32>().unwrap();
    assert!(values[0].is_nan() && values[3].is_nan());
    assert_eq!(values[1..3], [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(values[4] == 0.0 && values[4].is_sign_negative());
    for element_type in [ElementType::F16, ElementType::BF16, ElementType::F64] {
        assert!(
            read("[NaN,Infinity,-Infinity,null]", element_type).is_ok(),
            "{element_type}"
        );
    }
    assert!(read("[inf]", ElementType::F32).is_err());
}

#[test]
fn strings_keep_what_their_escapes_mean() {
    let tensor = read(
        r#"["", "a\u0000b", "é", "\ud83d\ude00\n\"\\"]"#,
        ElementType::Bytes,
    )
    .unwrap();
    let strings: Vec<_> = tensor.strings().collect();
    assert_eq!(
        strings,
        [
            b"".as_slice(),
            b"a\0b",
            "é".as_bytes(),
            "😀\n\"\\".as_bytes()
        ]
    );
}

#[test]
fn strings_that_are_no_text_are_refused() {
    let refused: [&[u8]; 7] = [
        b"[\"\xff\"]",
        b"[\"\\x\"]",
        b"[\"\\ud800\"]",
        b"[\"a\nb\"]",
        b"[\"abc]",
        b"[\"\\\"]",
        b"[\"\\u12\"]",
    ];
    for json in refused {
        assert!(
            read_nested(json, ElementType::Bytes, &LIMITS).is_err(),
            "{json:?}"
        );
    }
}

/// The numbers of a tree with its shape, as a plain recursive reader sees them.
fn flatten(value: &Value, depth: usize, shape: &mut Vec<usize>, out: &mut Vec<f64>) -> bool {
    match value {
        Value::Number(number) => {
            out.push(number.as_f64().unwrap());
            depth == shape.len()
        }
        Value::Null => {
            out.push(f64::NAN);
            depth == shape.len()
        }
        Value::Array(items) => {
            if depth == shape.len() {
                if !out.is_empty() || shape.contains(&0) {
                    return false;
                }
                shape.push(items.len());
            }
            shape[depth] == items.len()
                && items
                    .iter()
                    .all(|item| flatten(item, depth + 1, shape, out))
        }
        Value::Bool(_) | Value::String(_) | Value::Object(_) => false,
    }
}

fn json_like() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => Just("["), 4 => Just("]"), 4 => Just(","), 1 => Just(" "), 3 => Just("1"),
        1 => Just("-2.5e1"), 1 => Just("[]"), 1 => Just("null"), 1 => Just("01"), 1 => Just("[1,2]"),
        1 => Just("true"), 1 => Just("\"x\""), 1 => Just("{}"),
    ];
    proptest::collection::vec(token, 0..14).prop_map(|tokens| tokens.concat())
}

fn nested(rank: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "-?[1-9][0-9]{0,9}",
        Just("0.5".to_owned()),
        Just("null".to_owned())
    ];
    leaf.prop_recursive(rank, 64, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", ")))
    })
}

/// Rows of numbers of which most are written like the one before them.
fn rows() -> impl Strategy<Value = String> {
    let digits = |n_whole: usize, n_fraction: usize| match n_fraction {
        0 => format!("-?[1-9][0-9]{{{}}}", n_whole - 1),
        _ => format!("-?[1-9][0-9]{{{}}}\\.[0-9]{{{n_fraction}}}", n_whole - 1),
    };
    let alike =
        (1..5_usize, 0..9_usize, 1..40_usize).prop_flat_map(move |(n_whole, n_fraction, n)| {
            let number = proptest::string::string_regex(&digits(n_whole, n_fraction)).unwrap();
            proptest::collection::vec(number, n)
        });
    let other = proptest::sample::select(vec![
        "0", "-0.0", "1e5", "01", "1.", "-", "1 ", "[1]", "2 ,3", "x", "",
    ]);
    let numbers = prop_oneof![6 => alike, 1 => other.prop_map(|text| vec![text.to_owned()])];
    let row = (proptest::collection::vec(numbers, 1..5), any::<bool>()).prop_map(
        |(numbers, has_space)| {
            let separator = if has_space { ", " } else { "," };
            format!("[{}]", numbers.concat().join(separator))
        },
    );
    (row, 1..4_usize).prop_map(|(row, n)| format!("[{}]", vec![row; n].join(",")))
}

proptest! {
    #[test]
    fn text_is_accepted_exactly_when_a_tree_reader_accepts_it(
        json in prop_oneof![json_like(), nested(4), rows()],
    ) {
        let (mut shape, mut numbers) = (Vec::new(), Vec::new());
        let expected = serde_json::from_str::<Value>(&json)
            .is_ok_and(|value| flatten(&value, 0, &mut shape, &mut numbers));
        let tensor = read(&json, ElementType::F64);
        prop_assert_eq!(tensor.is_ok(), expected, "{} {:?}", json, tensor);
        if let Ok(tensor) = tensor {
            prop_assert_eq!(tensor.shape().dims(), &shape[..]);
            let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&tensor.to_vec::<f64>().unwrap()), bits(&numbers));
        }
    }

    #[test]
    fn strings_are_those_of_serde_json(text in "(\\PC|[\"\\\\\u{0}-\u{1f}]){0,12}") {
        let json = serde_json::to_string(&[&text]).unwrap();
        let tensor = read(&json, ElementType::Bytes).unwrap();
        prop_assert_eq!(tensor.strings().next().unwrap(), text.as_bytes());
        let raw = format!("[\"{text}\"]");
        let theirs = serde_json::from_str::<Vec<String>>(&raw);
        let ours = read(&raw, ElementType::Bytes);
        if let Ok(theirs) = theirs.as_ref() {
            let ours = ours.unwrap();
            prop_assert_eq!(ours.strings().next(), theirs.first().map(String::as_bytes));
        } else {
            prop_assert!(ours.is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(
        json in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"[]{},:\"\\-+.eE0123456789 ntf".to_vec())],
            0..64,
        ),
    ) {
        for element_type in ElementType::ALL {
            let nested = read_nested(&json, element_type, &LIMITS);
            let flat = read_with_shape(&json, element_type, Shape::from([2]), &LIMITS);
            for error in [nested.err(), flat.err()].into_iter().flatten() {
                prop_assert_eq!(error.code(), contract::Code::InvalidRequest);
            }
        }
    }
}
