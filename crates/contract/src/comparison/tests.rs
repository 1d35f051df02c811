use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::request::NamedTensor;
use crate::tensor::{Element, ElementType, Shape, Tensor};

fn named(name: &str, tensor: Tensor) -> NamedTensor {
    let name = name.to_owned();
    NamedTensor { name, tensor }
}

fn values<T: Element>(dims: &[usize], values: Vec<T>) -> Vec<NamedTensor> {
    let tensor = Tensor::from_values(Shape::new(dims), values).unwrap();
    vec![named("y", tensor)]
}

fn texts(texts: &[&str]) -> Vec<NamedTensor> {
    vec![named(
        "y",
        Tensor::from_strings([texts.len()].into(), texts).unwrap(),
    )]
}

fn agrees(reference: &[NamedTensor], other: &[NamedTensor]) -> bool {
    compare(reference, other, Tolerance::default()).agrees
}

/// Two different numbers, and something that neither is, in every element type.
fn different(element_type: ElementType) -> (Vec<NamedTensor>, Vec<NamedTensor>) {
    let pair = |[left, right]: [Vec<NamedTensor>; 2]| (left, right);
    match element_type {
        ElementType::Bool => pair([[0, 0], [0, 1]].map(|data| {
            let data = bytes::Bytes::from(data.to_vec());
            vec![named(
                "y",
                Tensor::new(element_type, [2].into(), data).unwrap(),
            )]
        })),
        ElementType::U8 => pair([[3_u8, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::U16 => pair([[3_u16, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::U32 => pair([[3_u32, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::U64 => pair([[3_u64, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::I8 => pair([[3_i8, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::I16 => pair([[3_i16, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::I32 => pair([[3_i32, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::I64 => pair([[3_i64, 4], [3, 6]].map(|v| values(&[2], v.to_vec()))),
        ElementType::F16 => {
            pair([[3.0, 4.0], [3.0, 6.0]].map(|v| values(&[2], v.map(f16::from_f32).to_vec())))
        }
        ElementType::BF16 => {
            pair([[3.0, 4.0], [3.0, 6.0]].map(|v| values(&[2], v.map(bf16::from_f32).to_vec())))
        }
        ElementType::F32 => pair([[3.0_f32, 4.0], [3.0, 6.0]].map(|v| values(&[2], v.to_vec()))),
        ElementType::F64 => pair([[3.0_f64, 4.0], [3.0, 6.0]].map(|v| values(&[2], v.to_vec()))),
        ElementType::Bytes => (texts(&["a", "b"]), texts(&["a", "c"])),
    }
}

#[test]
fn one_element_that_differs_is_found_in_every_type() {
    for element_type in ElementType::ALL {
        let (reference, other) = different(element_type);
        assert!(agrees(&reference, &reference), "{element_type}");
        let found = compare(&reference, &other, Tolerance::default());
        assert!(!found.agrees && found.has_same_shape, "{element_type}");
        let output = &found.outputs[0];
        assert_eq!(
            (output.n_elements, output.n_differing),
            (2, 1),
            "{element_type}"
        );
        let largest = match element_type {
            ElementType::Bytes => 0.0,
            ElementType::Bool => 1.0,
            _ => 2.0,
        };
        assert_eq!(output.largest_absolute, largest, "{element_type}");
        assert_eq!(output.sum_absolute, largest, "{element_type}");
    }
}

#[test]
fn numbers_agree_within_the_tolerance_of_the_reference() {
    let tolerance = Tolerance::default();
    let nan = f64::NAN;
    let infinite = f64::INFINITY;
    let cases = [
        (1000.0, 1001.0, true),
        (1000.0, 1001.1, false),
        (0.0, 1e-5, true),
        (0.0, 1.1e-5, false),
        (nan, nan, true),
        (nan, 1.0, false),
        (1.0, nan, false),
        (infinite, infinite, true),
        (infinite, -infinite, false),
        (infinite, 1.0, false),
        (1.0, infinite, false),
    ];
    let failed: Vec<_> = cases
        .into_iter()
        .filter(|&(reference, other, is_near)| {
            let pair = [reference, other].map(|value| values(&[1], vec![value]));
            compare(&pair[0], &pair[1], tolerance).agrees != is_near
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_number_that_is_none_makes_the_largest_difference_infinite_and_leaves_the_sum() {
    let found = compare(
        &values(&[2], vec![1.0_f32, 2.0]),
        &values(&[2], vec![f32::NAN, 2.5]),
        Tolerance::default(),
    );
    assert_eq!(found.outputs[0].largest_absolute, f64::INFINITY);
    assert_eq!(found.outputs[0].sum_absolute, 0.5);
}

#[test]
fn another_name_type_or_shape_never_agrees() {
    let reference = values(&[2], vec![1.0_f32, 2.0]);
    let others = [
        values(&[2, 1], vec![1.0_f32, 2.0]),
        values(&[2], vec![1.0_f64, 2.0]),
        vec![named("z", reference[0].tensor.clone())],
        vec![],
        vec![
            reference[0].clone(),
            named("z", reference[0].tensor.clone()),
        ],
    ];
    for other in &others {
        let found = compare(&reference, other, Tolerance::default());
        assert!(!found.agrees && !found.has_same_shape, "{other:?}");
    }
}

#[test]
fn outputs_are_paired_by_name_and_keep_the_order_of_the_reference() {
    let (a, b) = (values(&[1], vec![1_i64]), values(&[1], vec![2_i64]));
    let in_order = [
        named("a", a[0].tensor.clone()),
        named("b", b[0].tensor.clone()),
    ];
    let turned = [in_order[1].clone(), in_order[0].clone()];
    let found = compare(&in_order, &turned, Tolerance::default());
    assert!(found.agrees);
    assert_eq!(found.outputs[0].name, "a");
}

#[test]
fn the_class_is_the_label_or_the_best_score() {
    let number = |number| Some(Class::Number(number));
    let scores = values(&[2, 3], vec![0.1_f32, 0.7, 0.2, 0.5, 0.1, 0.4]);
    let labels = values(&[2], vec![8_i64, 9]);
    let both = [scores.clone(), labels.clone()].concat();
    let cases = [
        (scores.clone(), 0, number(1)),
        (scores, 1, number(0)),
        (labels, 1, number(9)),
        (both, 0, number(8)),
        (
            texts(&["cat", "dog"]),
            1,
            Some(Class::Name("dog".to_owned())),
        ),
        (values(&[2, 1], vec![0.5_f64, 0.4]), 0, number(1)),
        (values(&[2, 1], vec![0.5_f64, 0.4]), 1, number(0)),
        (values(&[1], vec![f16::from_f32(0.9)]), 0, number(1)),
        (values(&[1], vec![3.5_f32]), 0, None),
        (values(&[1, 2], vec![f32::NAN, f32::NAN]), 0, None),
        (values(&[1, 2], vec![f32::NAN, -2.0]), 0, number(1)),
        (values(&[1, 2], vec![1.0_f32, 2.0]), 1, None),
        (values(&[1, 2, 2], vec![1.0_f32; 4]), 0, None),
        (vec![], 0, None),
    ];
    for (outputs, row, class) in cases {
        assert_eq!(
            predicted_class(&outputs, row),
            class,
            "row {row} of {outputs:?}"
        );
    }
}

#[test]
fn scores_that_are_tied_have_the_same_class() {
    let scores = |scores: [f64; 3]| values(&[1, 3], scores.to_vec());
    let reference = scores([0.4, 0.4 + 5e-7, 0.2]);
    let cases = [
        (scores([0.4 + 5e-7, 0.4, 0.2]), true),
        (scores([0.5, 0.3, 0.2]), true),
        (scores([0.2, 0.3, 0.5]), false),
    ];
    for (other, is_same) in cases {
        assert_eq!(
            same_class(&reference, &other, 0),
            Some(is_same),
            "{other:?}"
        );
    }
    let single = |score: f64| values(&[1], vec![score]);
    assert_eq!(same_class(&single(0.5), &single(0.5 - 5e-7), 0), Some(true));
    assert_eq!(same_class(&single(0.9), &single(0.1), 0), Some(false));
}

#[test]
fn only_labels_and_names_that_speak_of_scores_make_a_classifier() {
    let scores = Tensor::from_values([1, 2].into(), vec![0.5_f32, 0.5]).unwrap();
    assert!(has_class_output(&[named("Probabilities", scores.clone())]));
    assert!(!has_class_output(&[named("y", scores)]));
    assert!(has_class_output(&values(&[1], vec![1_i64])));
}

proptest! {
    #[test]
    fn an_answer_agrees_with_itself(numbers in proptest::collection::vec(any::<f64>(), 0..20)) {
        let outputs = values(&[numbers.len()], numbers);
        let found = compare(&outputs, &outputs, Tolerance { absolute: 0.0, relative: 0.0 });
        prop_assert!(found.agrees);
        prop_assert_eq!(found.outputs[0].largest_absolute, 0.0);
    }

    #[test]
    fn a_wider_tolerance_never_finds_more(
        pairs in proptest::collection::vec((any::<f32>(), any::<f32>()), 1..20),
        absolute in 0.0..1.0_f64,
        relative in 0.0..1.0_f64,
    ) {
        let (left, right): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (left, right) = (values(&[left.len()], left), values(&[right.len()], right));
        let differing = |factor: f64| {
            let tolerance = Tolerance { absolute: absolute * factor, relative: relative * factor };
            compare(&left, &right, tolerance).outputs[0].n_differing
        };
        prop_assert!(differing(2.0) <= differing(1.0));
    }

    #[test]
    fn the_sum_lies_between_the_largest_and_its_multiple(
        pairs in proptest::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 1..20),
    ) {
        let (left, right): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (left, right) = (values(&[left.len()], left), values(&[right.len()], right));
        let found = compare(&left, &right, Tolerance::default());
        let output = &found.outputs[0];
        prop_assert!(output.sum_absolute >= output.largest_absolute * 0.999_999);
        let multiple = output.largest_absolute * output.n_elements as f64;
        prop_assert!(output.sum_absolute <= multiple * 1.000_001);
    }

    #[test]
    fn a_class_does_not_change_when_all_scores_grow_alike(
        scores in proptest::collection::vec(-100.0..100.0_f64, 2..10),
        shift in -100.0..100.0_f64,
    ) {
        let moved: Vec<_> = scores.iter().map(|score| score + shift).collect();
        let (scores, moved) = (values(&[1, scores.len()], scores), values(&[1, moved.len()], moved));
        prop_assert_eq!(same_class(&scores, &moved, 0), Some(true));
    }
}
