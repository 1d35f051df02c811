//! Slices of members, and what is refused.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const LIMITS: JsonLimits = JsonLimits {
    depth: 4,
    elements: 100,
};

fn members(json: &str) -> Result<Vec<(String, String)>> {
    let members = object_members(json.as_bytes(), &LIMITS)?;
    let text = |slice: &[u8]| String::from_utf8(slice.to_vec()).unwrap();
    Ok(members
        .into_iter()
        .map(|(key, value)| (key.into_owned(), text(value)))
        .collect())
}

#[test]
fn members_are_given_raw_and_in_order() {
    let json = "\n{ \"b\" : [1, {\"x\": \"]}\"}] ,\"a\\u0062\":NaN, \"c\":\"\\\"\" , \"d\":-1e5}\t";
    let expected = [
        ("b", "[1, {\"x\": \"]}\"}]"),
        ("ab", "NaN"),
        ("c", "\"\\\"\""),
        ("d", "-1e5"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(members(json).unwrap(), expected);
    assert!(members("{}").unwrap().is_empty());
}

#[test]
fn a_bracket_or_quote_is_found_in_every_place_of_a_long_value() {
    for n_numbers in 0..150 {
        let plain = "1,".repeat(n_numbers);
        for end in ["\"]\"", "[2]", "{\"a\":3}"] {
            let value = format!("[{plain}{end}]");
            let json = format!("{{\"a\":{value},\"b\":1}}");
            let expected = [("a".to_owned(), value), ("b".to_owned(), "1".to_owned())];
            assert_eq!(members(&json).unwrap(), expected);
        }
    }
}

#[test]
fn malformed_objects_are_refused_with_the_place() {
    let cases = [
        (
            "",
            "malformed JSON at byte 0: expected a JSON object, got the end of the text",
        ),
        (
            "[1]",
            "malformed JSON at byte 0: expected a JSON object, got `[1`",
        ),
        (
            "{\"a\" 1}",
            "malformed JSON at byte 5: expected `:`, got `1`",
        ),
        (
            "{\"a\":1,}",
            "malformed JSON at byte 7: expected a string, got `}`",
        ),
        (
            "{\"a\":}",
            "malformed JSON at byte 5: expected a JSON value, got `}`",
        ),
        (
            "{\"a\":[1}",
            "malformed JSON at byte 7: expected the bracket that matches, got `}`",
        ),
        (
            "{\"a\":[1",
            "malformed JSON at byte 7: expected the end of an array or object, got the end of the text",
        ),
        (
            "{\"a\":1",
            "malformed JSON at byte 6: expected `,` or `}`, got the end of the text",
        ),
        (
            "{\"a\":1} x",
            "malformed JSON at byte 8: expected the end of the text, got `x`",
        ),
        (
            "{\"a\":1,\"\\u0061\":2}",
            "key `a` appears twice in one object",
        ),
        (
            "{\"a\":[[[[1]]]]}",
            "JSON nesting depth exceeds maximum allowed limit (4), `max_json_depth`",
        ),
        (
            "{\"a\":\"x}",
            "malformed JSON at byte 8: expected `\"` at the end of a string, got the end of the text",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(members(json).unwrap_err().message(), expected, "{json}");
    }
    assert!(members("{\"a\":[[[1]]]}").is_ok());
}

#[test]
fn items_are_given_raw_and_in_order() {
    let items = array_items(b" [ {\"a\": [1]}, \"x\" ,3 ] ", &LIMITS, 100).unwrap();
    assert_eq!(items, [b"{\"a\": [1]}".as_slice(), b"\"x\"", b"3"]);
    assert!(array_items(b"[]", &LIMITS, 100).unwrap().is_empty());
    for json in ["", "{}", "[1,]", "[1", "[1]1", "[,]", "[1 2]"] {
        assert!(
            array_items(json.as_bytes(), &LIMITS, 100).is_err(),
            "{json}"
        );
    }
}

#[test]
fn a_long_array_is_cut_at_its_own_bracket() {
    let numbers = "1234.5, ".repeat(100);
    let json = format!("{{\"data\": [[{numbers}1], [2]], \"b\": {{}}}}");
    assert_eq!(members(&json).unwrap()[0].1, format!("[[{numbers}1], [2]]"));
}

#[test]
fn the_numbers_of_keys_and_items_are_limited() {
    let object = |n_keys: usize| {
        let keys: Vec<_> = (0..n_keys).map(|index| format!("\"{index}\":0")).collect();
        members(&format!("{{{}}}", keys.join(",")))
    };
    assert_eq!(object(MAX_MEMBERS).unwrap().len(), MAX_MEMBERS);
    let too_many = object(MAX_MEMBERS + 1).unwrap_err();
    assert_eq!(too_many.code(), contract::Code::PayloadTooLarge);
    let array = |max_items| array_items(b"[1, 2, 3]", &LIMITS, max_items);
    assert_eq!(array(3).unwrap().len(), 3);
    let too_many = array(2).unwrap_err();
    assert_eq!(too_many.code(), contract::Code::PayloadTooLarge);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_slices_are_those_of_the_tree(tree in value(), is_pretty in any::<bool>()) {
        let limits = JsonLimits { depth: 100, elements: 100 };
        let json = match is_pretty {
            true => serde_json::to_string_pretty(&tree).unwrap(),
            false => tree.to_string(),
        };
        match &tree {
            Value::Object(map) => {
                let members = object_members(json.as_bytes(), &limits).unwrap();
                prop_assert_eq!(members.len(), map.len());
                for ((key, slice), (expected_key, expected)) in members.iter().zip(map) {
                    prop_assert_eq!(key, expected_key);
                    prop_assert_eq!(&serde_json::from_slice::<Value>(slice).unwrap(), expected);
                }
            }
            Value::Array(items) => {
                let slices = array_items(json.as_bytes(), &limits, 100).unwrap();
                prop_assert_eq!(slices.len(), items.len());
                for (slice, expected) in slices.iter().zip(items) {
                    prop_assert_eq!(&serde_json::from_slice::<Value>(slice).unwrap(), expected);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                prop_assert!(object_members(json.as_bytes(), &limits).is_err());
                prop_assert!(array_items(json.as_bytes(), &limits, 100).is_err());
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        json in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"[]{},:\"\\-0 a".to_vec())],
            0..96,
        ),
    ) {
        let errors = [
            object_members(&json, &LIMITS).err(),
            array_items(&json, &LIMITS, 100).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert_eq!(error.code(), contract::Code::InvalidRequest);
        }
    }
}
