//! Tests of typed elements.

use proptest::prelude::*;

use super::*;
use crate::open_inference::grpc::tests::sample;

#[test]
fn every_element_type_that_can_be_typed_survives_both_ways() {
    for element_type in ElementType::ALL.into_iter().filter(|&t| can_be_typed(t)) {
        let sent = sample(element_type);
        let typed = contents(&sent);
        let n_lists = lists(&typed).iter().filter(|(_, n)| *n > 0).count();
        assert_eq!(n_lists, 1, "{element_type}");
        let received = tensor(element_type, sent.shape().clone(), typed).unwrap();
        assert_eq!(received, sent, "{element_type}");
    }
}

#[test]
fn only_half_precision_cannot_be_typed() {
    let untyped: Vec<_> = ElementType::ALL
        .into_iter()
        .filter(|&element_type| !can_be_typed(element_type))
        .collect();
    assert_eq!(untyped, [ElementType::F16, ElementType::BF16]);
    let typed = contents(&sample(ElementType::F16));
    assert_eq!(typed, InferTensorContents::default());
}

#[test]
fn strings_share_the_bytes_of_their_tensor() {
    let sent = sample(ElementType::Bytes);
    let typed = contents(&sent);
    let range = sent.data().as_ptr_range();
    assert!(range.contains(&typed.bytes_contents[1].as_ptr()));
}

fn ints(values: &[i32]) -> InferTensorContents {
    InferTensorContents {
        int_contents: values.to_vec(),
        ..InferTensorContents::default()
    }
}

fn uints(values: &[u32]) -> InferTensorContents {
    InferTensorContents {
        uint_contents: values.to_vec(),
        ..InferTensorContents::default()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn wrong_lists_counts_and_ranges_are_refused() {
    let two_lists = InferTensorContents {
        fp32_contents: vec![1.0],
        ..ints(&[1])
    };
    let cases = [
        (
            ElementType::I8,
            ints(&[128]),
            "element 0 is 128, which is out of range for INT8",
        ),
        (
            ElementType::I16,
            ints(&[-32769]),
            "element 0 is -32769, which is out of range for INT16",
        ),
        (
            ElementType::U8,
            uints(&[300]),
            "element 0 is 300, which is out of range for UINT8",
        ),
        (
            ElementType::U16,
            uints(&[65536]),
            "element 0 is 65536, which is out of range for UINT16",
        ),
        (
            ElementType::F32,
            ints(&[1]),
            "elements of FP32 belong in `fp32_contents`, got some in `int_contents`",
        ),
        (
            ElementType::I32,
            two_lists,
            "elements of INT32 belong in `int_contents`, got some in `fp32_contents`",
        ),
        (
            ElementType::I32,
            ints(&[1, 2]),
            "shape [1] has 1 elements, got 2 in `int_contents`",
        ),
        (
            ElementType::Bytes,
            InferTensorContents::default(),
            "shape [1] has 1 elements, got 0 in `bytes_contents`",
        ),
        (
            ElementType::F16,
            uints(&[1]),
            "elements of FP16 belong in `raw_input_contents`, got some in `uint_contents`",
        ),
        (
            ElementType::BF16,
            InferTensorContents::default(),
            "elements of BF16 travel in `raw_input_contents` only",
        ),
    ];
    let wrong: Vec<_> = cases
        .into_iter()
        .filter_map(|(element_type, contents, expected)| {
            let result = tensor(element_type, Shape::from([1]), contents);
            let got = result.map_or_else(|error| error.to_string(), |tensor| format!("{tensor:?}"));
            (got != expected).then_some((got, expected))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_tensor_without_elements_needs_no_list() {
    for element_type in ElementType::ALL {
        let empty = tensor(
            element_type,
            Shape::from([0, 3]),
            InferTensorContents::default(),
        );
        assert_eq!(empty.unwrap().n_elements(), 0, "{element_type}");
    }
}

proptest! {
    #[test]
    fn any_lists_make_a_tensor_of_the_shape_or_an_error(
        type_index in 0..ElementType::ALL.len(),
        dims in prop::collection::vec(0_usize..4, 0..3),
        int_contents in prop::collection::vec(any::<i32>(), 0..5),
        uint_contents in prop::collection::vec(any::<u32>(), 0..5),
        bytes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..5),
    ) {
        let contents = InferTensorContents {
            int_contents,
            uint_contents,
            bytes_contents: bytes.into_iter().map(Bytes::from).collect(),
            ..InferTensorContents::default()
        };
        let shape = Shape::new(&dims);
        if let Ok(tensor) = tensor(ElementType::ALL[type_index], shape.clone(), contents.clone()) {
            prop_assert_eq!(tensor.shape(), &shape);
            prop_assert_eq!(super::contents(&tensor), contents);
        }
    }
}
