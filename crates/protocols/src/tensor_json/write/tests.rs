//! The written text, and that it reads back as the same bits.

use contract::Shape;
use proptest::prelude::*;

use super::*;
use crate::tensor_json::JsonLimits;
use crate::tensor_json::read::{read_nested, read_with_shape};

const LIMITS: JsonLimits = JsonLimits {
    depth: 100,
    elements: 1 << 20,
};

fn nested(tensor: &Tensor) -> String {
    let mut out = Vec::new();
    write_nested(tensor, NonFinite::Literal, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn flat(tensor: &Tensor, style: NonFinite) -> String {
    let mut out = Vec::new();
    write_flat(tensor, style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn arrays_nest_as_the_shape_says() {
    let cases: [(&[usize], &str); 8] = [
        (&[], "0"),
        (&[1], "[0]"),
        (&[2, 3], "[[0,1,2],[3,4,5]]"),
        (&[2, 1, 2], "[[[0,1]],[[2,3]]]"),
        (&[1, 2, 2], "[[[0,1],[2,3]]]"),
        (&[0], "[]"),
        (&[2, 0], "[[],[]]"),
        (&[2, 0, 3], "[[],[]]"),
    ];
    for (dims, expected) in cases {
        let shape = Shape::new(dims);
        let values = (0..u8::try_from(shape.element_count().unwrap()).unwrap()).collect();
        let tensor = Tensor::from_values(shape, values).unwrap();
        assert_eq!(nested(&tensor), expected, "{dims:?}");
    }
}

#[test]
fn each_float_is_printed_as_its_own_type() {
    let single = Tensor::from_values(Shape::from([3]), vec![0.1_f32, 1.0, 1e-7]).unwrap();
    assert_eq!(flat(&single, NonFinite::Literal), "[0.1,1.0,1e-7]");
    let double = Tensor::from_values(Shape::from([1]), vec![0.1_f64]).unwrap();
    assert_eq!(flat(&double, NonFinite::Literal), "[0.1]");
    let half = Tensor::from_values(Shape::from([1]), vec![f16::from_f32(0.1)]).unwrap();
    assert_eq!(flat(&half, NonFinite::Literal), "[0.0999755859375]");
    let bfloat = Tensor::from_values(Shape::from([1]), vec![bf16::from_f32(1.011_718_8)]).unwrap();
    assert_eq!(flat(&bfloat, NonFinite::Literal), "[1.015625]");
}

#[test]
fn numbers_that_are_none_follow_the_style() {
    let values = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let tensor = Tensor::from_values(Shape::from([3]), values).unwrap();
    assert_eq!(
        flat(&tensor, NonFinite::of(false)),
        "[NaN,Infinity,-Infinity]"
    );
    assert_eq!(flat(&tensor, NonFinite::of(true)), "[null,null,null]");
}

#[test]
fn booleans_and_strings_are_written_as_such() {
    let flags = Tensor::new(ElementType::Bool, Shape::from([2]), vec![1, 0].into()).unwrap();
    assert_eq!(nested(&flags), "[true,false]");
    let strings = Tensor::from_strings(Shape::from([1, 2]), ["a\"\n", "é\0"]).unwrap();
    assert_eq!(nested(&strings), r#"[["a\"\n","é\u0000"]]"#);
}

#[test]
fn a_string_that_is_no_text_is_refused() {
    let strings: [&[u8]; 2] = [b"a", b"\xff"];
    let tensor = Tensor::from_strings(Shape::from([2]), strings).unwrap();
    let error = write_flat(&tensor, NonFinite::Literal, &mut Vec::new()).unwrap_err();
    assert!(
        error.message().starts_with("element 1 is not UTF-8 text"),
        "{error}"
    );
}

#[test]
fn bytes_at_an_odd_address_are_written_too() {
    let mut data = vec![0];
    data.extend_from_slice(&1.5_f32.to_le_bytes());
    let data = bytes::Bytes::from(data).slice(1..);
    let tensor = Tensor::new(ElementType::F32, Shape::from([1]), data).unwrap();
    assert_eq!(nested(&tensor), "[1.5]");
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_bits(
        element_type in proptest::sample::select(ElementType::ALL.to_vec()),
        dims in proptest::collection::vec(0..4_usize, 0..4),
        seed in proptest::collection::vec(any::<u8>(), 27 * 8),
    ) {
        let shape = Shape::new(&dims);
        let n_elements = shape.element_count().unwrap();
        let tensor = match element_type.size_bytes() {
            None => {
                let texts = seed.iter().take(n_elements).map(|byte| char::from(*byte).to_string());
                Tensor::from_strings(shape.clone(), texts).unwrap()
            }
            Some(size) => {
                let is_bool = element_type == ElementType::Bool;
                let data = seed.iter().take(n_elements * size).map(|b| if is_bool { b & 1 } else { *b });
                Tensor::new(element_type, shape.clone(), data.collect::<Vec<_>>().into()).unwrap()
            }
        };
        let again = |json: String| read_with_shape(json.as_bytes(), element_type, shape.clone(), &LIMITS);
        let canonical = |tensor: &Tensor| flat(tensor, NonFinite::Literal);
        let from_flat = again(flat(&tensor, NonFinite::Literal)).unwrap();
        prop_assert_eq!(canonical(&from_flat), canonical(&tensor));
        if !canonical(&tensor).contains("NaN") {
            prop_assert_eq!(&from_flat, &tensor);
        }
        if !dims.contains(&0) {
            let from_nested = read_nested(nested(&tensor).as_bytes(), element_type, &LIMITS).unwrap();
            prop_assert_eq!(&from_nested, &from_flat.clone());
        }
    }
}
