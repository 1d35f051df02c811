use std::time::Duration;

use contract::NamedTensor;
use contract::{Element, ElementType, Shape, Tensor};
use contract::{Error, Result};
use half::{bf16, f16};
use proptest::prelude::*;

use super::*;

mod sums;

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
        let unusual = [(ElementType::Bytes, 0.0), (ElementType::Bool, 1.0)];
        let mut unusual = unusual.into_iter();
        let largest = unusual.find(|(unusual, _)| *unusual == element_type);
        let largest = largest.map_or(2.0, |(_, largest)| largest);
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

/// An answer, and how many milliseconds it took.
type Said = (Result<Vec<NamedTensor>>, u64);

fn report_builder(items: &[[Said; 2]], labels: &[&str]) -> Report {
    let names = vec!["zero".to_owned(), "one".to_owned()];
    let mut report_builder = ReportBuilder::new(vec![names, vec![]], Tolerance::default());
    for (item, label) in items.iter().zip(labels) {
        let answers = item.clone().map(|(outputs, millis)| Answer {
            outputs,
            latency: Duration::from_millis(millis),
        });
        report_builder.add(&Item {
            answers: &answers,
            n_rows: 1,
            labels: &[(*label).to_owned()],
        });
    }
    report_builder.finish()
}

fn label(class: i64) -> Vec<NamedTensor> {
    values(&[1], vec![class])
}

#[test]
fn report_counts_the_answers_of_both_versions() {
    let failure = || Error::invalid("it is broken");
    let report = report_builder(
        &[
            [(Ok(label(1)), 1), (Ok(label(1)), 2)],
            [(Ok(label(0)), 2), (Ok(label(1)), 2)],
            [(Ok(label(1)), 3), (Err(failure()), 9)],
            [(Err(failure()), 9), (Err(failure()), 9)],
        ],
        &["one", "0", "1", "1"],
    );
    let [first, second] = &report.versions[..] else {
        panic!("{report:?}")
    };
    assert_eq!((report.n_items, report.n_rows), (4, 4));
    assert_eq!((first.n_answers, first.n_errors), (3, 1));
    assert_eq!((second.n_answers, second.n_errors), (2, 2));
    assert!(second.first_error.is_some());
    let accuracy = |n_correct, n_labelled| {
        Some(Accuracy {
            n_correct,
            n_labelled,
        })
    };
    assert_eq!(
        first.accuracy,
        accuracy(3, 4),
        "names of classes are labels too"
    );
    assert_eq!(second.accuracy, accuracy(0, 4));
    assert_eq!(first.rows_per_second, Some(500.0));
    let pair = &report.pairs[0];
    assert_eq!(
        (pair.n_pairs, pair.n_agreeing, pair.n_only_other_failed),
        (2, 1, 1)
    );
    assert_eq!(pair.agreement(), 1.0 / 3.0);
    assert_eq!(pair.differing_items, [1, 2]);
    let classes = pair.classes.as_ref().unwrap();
    assert_eq!(
        (classes.n_rows, classes.n_same, classes.confusion.len()),
        (2, 1, 2)
    );
    assert_eq!(
        pair.labels.unwrap(),
        LabelReport {
            n_only_reference: 3,
            n_neither: 1,
            ..LabelReport::default()
        }
    );
    // Of the two items that both answered, the second takes 2 and 1 times as long.
    assert_eq!(pair.latency_ratio.unwrap().value, 1.5);
}

#[test]
fn failed_items_and_rows_without_a_class_are_not_correct() {
    let scores = |scores: [f32; 2]| values(&[1, 2], scores.to_vec());
    let failure = || Error::invalid("it is broken");
    let report = report_builder(
        &[
            [(Ok(scores([0.1, 0.9])), 1), (Err(failure()), 1)],
            [(Ok(scores([f32::NAN, f32::NAN])), 1), (Err(failure()), 1)],
        ],
        &["1", "1"],
    );
    let accuracies = report.versions.iter().map(|v| v.accuracy.unwrap());
    let accuracies: Vec<_> = accuracies.map(|a| (a.n_correct, a.n_labelled)).collect();
    assert_eq!(accuracies, [(1, 2), (0, 2)]);
    let expected = LabelReport {
        n_only_reference: 1,
        n_neither: 1,
        ..LabelReport::default()
    };
    assert_eq!(report.pairs[0].labels, Some(expected));
}

#[test]
fn a_version_without_classes_has_no_accuracy_and_neither_have_its_pairs() {
    let number = || values(&[1], vec![3.5_f32]);
    let report = report_builder(&[[(Ok(label(1)), 1), (Ok(number()), 1)]], &["1"]);
    assert!(report.versions[0].accuracy.is_some());
    assert_eq!(report.versions[1].accuracy, None);
    assert_eq!(report.pairs[0].labels, None);
}

#[test]
fn quantiles_are_answers_that_were_measured() {
    let items: Vec<_> = (1..=100)
        .map(|millis| [(Ok(label(0)), millis), (Ok(label(0)), 1)])
        .collect();
    let report = report_builder(&items, &["0"; 100]);
    let latency = report.versions[0].latency.clone().unwrap();
    let millis = [
        latency.p50,
        latency.p95,
        latency.p99,
        latency.max,
        latency.mean,
    ]
    .map(|time| time.as_secs_f64() * 1e3);
    assert_eq!(millis, [50.0, 95.0, 99.0, 100.0, 50.5]);
    assert_eq!(latency.curve.len(), 21);
    assert_eq!(latency.curve[0], Duration::from_millis(1));
    assert_eq!(latency.curve[20], latency.max);
}

#[test]
fn sums_become_means_over_all_pairs() {
    let item = |other: f64| {
        [
            (Ok(values(&[1], vec![1.0])), 1),
            (Ok(values(&[1], vec![other])), 1),
        ]
    };
    let report = report_builder(&[item(1.0), item(3.0)], &["", ""]);
    let pair = &report.pairs[0];
    assert_eq!(pair.outputs[0].mean_absolute, 1.0);
    assert_eq!(pair.outputs[0].largest_absolute, 2.0);
    assert_eq!(pair.classes, None, "no name marks these as scores");
    assert_eq!(pair.differing_items, [1]);
}

#[test]
fn report_without_items_is_empty() {
    let report = report_builder(&[], &[]);
    assert_eq!(report.versions[0].latency, None);
    assert_eq!(report.versions[0].rows_per_second, None);
    assert_eq!(report.pairs[0].agreement(), 0.0);
}

#[test]
fn a_confusion_table_keeps_the_most_frequent_classes() {
    let mut items: Vec<_> = (0..40)
        .map(|class| [(Ok(label(class)), 1), (Ok(label(class)), 1)])
        .collect();
    items.extend((20..40).map(|class| [(Ok(label(class)), 1), (Ok(label(class)), 1)]));
    let report = report_builder(&items, &[""; 60]);
    let confusion = &report.pairs[0].classes.as_ref().unwrap().confusion;
    let classes: Vec<_> = confusion
        .iter()
        .map(|cell| cell.reference.clone())
        .collect();
    assert_eq!(classes, (20..40).map(Class::Number).collect::<Vec<_>>());
}

#[test]
fn labels_of_every_integer_type_are_classes() {
    let labels = [
        values(&[1], vec![7_u8]),
        values(&[1], vec![7_u16]),
        values(&[1], vec![7_u32]),
        values(&[1], vec![7_u64]),
        values(&[1], vec![7_i8]),
        values(&[1], vec![7_i16]),
        values(&[1], vec![7_i32]),
        values(&[1, 1], vec![7_i64]),
    ];
    for outputs in labels {
        let class = predicted_class(&outputs, 0).map(|class| class.to_string());
        assert_eq!(class.as_deref(), Some("7"), "{outputs:?}");
        assert_eq!(predicted_class(&outputs, 1), None);
    }
}

#[test]
fn scores_of_every_type_have_a_best_one() {
    let scores = [
        values(&[1, 2], [0.25, 0.75].map(f16::from_f32).to_vec()),
        values(&[1, 2], [0.25, 0.75].map(bf16::from_f32).to_vec()),
        values(&[1, 2], vec![0.25_f32, 0.75]),
        values(&[1, 2], vec![0.25_f64, 0.75]),
    ];
    for outputs in scores {
        assert_eq!(
            predicted_class(&outputs, 0),
            Some(Class::Number(1)),
            "{outputs:?}"
        );
    }
}

#[test]
fn the_largest_integers_are_compared_exactly() {
    let found = compare(
        &values(&[2], vec![u64::MAX, 0]),
        &values(&[2], vec![u64::MAX - 1, u64::MAX]),
        Tolerance::default(),
    );
    assert_eq!(found.outputs[0].n_differing, 2);
    assert_eq!(found.outputs[0].largest_absolute, u64::MAX as f64);
}

#[test]
fn a_pair_of_which_one_failed_counts_against_the_agreement() {
    let failure = || Error::invalid("it is broken");
    let report = report_builder(
        &[
            [(Err(failure()), 1), (Ok(label(1)), 1)],
            [(Ok(label(1)), 1), (Ok(label(1)), 1)],
        ],
        &["", ""],
    );
    let pair = &report.pairs[0];
    assert_eq!(
        (pair.n_only_reference_failed, pair.n_only_other_failed),
        (1, 0)
    );
    assert_eq!(pair.agreement(), 0.5);
    assert_eq!(pair.differing_items, [0]);
}

#[test]
fn at_most_a_hundred_items_that_differ_are_kept() {
    let items: Vec<_> = (0..150)
        .map(|_| [(Ok(label(0)), 1), (Ok(label(1)), 1)])
        .collect();
    let report = report_builder(&items, &[""; 150]);
    assert_eq!(report.pairs[0].differing_items.len(), 100);
    assert_eq!(report.pairs[0].classes.as_ref().unwrap().n_same, 0);
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
